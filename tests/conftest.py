"""Fixtures that every test has: nothing is left behind, and nothing of Antiphon's blocks the event loop."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
from typing import TYPE_CHECKING, Any

import grpc
import hypothesis
import pytest
import structlog
from blockbuster import blockbuster as blockbuster_module

import antiphon
from tests.support.faker import MessageFaker
from tests.support.leaks import Held, left_over, left_tasks

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

# The same examples in every run; `HYPOTHESIS_PROFILE=seek` looks for new ones.
hypothesis.settings.register_profile("ci", derandomize=True, deadline=None, database=None, print_blob=True)
hypothesis.settings.register_profile("seek", deadline=None, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

_MAY_BLOCK = (
    # Read once, before anything is served; a test that loads a configuration does it on its own loop.
    ("antiphon/config/loading.py", {"load"}),
    # The kernel answers for these files from memory, in microseconds: no disk is waited for.
    ("antiphon/calls/memory.py", {"_text"}),
    # The measuring of coverage, which waits for a thread that it measures, too.
    ("coverage/collector.py", {"lock_data"}),
)


def pytest_configure(config: pytest.Config) -> None:
    """Names the markers of the house, and hears Ctrl-C again where it was started in the background, so that the programs it starts do, too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "lingers(why): the test leaves threads or descriptors behind on purpose")
    config.addinivalue_line("markers", "may_block(why): the test blocks the event loop on purpose")


@pytest.fixture(scope="session", autouse=True)
def grpc_runtime() -> Generator[None]:
    """Keeps grpc.aio's poller for the whole run, so that its thread and descriptors are there before the first test looks."""
    grpc.aio.init_grpc_aio()

    async def warm_up() -> None:
        server = grpc.aio.server()
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            await channel.channel_ready()
        await server.stop(None)

    asyncio.run(warm_up())
    yield
    grpc.aio.shutdown_grpc_aio()


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Generator[None]:
    """Fails a test after which more threads, sockets, pipes or files are open than before it, its event loop closed."""
    if request.node.get_closest_marker("lingers"):
        yield
        return
    before = Held.now()
    yield
    left = left_over(before)
    assert [] == left, f"left behind: {left}"


@pytest.fixture(autouse=True)
def nothing_left_running(request: pytest.FixtureRequest, nothing_left_behind: None) -> None:
    """Has the tasks of an asynchronous test looked at; a synchronous one gets no event loop for it."""
    mark = request.node.get_closest_marker("asyncio")
    if _is_async(request) and not (mark and mark.kwargs.get("loop_scope", "function") != "function"):
        request.getfixturevalue("no_task_left")


@pytest.fixture
async def no_task_left() -> AsyncGenerator[None, None]:
    """Fails a test after which tasks of its loop still run."""
    before: set[asyncio.Task[Any]] = asyncio.all_tasks()
    yield
    left = await left_tasks(before)
    assert [] == left, f"tasks left: {left}"


@pytest.fixture(autouse=True)
def nothing_blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Fails a test during which Antiphon's code made a blocking call on the event loop, even where the error was caught on its way."""
    if not _is_async(request) or request.node.get_closest_marker("may_block"):
        yield
        return
    seen: list[str] = []

    class Noted(blockbuster_module.BlockingError):
        def __init__(self, func: str) -> None:
            seen.append(func)
            super().__init__(func)

    monkeypatch.setattr(blockbuster_module, "BlockingError", Noted)
    with blockbuster_module.blockbuster_ctx([antiphon]) as watching:
        for function in watching.functions.values():
            for file, names in _MAY_BLOCK:
                function.can_block_in(file, names)
        yield
    assert [] == seen, f"blocking calls on the event loop: {seen}"


@pytest.fixture(autouse=True)
def log_entries() -> list[Any]:
    """What is logged during the test, as structlog's event dictionaries."""
    capture = structlog.testing.LogCapture()
    structlog.configure(processors=[capture], cache_logger_on_first_use=False)
    return capture.entries


@pytest.fixture
def faker() -> MessageFaker:
    """Random messages from a fixed seed."""
    return MessageFaker(20_261_122)


def _is_async(request: pytest.FixtureRequest) -> bool:
    return inspect.iscoroutinefunction(getattr(request.node, "obj", None))
