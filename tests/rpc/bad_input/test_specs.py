"""Each kind of bad spec has its own typed error, the same from every method, and none of it reaches a provider."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from antiphon.api.completion.v1 import completion_service_pb2 as pb
from tests.rpc.bad_input.conversations import CONVERSATIONS
from tests.rpc.bad_input.ports import GRPC
from tests.rpc.bad_input.specs import INVALID, REQUESTS, Bad, sampling
from tests.rpc.bad_input.tools import TOOLS
from tests.rpc.bad_input.values import VALUES
from tests.support.leaks import resident_bytes
from tests.support.serving import COMPLETION

if TYPE_CHECKING:
    from tests.rpc.bad_input.ports import OnePort
    from tests.support.scripted import ScriptedModel

pytestmark = pytest.mark.asyncio(loop_scope="module")

EMPTY = {"Complete": pb.CompleteRequest(), "StreamComplete": pb.StreamCompleteRequest(), "CountTokens": pb.CountTokensRequest()}
TABLE = [*CONVERSATIONS, *TOOLS, *VALUES]


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: bad.name)
async def test_a_bad_spec_is_refused_by_every_method(server: OnePort, model: ScriptedModel, bad: Bad) -> None:
    for method, request in REQUESTS.items():
        failure = await server.refused(f"{COMPLETION}/{method}", request(bad.spec))
        assert (bad.code, bad.reason) == (failure.code, failure.reason), failure.message
        assert bad.fields == (failure.fields[: len(bad.fields)] if bad.prefix_only else failure.fields)
        assert "" != failure.message
        assert None is failure.retry_after_s
    assert [] == model.asked


async def test_a_spec_that_is_not_there_is_refused(server: OnePort, model: ScriptedModel) -> None:
    for method, request in EMPTY.items():
        failure = await server.refused(f"{COMPLETION}/{method}", request)
        assert (INVALID, "INVALID_FIELD", ["spec"]) == (failure.code, failure.reason, failure.fields)
    assert [] == model.asked


async def test_each_of_several_faults_is_named(server: OnePort) -> None:
    request = sampling(temperature=3.0, top_k=0)
    request.labels["Team"] = "x"
    failure = await server.refused(f"{COMPLETION}/Complete", pb.CompleteRequest(spec=request))
    assert {"spec.sampling.temperature", "spec.sampling.top_k", 'spec.labels["Team"]'} == set(failure.fields)


async def test_a_flood_of_bad_calls_leaves_nothing_behind(server: OnePort, model: ScriptedModel) -> None:
    refused = [bad for bad in TABLE if len(bad.spec.messages) < 100 and bad.spec.ByteSize() < 10_000]
    wrapped = list(REQUESTS.items())

    async def flood(number_of_calls: int) -> None:
        for start in range(0, number_of_calls, 50):
            calls: list[Any] = []
            for number in range(start, start + 50):
                bad, (method, request) = refused[number % len(refused)], wrapped[number % 3]
                body = request(bad.spec) if number % 5 else b"\xff" * (number % 700)
                calls.append(server.refused(f"{COMPLETION}/{method}" if number % 7 else f"/nobody/{number}", body))
            await asyncio.gather(*calls)

    await flood(500 if server.form == GRPC else 200)
    tasks, memory = len(asyncio.all_tasks()), resident_bytes()
    begun_s = time.perf_counter()
    await flood(2000 if server.form == GRPC else 600)
    taken_s = time.perf_counter() - begun_s
    async with asyncio.timeout(3):
        while len(asyncio.all_tasks()) > tasks:
            await asyncio.sleep(0.01)
    assert resident_bytes() - memory < 16 * 2**20
    assert taken_s < 40
    assert 0 == model.open_streams
    assert [] == model.asked
