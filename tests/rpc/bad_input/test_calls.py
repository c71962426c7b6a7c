"""Metadata and deadlines that make no sense do no harm, and ask nobody."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
import pytest

from antiphon.api.completion.v1 import completion_service_pb2 as pb
from antiphon.api.core.v1.permission_pb2 import Permission
from antiphon.calls.call import IncomingCall, RpcMethod, chain
from antiphon.calls.in_flight import InFlight
from antiphon.calls.interceptors import in_order
from antiphon.config import AuthSection
from antiphon.errors import DeadlineError, Reason
from antiphon.identity.directory import CallerDirectory
from antiphon.telemetry.metrics import Metrics
from tests.rpc.bad_input.specs import LIMIT_BYTES, spec
from tests.support.serving import COMPLETION

if TYPE_CHECKING:
    from tests.rpc.bad_input.ports import OnePort
    from tests.support.scripted import ScriptedModel
    from tests.support.serving import ServerUnderTest

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    "metadata",
    [
        {"x-unknown": "value"},
        {"x-bin-bin": b"\x00\xff"},
        {"grpc-internal": "x" * 4000},
        {"authorization": "Bearer nonsense"},
        {f"x-{number}": "v" * 20 for number in range(100)},
    ],
)
async def test_metadata_that_nobody_knows_does_no_harm(server: OnePort, metadata: dict[str, str | bytes]) -> None:
    assert "scripted/alpha" == (await server.complete(pb.CompleteRequest(spec=spec()), metadata)).completion.model


async def test_too_much_metadata_is_refused_by_the_transport(grpc_server: ServerUnderTest, model: ScriptedModel) -> None:
    metadata = [(f"x-{number}", "v" * 1000) for number in range(100)]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await grpc_server.raw(f"{COMPLETION}/Complete", pb.CompleteRequest(spec=spec()).SerializeToString(), metadata)
    assert caught.value.code() in {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE}
    assert [] == model.asked


async def test_a_deadline_that_is_past_asks_nobody(server: OnePort, model: ScriptedModel) -> None:
    failure = await server.refused(f"{COMPLETION}/Complete", pb.CompleteRequest(spec=spec()), timeout_s=1e-6)
    assert grpc.StatusCode.DEADLINE_EXCEEDED == failure.code
    assert [] == model.asked


@pytest.mark.parametrize("left_s", [0.0, 0.001, -1.0])
async def test_a_deadline_that_is_past_on_arrival_has_its_own_reason(left_s: float) -> None:
    reached: list[object] = []

    async def innermost(call_: IncomingCall, send: object) -> None:
        reached.append(send)

    async def send(message: object) -> None:
        reached.append(message)

    class Configured:
        class log:  # noqa: N801  # stands in for a section
            access = False

        class server:  # noqa: N801  # as above
            deadline_margin_s = 0.1
            max_request_bytes = LIMIT_BYTES

    steps = in_order(Configured, Metrics(), InFlight(), CallerDirectory(AuthSection()))  # pyright: ignore[reportArgumentType]  # what the interceptors read of a Config
    handler = chain([*steps.of_calls, *steps.of_requests], innermost)
    body = pb.CompleteRequest(spec=spec()).SerializeToString()
    method = RpcMethod(
        f"{COMPLETION}/Complete", pb.CompleteRequest, server_streaming=False, permission=Permission.PERMISSION_COMPLETIONS_CREATE
    )
    with pytest.raises(DeadlineError) as caught:
        await handler(IncomingCall("call-1", method, {}, body, asyncio.get_running_loop().time(), left_s), send)
    assert Reason.ERROR_REASON_DEADLINE_ALREADY_PAST == caught.value.reason
    assert [] == reached
