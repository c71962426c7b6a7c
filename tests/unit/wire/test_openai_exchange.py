"""Whatever a provider sends, a call ends in an answer or in one typed failure, and its connection is given back or closed."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, cast

import orjson
import pytest

from antiphon.api.core.v1.completion_pb2 import CompletionSpec
from antiphon.api.core.v1.error_pb2 import ErrorReason
from antiphon.egress.configured import EgressError, Endpoint, EndpointSettings
from antiphon.errors import AntiphonError
from antiphon.ports.chat_model import WHOLE, Delivery
from antiphon.wire.openai import exchange as exchange_module
from antiphon.wire.openai.dialect import Dialect
from antiphon.wire.openai.exchange import ChatExchange
from tests.conformance.answers import Answer as Collected
from tests.conformance.answers import collect
from tests.simulators.openai import Answer, Failure, HangUp, OpenAISimulator, Raw, Silence
from tests.simulators.openai import Delivery as Sending
from tests.support.long_work import longest_conversation, turns_of_others

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from antiphon.api.core.v1.event_pb2 import Event
    from tests.simulators.openai.server import Reply

INCREMENTAL = Delivery(incremental=True)
CHUNK = {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]}


@dataclass
class Wired:
    """An exchange with the simulator."""

    simulator: OpenAISimulator
    exchange: ChatExchange

    async def ask(self, delivery: Delivery = INCREMENTAL) -> Collected:
        spec = CompletionSpec()
        spec.messages.add(role="ROLE_USER").parts.add(text="Hi")
        return collect([event async for batch in self.exchange.stream(spec, "sim-1", delivery) for event in batch])

    async def fail(self, delivery: Delivery = INCREMENTAL) -> AntiphonError:
        with pytest.raises(AntiphonError) as caught:
            await self.ask(delivery)
        return caught.value


@pytest.fixture
async def wired() -> AsyncGenerator[Wired, None]:
    async with OpenAISimulator(api_key=None) as simulator:
        endpoint = Endpoint(EndpointSettings(simulator.base_url))
        yield Wired(simulator, ChatExchange(endpoint, Dialect("acme")))
        await endpoint.close()


class Unreachable:
    """An endpoint that waits for nothing."""

    async def post(self, path: str, body: bytes) -> NoReturn:
        del path, body
        raise EgressError("nobody is there", connected=False)


async def test_other_calls_get_their_turns_while_the_longest_conversation_is_written() -> None:
    exchange = ChatExchange(cast("Any", Unreachable()), Dialect("acme"))

    async def ask() -> None:
        with pytest.raises(AntiphonError):
            await anext(exchange.stream(longest_conversation(), "sim-1", INCREMENTAL))

    # Held as one piece, there would be one at most.
    assert await turns_of_others(ask()) >= 3


SENDINGS: dict[str, Sending] = {
    "paced": Sending(token_delay_s=0.005),
    "together": Sending(coalesce=True),
    "cut at every byte": Sending(piece_bytes=1),
    "cut at every third byte, CRLF": Sending(piece_bytes=3, line_end="\r\n"),
    "CR": Sending(line_end="\r"),
    "keep-alives": Sending(keep_alives=True),
    "no mark of the end": Sending(done=False),
    "no blank line at the end": Sending(final_blank_line=False),
    "usage in each chunk": Sending(usage_in_each_chunk=True),
    "a slow head": Sending(headers_delay_s=0.05, first_token_delay_s=0.05),
}


@pytest.mark.parametrize("sending", SENDINGS.values(), ids=SENDINGS)
async def test_however_it_is_sent(wired: Wired, sending: Sending) -> None:
    wired.simulator.script(Answer(tokens=("Hel", "lo ", "wörld 🌍"), delivery=sending))

    assert "Hello wörld 🌍" == (await wired.ask()).text


async def test_a_finished_stream_gives_its_connection_back(wired: Wired) -> None:
    for _ in range(5):
        await wired.ask()
        await wired.ask(WHOLE)

    assert 1 == wired.simulator.open_connections


BROKEN: dict[str, tuple[Reply, str]] = {
    "a page": (Raw(b"<html>", "text/html"), "PROTOCOL_ERROR"),
    "a page that calls itself a stream": (Raw(b"<html>\n\n"), "PROTOCOL_ERROR"),
    "JSON": (Raw(orjson.dumps(CHUNK), "application/json"), "PROTOCOL_ERROR"),
    "nothing": (Raw(b""), "PROTOCOL_ERROR"),
    "only the end": (Raw(b"data: [DONE]\n\n"), "PROTOCOL_ERROR"),
    "no JSON": (Raw(b"data: x\n\n"), "PROTOCOL_ERROR"),
    "a list": (Raw(b"data: []\n\n"), "PROTOCOL_ERROR"),
    "no end": (Raw(b"data: " + orjson.dumps(CHUNK) + b"\n\n"), "PROTOCOL_ERROR"),
    "half an event": (Raw(b"data: " + orjson.dumps(CHUNK)[:20]), "PROTOCOL_ERROR"),
    "garbage in mid-stream": (Answer(tokens=("a", "b"), delivery=Sending(garbage_after=2)), "PROTOCOL_ERROR"),
    "a huge event": (Answer(tokens=("a", "b"), delivery=Sending(huge_after=2)), "PROTOCOL_ERROR"),
    "an error in mid-stream": (Answer(tokens=("a", "b"), delivery=Sending(error_after=2)), "UNAVAILABLE"),
    "a reset in mid-stream": (Answer(tokens=("a", "b"), delivery=Sending(reset_after=2)), "UNAVAILABLE"),
    "a hang-up in mid-stream": (Answer(tokens=("a", "b"), delivery=Sending(hang_up_after=2)), "UNAVAILABLE"),
    "a reset before the head": (HangUp(), "UNAVAILABLE"),
    "a hang-up before the head": (HangUp(reset=False), "UNAVAILABLE"),
    "no HTTP": (HangUp(b"\x00\x01\x02 not HTTP\r\n\r\n", reset=False), "UNAVAILABLE"),
    "broken chunks": (
        HangUp(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", reset=False),
        "UNAVAILABLE",
    ),
    "broken compression": (
        HangUp(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd", reset=False
        ),
        "UNAVAILABLE",
    ),
    "a redirect": (Raw(b"", None, 302, {"Location": "http://127.0.0.1:1/"}), "PROTOCOL_ERROR"),
    "a page for an error": (Raw(b"<html>" + b"x" * 2**18, "text/html", 503), "UNAVAILABLE"),
}


@pytest.mark.parametrize(("reply", "reason"), BROKEN.values(), ids=BROKEN)
async def test_broken_stream(wired: Wired, reply: Reply, reason: str) -> None:
    wired.simulator.script(reply)

    failure = await wired.fail()

    assert f"ERROR_REASON_PROVIDER_{reason}" == ErrorReason.Name(failure.reason)
    assert failure.provider_error is not None
    assert ("acme", "sim-1") == (failure.provider_error.provider, failure.provider_error.model)


BROKEN_WHOLE: dict[str, tuple[Reply, str]] = {
    "a page": (Raw(b"<html>", "text/html"), "PROTOCOL_ERROR"),
    "a page that calls itself JSON": (Raw(b"<html>", "application/json"), "PROTOCOL_ERROR"),
    "nothing": (Raw(b"", "application/json"), "PROTOCOL_ERROR"),
    "no choice": (Raw(b'{"choices": []}', "application/json"), "PROTOCOL_ERROR"),
    "a stream": (Raw(b"data: [DONE]\n\n"), "PROTOCOL_ERROR"),
    "an error as a success": (Raw(b'{"error": {"message": "m", "type": "server_error"}}', "application/json"), "UNAVAILABLE"),
    "a reset": (HangUp(), "UNAVAILABLE"),
    "half a body": (
        HangUp(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{", reset=False),
        "UNAVAILABLE",
    ),
}


@pytest.mark.parametrize(("reply", "reason"), BROKEN_WHOLE.values(), ids=BROKEN_WHOLE)
async def test_broken_whole_reply(wired: Wired, reply: Reply, reason: str) -> None:
    wired.simulator.script(reply)

    failure = await wired.fail(WHOLE)

    assert f"ERROR_REASON_PROVIDER_{reason}" == ErrorReason.Name(failure.reason)


async def test_a_whole_reply_is_bounded(wired: Wired, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_module, "WHOLE_REPLY_LIMIT_BYTES", 1000)
    wired.simulator.script(Answer(tokens=("x" * 2000,)))

    assert "larger than 1000 bytes" in (await wired.fail(WHOLE)).message


async def test_a_reply_without_a_type_is_taken_at_its_bytes(wired: Wired) -> None:
    reply = {"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]}
    wired.simulator.script(
        HangUp(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(orjson.dumps(reply)) + orjson.dumps(reply), reset=False)
    )

    assert "a" == (await wired.ask(WHOLE)).text


async def test_the_providers_name_for_the_request_is_kept(wired: Wired) -> None:
    wired.simulator.script(Failure(400, "No.", "invalid_request_error", "some_code"))

    told = (await wired.fail()).provider_error

    assert told is not None
    assert (400, "some_code", "req_1") == (told.http_status, told.code, told.request_id)


async def test_a_refused_connection_is_unavailable() -> None:
    endpoint = Endpoint(EndpointSettings("http://127.0.0.1:1/v1"))
    exchange = ChatExchange(endpoint, Dialect("acme"))

    with pytest.raises(AntiphonError) as caught:
        await exchange.model_ids()
    await endpoint.close()

    assert (ErrorReason.ERROR_REASON_PROVIDER_UNAVAILABLE, 1.0) == (caught.value.reason, caught.value.retry_after_s)


async def test_an_endless_stream_stops_when_its_reader_does(wired: Wired) -> None:
    wired.simulator.script(Answer(tokens=("token ",), delivery=Sending(endless=True)))
    spec = CompletionSpec()
    spec.messages.add(role="ROLE_USER").parts.add(text="Hi")
    batches = wired.exchange.stream(spec, "sim-1", INCREMENTAL)
    await anext(batches)

    # A reader that does not read holds the sender up once the buffers between them are full, and nothing grows.
    record = wired.simulator.requests[0]
    async with asyncio.timeout(30):
        sent = 0
        while sent < record.sent_events:
            sent = record.sent_events
            await asyncio.sleep(0.3)
    await batches.aclose()
    await wired.simulator.disconnected()


ENDED = b"data: " + orjson.dumps({"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]}) + b"\n\ndata: [DONE]\n\n"


@dataclass
class Lingering:
    """A server whose replies end some time after their answers.

    Attributes:
        linger_s: How long after.
        connections: How many were made to it.
    """

    linger_s: float
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers every request of a connection."""
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
                writer.write(b"%x\r\n" % len(ENDED) + ENDED + b"\r\n")
                await asyncio.sleep(self.linger_s)
                writer.write(b"0\r\n\r\n")
        writer.close()


