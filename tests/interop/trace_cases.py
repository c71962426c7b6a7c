"""Every way a call can end, and what its trace must say of it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
from grpc_reflection.v1alpha import reflection_pb2

from antiphon_client import AntiphonError, AsyncClient
from antiphon_client.contract import model
from antiphon_client.telemetry import CallTracer
from tests.simulators.openai import Answer, Delivery, Silence, internal_error, rate_limited

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from opentelemetry.trace import TracerProvider

    from tests.simulators.openai.server import OpenAISimulator, Reply
    from tests.support.fault_proxy import FaultProxy
    from tests.support.serving import ServerUnderTest

COMPLETION = "antiphon.api.completion.v1.CompletionService"
REFLECTION = "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
# Enough for a busy machine to come as far as the case wants.
_SHORT_S = 1.5
_ENDLESS = Answer(tokens=("word ",), delivery=Delivery(endless=True, token_delay_s=0.01))
_FLOOD = Answer(tokens=("x" * 4000,), delivery=Delivery(endless=True))


@dataclass(frozen=True)
class Scene:
    """What a case plays in.

    Attributes:
        target: Where the client connects; the fault proxy.
    """

    server: ServerUnderTest
    simulator: OpenAISimulator
    proxy: FaultProxy
    client: AsyncClient
    tracer: CallTracer
    target: str


@dataclass(frozen=True)
class Seen:
    """What a span says of the end: its status, its code where it has one, and what failed.

    Attributes:
        status: UNSET or ERROR.
        code: The gRPC status code; empty for a model's span.
        error: `error.type`; empty where nothing failed.
    """

    status: str
    code: str = ""
    error: str = ""


OK = Seen("UNSET", "OK")
ANSWERED = Seen("UNSET")
LEFT = Seen("ERROR", "CANCELLED", "CANCELLED")
CANCELLED = Seen("UNSET", "CANCELLED", "CANCELLED")
LATE = Seen("ERROR", "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED")
LOST = Seen("ERROR", "UNAVAILABLE", "UNAVAILABLE")
ABANDONED = Seen("UNSET", "", "CANCELLED")


@dataclass(frozen=True)
class Case:
    """One way to end.

    Attributes:
        name: What happens.
        method: What is called, as in `package.Service/Method`.
        play: Makes the call and ends it.
        client: What the client's span says.
        server: What the server's span says.
        model: What the model's span says; None where no model is asked.
        reply: How the provider answers.
        settings: What the server is configured with.
    """

    name: str
    method: str
    play: Callable[[Scene], Awaitable[None]]
    client: Seen
    server: Seen
    model: Seen | None = None
    reply: Reply | None = None
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def kind(self) -> str:
        return {"Complete": "unary", "StreamComplete": "stream", "ServerReflectionInfo": "bidi"}.get(
            self.method.rpartition("/")[2], "unary"
        )


async def open_scene(server: ServerUnderTest, simulator: OpenAISimulator, proxy: FaultProxy, provider: TracerProvider) -> Scene:
    client = AsyncClient(proxy.address, tracing=provider, retries=0)
    return Scene(server, simulator, proxy, client, CallTracer(provider, proxy.address, "0"), proxy.address)


# --- unary ------------------------------------------------------------------------------------------------------------------------------


async def _complete(scene: Scene, **parameters: Any) -> None:
    with contextlib.suppress(AntiphonError):
        await scene.client.completions.create(model="default", messages="Hi", **parameters)


async def _complete_nothing(scene: Scene) -> None:
    with contextlib.suppress(AntiphonError):
        await scene.client.completions.create(model="default", messages=[])


async def _call_nothing(scene: Scene) -> None:
    with contextlib.suppress(AntiphonError):
        await scene.client.raw.unary("/antiphon.api.model.v1.ModelService/Guess", model.GetModelRequest(), model.GetModelResponse)


async def _complete_late(scene: Scene) -> None:
    await _complete(scene, timeout_s=_SHORT_S)


async def _while_asked(scene: Scene, disturb: Callable[[asyncio.Task[None]], Awaitable[None]]) -> None:
    calling = asyncio.create_task(_complete(scene))
    await scene.simulator.received()
    await disturb(calling)
    with contextlib.suppress(asyncio.CancelledError):
        await calling


async def _complete_cancelled(scene: Scene) -> None:
    async def disturb(calling: asyncio.Task[None]) -> None:
        calling.cancel()
        await scene.simulator.disconnected()

    await _while_asked(scene, disturb)


async def _complete_broken(scene: Scene) -> None:
    async def disturb(calling: asyncio.Task[None]) -> None:
        del calling
        scene.proxy.reset()
        await scene.simulator.disconnected()

    await _while_asked(scene, disturb)


async def _complete_drained(scene: Scene) -> None:
    async def disturb(calling: asyncio.Task[None]) -> None:
        del calling
        await scene.server.application.rpc.drain()

    await _while_asked(scene, disturb)


# --- streams ----------------------------------------------------------------------------------------------------------------------------


async def _stream(scene: Scene, **parameters: Any) -> None:
    with contextlib.suppress(AntiphonError):
        async with scene.client.completions.stream(model="default", messages="Hi", **parameters) as stream:
            await stream.final()


async def _stream_late(scene: Scene) -> None:
    await _stream(scene, timeout_s=_SHORT_S)


async def _mid_stream(scene: Scene, disturb: Callable[[], Awaitable[None]], **parameters: Any) -> None:
    with contextlib.suppress(AntiphonError):
        async with scene.client.completions.stream(model="default", messages="Hi", **parameters) as stream:
            text = aiter(stream.text_stream())
            await anext(text)
            await disturb()
            async for _ in text:
                pass


async def _stream_left(scene: Scene) -> None:
    with contextlib.suppress(AntiphonError):
        async with scene.client.completions.stream(model="default", messages="Hi") as stream:
            async for _ in stream.text_stream():
                break
    await scene.simulator.disconnected()


async def _stream_broken(scene: Scene) -> None:
    async def disturb() -> None:
        scene.proxy.reset()
        await scene.simulator.disconnected()

    await _mid_stream(scene, disturb)


async def _stream_drained(scene: Scene) -> None:
    await _mid_stream(scene, scene.server.application.rpc.drain)


async def _stream_unread(scene: Scene) -> None:
    async def disturb() -> None:
        scene.proxy.stall()
        await scene.simulator.disconnected(timeout_s=10)
        scene.proxy.resume()

    await _mid_stream(scene, disturb)


async def _stream_unread_until_late(scene: Scene) -> None:
    async def disturb() -> None:
        scene.proxy.stall()
        await scene.simulator.disconnected(timeout_s=10)
        scene.proxy.resume()

    await _mid_stream(scene, disturb, timeout_s=_SHORT_S)


# --- both directions --------------------------------------------------------------------------------------------------------------------


async def _converse(scene: Scene, end: Callable[[Any], Awaitable[None]], timeout_s: float | None = None) -> None:
    """Asks reflection for the services, then ends as told; the span is made as an application's own would be."""
    span = scene.tracer.begin(f"/{REFLECTION}")
    pb: Any = reflection_pb2
    async with grpc.aio.insecure_channel(scene.target) as channel:
        converse: Any = channel.stream_stream(
            f"/{REFLECTION}",
            request_serializer=pb.ServerReflectionRequest.SerializeToString,
            response_deserializer=pb.ServerReflectionResponse.FromString,
        )
        call = converse(metadata=span.metadata, timeout=timeout_s)
        try:
            await call.write(pb.ServerReflectionRequest(list_services=""))
            await call.read()
            await end(call)
            while await call.read() is not grpc.aio.EOF:
                pass
        except grpc.aio.AioRpcError as error:
            span.end(AntiphonError(error.code(), ""))
        except asyncio.CancelledError as error:
            span.end(error)
        else:
            span.end()


