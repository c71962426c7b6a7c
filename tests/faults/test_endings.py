"""However a call ends, on whichever port, it gives back its place: what counts, watches or waits is back at nothing afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import random
import struct
from typing import TYPE_CHECKING, Any, cast

import grpc
import pytest

from antiphon.api.completion.v1 import completion_service_pb2 as pb
from antiphon.api.core.v1.completion_pb2 import CompletionSpec
from antiphon.api.core.v1.message_pb2 import Message, Part, Role
from antiphon.calls.slow_clients import SlowClients
from antiphon.errors import Reason, UnavailableError
from tests.support.raw_http2 import DATA, RST_STREAM, RawConnection, frame
from tests.support.scripted import SCRIPTED, ScriptedModel, scripted_kinds, text_events
from tests.support.serving import COMPLETION, ServerUnderTest, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

SPEC = CompletionSpec(model="default", messages=[Message(role=Role.ROLE_USER, parts=[Part(text="Hi")])])
BODY = pb.StreamCompleteRequest(spec=SPEC).SerializeToString()
JSON_BODY = json.dumps({"spec": {"model": "default", "messages": [{"role": "ROLE_USER", "parts": [{"text": "Hi"}]}]}}).encode()
METHODS = [
    *(f"{COMPLETION}/{name}" for name in ("Complete", "StreamComplete", "CountTokens", "Nothing")),
    "/antiphon.api.model.v1.ModelService/ListModels",
    "/antiphon.api.health.v1.HealthService/GetHealth",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
]
ENDINGS = 300
AT_A_TIME = 30


def pause_s(dice: random.Random) -> float:
    return dice.choice((0.0, 0.001, 0.005, 0.02, 0.05))


async def over_grpc(server: ServerUnderTest, dice: random.Random) -> None:
    """Calls and is cancelled, late, broken, or let be."""
    body = dice.choice((BODY, BODY, BODY, b"", b"\xff", BODY * 3))
    call = cast("Any", server.channel).unary_stream(dice.choice(METHODS))(body, timeout=dice.choice((0.0001, 0.01, 0.03, 0.2)))
    cancelling = asyncio.get_running_loop().call_later(pause_s(dice), call.cancel) if dice.random() < 0.4 else None
    with contextlib.suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
        async for _ in call:
            await asyncio.sleep(pause_s(dice))
    if cancelling is not None:
        cancelling.cancel()


async def by_half_over_grpc(server: ServerUnderTest, dice: random.Random) -> None:
    """Sends a part of a request, and then resets the call or drops the connection."""
    async with RawConnection(server.target, window=dice.choice((0, 10, 65_535))) as connection:
        for _ in range(3):
            stream = connection.call(dice.choice(METHODS), None, ends=False)
            whole = b"\x00" + struct.pack(">I", len(BODY)) + BODY
            connection.send(frame(DATA, whole[: dice.randrange(len(whole) + 1)], dice.choice((0, 1)), stream))
            await asyncio.sleep(pause_s(dice))
            if dice.random() < 0.5:
                connection.send(frame(RST_STREAM, b"\x00\x00\x00\x08", 0, stream))


async def over_http(server: ServerUnderTest, dice: random.Random) -> None:
    """Sends a request, whole or cut anywhere, and leaves at any time."""
    method = dice.choice(METHODS)
    kind, body = "application/json", JSON_BODY
    if method.endswith("StreamComplete"):
        kind, body = "application/connect+json", b"\x00" + struct.pack(">I", len(JSON_BODY)) + JSON_BODY
    if dice.random() < 0.4:
        kind, body = "application/grpc-web", b"\x00" + struct.pack(">I", len(BODY)) + BODY
    timeout = dice.choice(("", "Connect-Timeout-Ms: 20\r\nGrpc-Timeout: 20m\r\n", "Connect-Timeout-Ms: 0\r\n", "Grpc-Timeout: x\r\n"))
    head = f"POST {method} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n{timeout}Content-Length: {len(body)}\r\n\r\n"
    sent = head.encode() + body
    if dice.random() < 0.4:
        sent = sent[: dice.randrange(len(sent))]
    reader, writer = await asyncio.open_connection("127.0.0.1", server.application.http.port)
    writer.write(sent)
    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(pause_s(dice) + dice.choice((0.0, 0.3))):
            await reader.read(dice.choice((1, 10_000)))
    if dice.random() < 0.5:
        writer.transport.abort()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def left(server: ServerUnderTest, model: ScriptedModel) -> dict[str, int]:
    """Returns what still counts a call."""
    application = server.application
    handlers: Any = application.rpc._standard.handlers
    admission: Any = handlers._methods._steps.admission
    counts = {
        "admitted": admission._running,
        "admitted health": admission._running_health,
        "in flight": len(application.rpc._calls),
        "standard": len(application.rpc._standard_calls),
        "watched": sum(len(one) for one in gc.get_objects() if type(one) is SlowClients),
        "provider's streams": model.open_streams,
        **{f"gauge of {values}": int(child.value) for values, child in application.metrics.calls_in_progress.known()},
        "reading": 0 if handlers._reading._value == 16 else 1,
    }
    return {name: count for name, count in counts.items() if count}


@pytest.mark.parametrize("ways", [(over_grpc, by_half_over_grpc), (over_http,)], ids=["grpc", "http"])
async def test_no_ending_keeps_a_place(
    tmp_path: Path, ways: tuple[Callable[[ServerUnderTest, random.Random], Coroutine[Any, Any, None]], ...]
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    dice = random.Random(seed)

    async def waits() -> None:
        await asyncio.sleep(pause_s(dice))
        if dice.random() < 0.1:
            raise UnavailableError(Reason.ERROR_REASON_PROVIDER_UNAVAILABLE, "gone")
        if dice.random() < 0.1:
            raise ZeroDivisionError("a fault of our own")

    model = ScriptedModel(script=[waits, *[one for batch in text_events("a", "b" * 30_000) for one in (batch, waits)]])
    settings = {**SCRIPTED, "limits": {"concurrent_calls": 20, "slow_reader_s": 0.2}, "log": {"level": "error", "access": False}}
    async with serving(tmp_path, settings, scripted_kinds(model)) as server:
        for _ in range(ENDINGS // AT_A_TIME):
            await asyncio.gather(*(dice.choice(ways)(server, dice) for _ in range(AT_A_TIME)))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10):
                while left(server, model):
                    await asyncio.sleep(0.05)
        assert {} == left(server, model), f"seed {seed}"