@pytest.mark.parametrize(("linger_s", "connections"), [(0.02, 1), (1, 2)], ids=["a moment", "too long"])
async def test_a_reply_that_lingers_after_its_answer_holds_neither_the_answer_nor_the_call(linger_s: float, connections: int) -> None:
    lingering = Lingering(linger_s)
    server = await asyncio.start_server(lingering.serve, "127.0.0.1", 0)
    endpoint = Endpoint(EndpointSettings(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
    exchange = ChatExchange(endpoint, Dialect("acme"))

    async with asyncio.timeout(0.9):
        for _ in range(2):
            batches = exchange.stream(CompletionSpec(), "m", INCREMENTAL)
            assert "a" == collect(await anext(batches)).text
            assert [] == [batch async for batch in batches]
    await endpoint.close()
    server.close()
    await server.wait_closed()

    assert connections == lingering.connections


@pytest.mark.parametrize("reply", [Silence(), Answer(tokens=("a", "b"), delivery=Sending(stall_after=2))], ids=["silent", "stalled"])
async def test_a_cancelled_call_closes_its_connection(wired: Wired, reply: Reply) -> None:
    wired.simulator.script(reply)
    asking = asyncio.create_task(wired.ask())
    await wired.simulator.received()
    await asyncio.sleep(0.05)

    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

    await wired.simulator.disconnected()


async def test_what_had_arrived_comes_before_the_failure(wired: Wired) -> None:
    wired.simulator.script(Answer(tokens=("a", "b"), delivery=Sending(coalesce=True, error_after=3)))
    spec = CompletionSpec()
    spec.messages.add(role="ROLE_USER").parts.add(text="Hi")
    events: list[Event] = []

    async def read() -> None:
        async for batch in wired.exchange.stream(spec, "sim-1", INCREMENTAL):
            events.extend(batch)

    with pytest.raises(AntiphonError):
        await read()

    assert "ab" == collect(events, whole=False).text
