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
from tests.support.second_port import CONNECT_JSON
from tests.support.serving import COMPLETION
from tests.support.wire_bytes import varint

if TYPE_CHECKING:
    from antiphon.api.core.v1.message_pb2 import Message
    from tests.rpc.bad_input.ports import OnePort
    from tests.support.scripted import ScriptedModel
    from tests.support.serving import ServerUnderTest

pytestmark = pytest.mark.asyncio(loop_scope="module")

METHODS = [
    *(f"{COMPLETION}/{method}" for method in REQUESTS),
    f"{MODELS}/ListModels",
    f"{MODELS}/GetModel",
    f"{HEALTH}/CheckHealth",
    f"{HEALTH}/WatchHealth",
]
STANDARD_METHODS = [f"{STANDARD_HEALTH}/Check", f"{STANDARD_HEALTH}/Watch", REFLECTION]
BODIES = {
    "cut tag": b"\xff",
    "long field": b"\x0a\xff\xff\xff\xff\x0f",
    "no UTF-8": b"\x0a\x02\xff\xfe",
    "JSON twice": b"{}" * 50,
    "open groups": b"\x0b" * 200,
    "zeros": b"\x00" * 8,
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_undecodable_bytes_are_refused_by_every_method(server: OnePort, model: ScriptedModel, method: str, body: bytes) -> None:
    if method.endswith("ListModels") and body.startswith(b"\x0a\x02"):
        body = b"\x12" + body[1:]  # its first field is a number
    failure = await server.refused(method, body)
    assert (INVALID, "UNDECODABLE_REQUEST") == (failure.code, failure.reason)
    assert [] == model.asked


@pytest.mark.parametrize("method", STANDARD_METHODS)
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_undecodable_bytes_are_refused_by_the_standard_methods(grpc_server: ServerUnderTest, method: str, body: bytes) -> None:
    failure = await grpc_server.refused(method, body)
    assert (INVALID, "UNDECODABLE_REQUEST") == (failure.code, failure.reason)


# What nobody knows, in bytes and as JSON has it: a number and a text beside what is known, and within the spec, and within a part.
UNKNOWN_IN_JSON = {
    b"\xa0\x06\x01": b'{"nobody":1}',
    b"\xa2\x06\x02hi": b'{"nobody":"hi"}',
    b"\x0a\x03\xa0\x06\x01": b'{"spec":{"nobody":1}}',
    b"\x0a\x07\x12\x05\x12\x03\xa0\x06\x01": b'{"spec":{"messages":[{"parts":[{"nobody":1}]}]}}',
}


@pytest.mark.parametrize("unknown", UNKNOWN_IN_JSON)
async def test_a_field_that_nobody_knows_is_refused_and_not_dropped(server: OnePort, model: ScriptedModel, unknown: bytes) -> None:
    if server.form == CONNECT_JSON:
        unknown = UNKNOWN_IN_JSON[unknown]
    for method, request in REQUESTS.items():
        known = request(spec()).SerializeToString()
        failure = await server.refused(f"{COMPLETION}/{method}", unknown if server.form == CONNECT_JSON else known + unknown)
        assert (INVALID, "UNKNOWN_FIELD") == (failure.code, failure.reason)
    assert [] == model.asked


async def test_a_request_just_above_the_limit_is_refused_by_us(server: OnePort, model: ScriptedModel) -> None:
    request = pb.CompleteRequest(spec=spec(text("x" * LIMIT_BYTES)))
    failure = await server.refused(f"{COMPLETION}/Complete", request)
    assert (grpc.StatusCode.RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE") == (failure.code, failure.reason)
    assert {"size_bytes": str(server.size(request)), "limit_bytes": str(LIMIT_BYTES)} == failure.metadata
    assert None is failure.retry_after_s
    assert [] == model.asked


async def test_a_request_at_the_limit_is_taken(server: OnePort, model: ScriptedModel) -> None:
    room = LIMIT_BYTES - server.size(pb.CompleteRequest(spec=spec(text("x" * 2**19)))) + 2**19
    request = pb.CompleteRequest(spec=spec(text("x" * room)))
    assert LIMIT_BYTES == server.size(request)
    await server.complete(request)
    assert 1 == len(model.asked)


async def test_a_request_far_above_the_limit_is_refused_by_the_transport(grpc_server: ServerUnderTest, model: ScriptedModel) -> None:
    failure = await grpc_server.refused(f"{COMPLETION}/Complete", b"\x0a" + b"x" * (LIMIT_BYTES * 4 + 1))
    assert grpc.StatusCode.RESOURCE_EXHAUSTED == failure.code
    assert [] == model.asked


async def test_a_request_far_above_the_limit_is_refused_by_its_head_alone(grpc_server: ServerUnderTest) -> None:
    async with RawConnection(grpc_server.target) as connection:
        stream = connection.call(f"{COMPLETION}/Complete", None, ends=False)
        connection.send(frame(DATA, b"\x00\x7f\xff\xff\xff", 0, stream))
        trailers = await connection.until(HEADERS, stream, ended=True)
    assert b"Received message larger than max" in trailers.payload


async def test_a_request_of_too_many_fields_is_refused_before_it_is_decoded(server: OnePort, model: ScriptedModel) -> None:
    # Each empty message takes two bytes on the wire and some hundred decoded.
    inner = b"\x0a\x07default" + b"\x12\x00" * 100_000
    body = b"\x0a" + varint(len(inner)) + inner
    if server.form == CONNECT_JSON:
        body = b'{"spec":{"model":"default","messages":[' + b"{}," * 100_000 + b"{}]}}"
    begun_s = time.perf_counter()
    failure = await server.refused(f"{COMPLETION}/Complete", body)
    assert (grpc.StatusCode.RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE") == (failure.code, failure.reason)
    assert ("65536" if server.form == CONNECT_JSON else "32768") == failure.metadata["limit_fields"]
    assert time.perf_counter() - begun_s < 5
    assert [] == model.asked


async def test_the_longest_conversation_of_the_contract_is_taken(server: OnePort, model: ScriptedModel) -> None:
    turns: list[Message] = []
    for number in range(2047):
        turns += [asks(call(f"c{number}")), answers(f"c{number}")]
    await server.complete(pb.CompleteRequest(spec=spec(text(), *turns, text())))
    assert 4096 == len(model.asked[0].messages)