async def _converse_to_the_end(scene: Scene) -> None:
    await _converse(scene, lambda call: call.done_writing())


async def _converse_cancelled(scene: Scene) -> None:
    async def cancel(call: Any) -> None:
        call.cancel()

    await _converse(scene, cancel)
    await asyncio.sleep(0.1)


async def _converse_broken(scene: Scene) -> None:
    async def reset(call: Any) -> None:
        del call
        scene.proxy.reset()

    await _converse(scene, reset)
    await asyncio.sleep(0.1)


async def _converse_late(scene: Scene) -> None:
    async def wait(call: Any) -> None:
        del call

    await _converse(scene, wait, timeout_s=_SHORT_S)
    await asyncio.sleep(0.1)


_COMPLETE = f"{COMPLETION}/Complete"
_STREAM = f"{COMPLETION}/StreamComplete"
_SHORT_GRACE = {"server": {"drain_grace_s": 0.2}}


def _failed(code: str, reason: str) -> dict[str, Any]:
    client_fault = code in {"RESOURCE_EXHAUSTED", "ABORTED"}
    return {
        "client": Seen("ERROR", code, reason),
        "server": Seen("UNSET" if client_fault else "ERROR", code, reason),
        "model": Seen("ERROR", "", reason),
    }


def _drained() -> dict[str, Any]:
    told = Seen("ERROR", "UNAVAILABLE", "SERVER_DRAINING")
    return {"client": told, "server": told, "model": ABANDONED}


