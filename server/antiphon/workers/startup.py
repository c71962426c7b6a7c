"""What a process that serves does before it imports the rest, and once everything is there."""

from __future__ import annotations

import asyncio
import gc
import importlib
import sys

from antiphon.config import disable_fork_handlers

# Objects made between two runs of the collector's youngest generation; Python's default is 700.
_GC_THRESHOLD = 20_000


def prepare_imports() -> None:
    """Keeps out what serving does not need. Call it before anything imports grpc or structlog."""
    disable_fork_handlers()
    if "structlog" in sys.modules or "rich" in sys.modules:
        return
    # structlog imports rich where it is installed, which takes longer than the rest of it; a server draws no tables.
    blocked: dict[str, None] = {"rich": None}
    sys.modules.update(blocked)  # pyright: ignore[reportCallIssue, reportArgumentType]  # None is how the import system is told that there is none
    try:
        importlib.import_module("structlog")
    finally:
        del sys.modules["rich"]


def new_loop() -> asyncio.AbstractEventLoop:
    """Makes the loop that serves."""
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


def keep_what_is_there() -> None:
    """Tells the collector that what is here now stays: it need not walk it again, nor run for every few hundred events of a stream."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD)
