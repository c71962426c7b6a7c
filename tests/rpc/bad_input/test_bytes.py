"""Bytes that are no request, hold what nobody knows, or are too many, are refused before anything is made of them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import grpc
import pytest

from antiphon.api.completion.v1 import completion_service_pb2 as pb
from tests.rpc.bad_input.specs import (
    HEALTH,
    INVALID,
    LIMIT_BYTES,
    MODELS,
    REFLECTION,
    REQUESTS,
    STANDARD_HEALTH,
    answers,
    asks,
    call,
    spec,
    text,
)
from tests.support.raw_http2 import DATA, HEADERS, RawConnection, frame
from tests.support.serving import COMPLETION
from tests.support.wire_bytes import varint

if TYPE_CHECKING:
    from antiphon.api.core.v1.message_pb2 import Message
    from tests.support.scripted import ScriptedModel
    from tests.support.serving import ServerUnderTest

pytestmark = pytest.mark.asyncio(loop_scope="module")

METHODS = [
    *(f"{COMPLETION}/{method}" for method in REQUESTS),
    f"{MODELS}/ListModels",
    f"{MODELS}/GetModel",
    f"{HEALTH}/CheckHealth",
    f"{HEALTH}/WatchHealth",
    f"{STANDARD_HEALTH}/Check",
    f"{STANDARD_HEALTH}/Watch",
    REFLECTION,
]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "body",
    [b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x02\xff\xfe", b"{}" * 50, b"\x0b" * 200, b"\x00" * 8],
    ids=["cut tag", "long field", "no UTF-8", "JSON", "open groups", "zeros"],
)
async def test_undecodable_bytes_are_refused_by_every_method(
    server: ServerUnderTest, model: ScriptedModel, method: str, body: bytes
) -> None:
    if method.endswith("ListModels") and body.startswith(b"\x0a\x02"):
        body = b"\x12" + body[1:]  # its first field is a number
    failure = await server.refused(method, body)
    assert (INVALID, "UNDECODABLE_REQUEST") == (failure.code, failure.reason)
    assert [] == model.asked


@pytest.mark.parametrize("unknown", [b"\xa0\x06\x01", b"\xa2\x06\x02hi", b"\x0a\x03\xa0\x06\x01", b"\x0a\x07\x12\x05\x12\x03\xa0\x06\x01"])
async def test_a_field_that_nobody_knows_is_refused_and_not_dropped(server: ServerUnderTest, model: ScriptedModel, unknown: bytes) -> None:
    for method, request in REQUESTS.items():
        failure = await server.refused(f"{COMPLETION}/{method}", request(spec()).SerializeToString() + unknown)
        assert (INVALID, "UNKNOWN_FIELD") == (failure.code, failure.reason)
    assert [] == model.asked


async def test_a_request_just_above_the_limit_is_refused_by_us(server: ServerUnderTest, model: ScriptedModel) -> None:
    request = pb.CompleteRequest(spec=spec(text("x" * LIMIT_BYTES)))
    failure = await server.refused(f"{COMPLETION}/Complete", request)
    assert (grpc.StatusCode.RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE") == (failure.code, failure.reason)
    assert {"size_bytes": str(request.ByteSize()), "limit_bytes": str(LIMIT_BYTES)} == failure.metadata
    assert None is failure.retry_after_s
    assert [] == model.asked


async def test_a_request_at_the_limit_is_taken(server: ServerUnderTest, model: ScriptedModel) -> None:
    room = LIMIT_BYTES - pb.CompleteRequest(spec=spec(text("x" * 2**19))).ByteSize() + 2**19
    request = pb.CompleteRequest(spec=spec(text("x" * room)))
    assert LIMIT_BYTES == request.ByteSize()
    await server.complete(request)
    assert 1 == len(model.asked)


async def test_a_request_far_above_the_limit_is_refused_by_the_transport(server: ServerUnderTest, model: ScriptedModel) -> None:
    failure = await server.refused(f"{COMPLETION}/Complete", b"\x0a" + b"x" * (LIMIT_BYTES * 4 + 1))
    assert grpc.StatusCode.RESOURCE_EXHAUSTED == failure.code
    assert [] == model.asked


async def test_a_request_far_above_the_limit_is_refused_by_its_head_alone(server: ServerUnderTest) -> None:
    async with RawConnection(server.target) as connection:
        stream = connection.call(f"{COMPLETION}/Complete", None, ends=False)
        connection.send(frame(DATA, b"\x00\x7f\xff\xff\xff", 0, stream))
        trailers = await connection.until(HEADERS, stream, ended=True)
    assert b"Received message larger than max" in trailers.payload


async def test_a_request_of_too_many_fields_is_refused_before_it_is_decoded(server: ServerUnderTest, model: ScriptedModel) -> None:
    # Each empty message takes two bytes on the wire and some hundred decoded.
    inner = b"\x0a\x07default" + b"\x12\x00" * 100_000
    body = b"\x0a" + varint(len(inner)) + inner
    begun_s = time.perf_counter()
    failure = await server.refused(f"{COMPLETION}/Complete", body)
    assert (grpc.StatusCode.RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE") == (failure.code, failure.reason)
    assert "32768" == failure.metadata["limit_fields"]
    assert time.perf_counter() - begun_s < 5
    assert [] == model.asked


async def test_the_longest_conversation_of_the_contract_is_taken(server: ServerUnderTest, model: ScriptedModel) -> None:
    turns: list[Message] = []
    for number in range(2047):
        turns += [asks(call(f"c{number}")), answers(f"c{number}")]
    await server.complete(pb.CompleteRequest(spec=spec(text(), *turns, text())))
    assert 4096 == len(model.asked[0].messages)
