"""The only module that touches onnxruntime, tokenizers and numpy: sentence embeddings by MiniLM."""

from __future__ import annotations

import importlib
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_MAX_TOKENS = 128
_CACHED_TEXTS = 4096


class MiniLmEmbedder:
    """Implements `TextEmbedder`; loads its model at the first use and keeps the vectors of texts seen lately."""

    def __init__(self, model_path: Path, tokenizer_path: Path) -> None:
        """Note the files; nothing is loaded yet."""
        self._model_path = model_path
        self._tokenizer_path = tokenizer_path
        self._lock = threading.Lock()
        self._loaded: _LoadedModel | None = None
        # Vectors are `(384,) float32` arrays.
        self._vectors: OrderedDict[str, Any] = OrderedDict()

    def similarities(self, text: str, others: Sequence[str]) -> list[float]:
        """See `TextEmbedder.similarities`."""
        with self._lock:
            vector = self._vector(text)
            return [float(vector @ self._vector(other)) for other in others]

    def _vector(self, text: str) -> Any:
        vector = self._vectors.get(text)
        if vector is None:
            if self._loaded is None:
                self._loaded = _LoadedModel(self._model_path, self._tokenizer_path)
            vector = self._vectors[text] = self._loaded.embed(text)
            if len(self._vectors) > _CACHED_TEXTS:
                self._vectors.popitem(last=False)
        else:
            self._vectors.move_to_end(text)
        return vector


class _LoadedModel:
    def __init__(self, model_path: Path, tokenizer_path: Path) -> None:
        # Imported here and as Any: they cost 150 ms and 60 MB that a server without tools never pays, and their
        # type information is partial.
        runtime: Any = importlib.import_module("onnxruntime")
        tokenizers: Any = importlib.import_module("tokenizers")
        self._numpy: Any = importlib.import_module("numpy")
        options: Any = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session: Any = runtime.InferenceSession(str(model_path), options, providers=["CPUExecutionProvider"])
        self._tokenizer: Any = tokenizers.Tokenizer.from_file(str(tokenizer_path))
        self._tokenizer.enable_truncation(_MAX_TOKENS)
        self._tokenizer.no_padding()

    def embed(self, text: str) -> Any:
        """The mean of the token vectors, of length 1: `(384,) float32`."""
        numpy = self._numpy
        ids = numpy.array([self._tokenizer.encode(text).ids], dtype=numpy.int64)
        inputs = {
            "input_ids": ids,
            "attention_mask": numpy.ones_like(ids),
            "token_type_ids": numpy.zeros_like(ids),
        }
        mean = self._session.run(None, inputs)[0][0].mean(axis=0)
        return mean / numpy.linalg.norm(mean)