CASES = (
    Case("it goes well", _COMPLETE, _complete, OK, OK, ANSWERED),
    Case(
        "the request is wrong",
        _COMPLETE,
        _complete_nothing,
        Seen("ERROR", "INVALID_ARGUMENT", "EMPTY_CONVERSATION"),
        Seen("UNSET", "INVALID_ARGUMENT", "EMPTY_CONVERSATION"),
    ),
    Case(
        "there is no such method",
        "antiphon.api.model.v1.ModelService/Guess",
        _call_nothing,
        Seen("ERROR", "UNIMPLEMENTED", "METHOD_NOT_FOUND"),
        Seen("ERROR", "UNIMPLEMENTED", "METHOD_NOT_FOUND"),
    ),
    Case(
        "the provider answers 429",
        _COMPLETE,
        _complete,
        reply=rate_limited(),
        **_failed("RESOURCE_EXHAUSTED", "PROVIDER_RATE_LIMITED"),
    ),
    Case("the provider answers 500", _COMPLETE, _complete, reply=internal_error(), **_failed("UNAVAILABLE", "PROVIDER_UNAVAILABLE")),
    Case("the client cancels", _COMPLETE, _complete_cancelled, LEFT, CANCELLED, ABANDONED, Silence()),
    Case("the deadline comes", _COMPLETE, _complete_late, reply=Silence(), **_failed("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED")),
    Case("the connection breaks", _COMPLETE, _complete_broken, LOST, CANCELLED, ABANDONED, Silence()),
    Case("the server drains", _COMPLETE, _complete_drained, reply=Silence(), settings=_SHORT_GRACE, **_drained()),
    Case("it goes well", _STREAM, _stream, OK, OK, ANSWERED),
    Case("the client leaves", _STREAM, _stream_left, LEFT, CANCELLED, ABANDONED, _ENDLESS),
    Case("the deadline comes", _STREAM, _stream_late, reply=_ENDLESS, **_failed("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED")),
    Case("the deadline comes while nobody reads", _STREAM, _stream_unread_until_late, LATE, LATE, ABANDONED, _FLOOD),
    Case("the connection breaks", _STREAM, _stream_broken, LOST, CANCELLED, ABANDONED, _ENDLESS),
    Case(
        "the provider breaks off",
        _STREAM,
        _stream,
        reply=Answer(tokens=("a", "b", "c"), delivery=Delivery(hang_up_after=2)),
        **_failed("UNAVAILABLE", "PROVIDER_UNAVAILABLE"),
    ),
    Case("the server drains", _STREAM, _stream_drained, reply=_ENDLESS, settings=_SHORT_GRACE, **_drained()),
    Case(
        "the reader stays away",
        _STREAM,
        _stream_unread,
        Seen("ERROR", "ABORTED", "SLOW_READER"),
        Seen("UNSET", "ABORTED", "SLOW_READER"),
        ABANDONED,
        _FLOOD,
        {"limits": {"slow_reader_s": 0.4}},
    ),
    Case("it goes well", REFLECTION, _converse_to_the_end, OK, OK),
    Case("the client cancels", REFLECTION, _converse_cancelled, LEFT, CANCELLED),
    Case("the deadline comes", REFLECTION, _converse_late, LATE, LATE),
    Case("the connection breaks", REFLECTION, _converse_broken, LOST, CANCELLED),
)


def table() -> str:
    """Returns the cases as the documentation shows them."""
    lines = ["| call | what happens | client's span | server's span | model's span |", "|---|---|---|---|---|"]
    for case in CASES:
        cells = (case.kind, case.name, _cell(case.client), _cell(case.server), "" if case.model is None else _cell(case.model))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(seen: Seen) -> str:
    said = " ".join(f"`{word}`" for word in dict.fromkeys((seen.code, seen.error)) if word)
    return f"{'error' if seen.status == 'ERROR' else 'unset'} {said}".rstrip()
