"""`python -m antiphon.embedded.model_server`: reads its settings from standard input, serves until it is told to end.

It reports to the parent in JSON lines on standard output: `{"event": "loading"}`, then `{"event": "ready", "port": n}`
or `{"event": "failed", "message": ...}`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, BinaryIO

import orjson
import uvloop
from aiohttp import web

from antiphon.embedded.model_server.chat_service import ChatService
from antiphon.embedded.model_server.http_app import ChatRoutes
from antiphon.embedded.model_server.lifetime import PARENT_DIED, end_with_parent, leave
from antiphon.embedded.model_server.llama_engine import LlamaEngine
from antiphon.embedded.model_server.minilm_embedder import MiniLmEmbedder
from antiphon.embedded.model_server.settings import Settings, parse_settings

if TYPE_CHECKING:
    from antiphon.embedded.model_server.json_types import JsonObject

_LONGEST_GOODBYE_S = 0.2
_CANNOT_LOAD = 3


def main() -> None:
    """Run the process."""
    stdin = sys.stdin.buffer
    events = _take_standard_output()
    settings = parse_settings(stdin.readline())
    end_with_parent(settings.parent_pid, stdin, settings.runtime_dir)
    uvloop.run(_serve(settings, events))


async def _serve(settings: Settings, events: BinaryIO) -> None:
    _report(events, {"event": "loading"})
    try:
        engine = await asyncio.to_thread(LlamaEngine, settings)
    except (RuntimeError, OSError, ImportError) as error:
        _report(events, {"event": "failed", "message": f"{settings.gguf_path.name}: {error}"})
        leave(settings.runtime_dir, _CANNOT_LOAD)
    told_to_end = asyncio.Event()
    # After loading: the native library installs signal handlers of its own while it loads. What is sent to a whole group of processes (Ctrl-C, a service
    # manager's SIGTERM) is the server's to heed: it drains first, and then ends this process by its standard input.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    asyncio.get_running_loop().add_signal_handler(PARENT_DIED, told_to_end.set)
    embedder = MiniLmEmbedder(settings.embedder_path, settings.embedder_tokenizer_path)
    routes = ChatRoutes(
        ChatService(engine, embedder),
        api_key=settings.api_key,
        model_name=settings.model_name,
        default_max_tokens=settings.default_max_tokens,
    )
    runner = web.AppRunner(routes.application(), access_log=None, handler_cancellation=True, shutdown_timeout=_LONGEST_GOODBYE_S)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    await web.SockSite(runner, listener).start()
    _report(events, {"event": "ready", "port": listener.getsockname()[1]})
    await told_to_end.wait()
    await runner.cleanup()
    leave(settings.runtime_dir, 0)


def _take_standard_output() -> BinaryIO:
    """Keep standard output for events: whatever a native library prints goes to standard error from now on."""
    events = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return events


def _report(events: BinaryIO, event: JsonObject) -> None:
    events.write(orjson.dumps(event) + b"\n")


if __name__ == "__main__":
    main()
