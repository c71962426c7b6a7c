"""The only module that touches xllamacpp, which has no type information: its objects are cast to protocols here."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from antiphon.embedded.model_server.settings import Settings

# Progress is reported, and a cancelled request noticed, once per batch of the prompt. 64 tokens measured fastest here.
_BATCH_TOKENS = 64


class NativeServer(Protocol):
    """The part of `xllamacpp.Server` that is used."""

    def handle_chat_completions(self, prompt: str, callback: Callable[[str], bool]) -> None:
        """Compute a chat completion; blocks its thread. A true answer of the callback stops the computation."""
        ...


def load_native_server(settings: Settings, socket_path: Path, internal_key: str) -> NativeServer:
    """Load the model; blocks.

    Args:
        settings: Which model, and how many slots of which size.
        socket_path: Where the native HTTP listener is put: it cannot be switched off, and it counts tokens.
        internal_key: Key of that listener.

    Raises:
        RuntimeError: The weights cannot be loaded.
    """
    native: Any = importlib.import_module("xllamacpp")  # Any: the extension module has no stubs.
    params: Any = native.CommonParams()
    params.model.path = str(settings.gguf_path)
    params.n_ctx = settings.context_tokens * settings.parallel_slots
    params.n_parallel = settings.parallel_slots
    params.n_batch = _BATCH_TOKENS
    params.n_ubatch = _BATCH_TOKENS
    for threads in (params.cpuparams, params.cpuparams_batch):
        threads.n_threads = settings.threads
        # Polling threads burn the cores that the server's event loop needs.
        threads.poll = 0
    params.n_gpu_layers = 0
    params.warmup = False
    params.ctx_shift = False
    # Saved prompts of other requests cost memory; a slot's own last prompt is reused (see LlamaEngine).
    params.cache_ram_mib = 0
    params.cache_idle_slots = False
    params.n_threads_http = 1
    params.hostnames = [str(socket_path)]
    params.api_keys = [internal_key]
    params.ui = False
    params.endpoint_slots = False
    params.endpoint_props = False
    params.verbosity = 1
    return cast("NativeServer", native.Server(params))
