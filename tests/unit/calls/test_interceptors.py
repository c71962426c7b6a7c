"""Each step of the chain does its own part: the deadline's margin, the bound on bytes, the count of outcomes, and nothing internal gets out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest

from antiphon.api.completion.v1.completion_service_pb2 import CompleteRequest, CompleteResponse
from antiphon.api.core.v1.permission_pb2 import Permission
from antiphon.api.model.v1.model_service_pb2 import ListModelsRequest
from antiphon.calls.call import IncomingCall, RpcMethod, chain
from antiphon.calls.guard import guarded
from antiphon.calls.interceptors.access import Access
from antiphon.calls.interceptors.deadline import Deadline
from antiphon.calls.interceptors.decoding import Decoding
from antiphon.calls.interceptors.validation import Validation
from antiphon.errors import AntiphonError, InvalidRequestError, ProviderFailure, Reason
from antiphon.telemetry.metrics import Metrics
from tests.support.long_work import longest_conversation, turns_of_others

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from antiphon.calls.call import Handler, Send

METHOD = RpcMethod("/test.Service/Method", CompleteRequest, server_streaming=False, permission=Permission.PERMISSION_COMPLETIONS_CREATE)


def incoming(body: bytes = b"", left_s: float | None = None, method: RpcMethod = METHOD) -> IncomingCall:
    return IncomingCall("call-1", method, {}, body, asyncio.get_running_loop().time(), left_s)


async def send(message: object) -> None:
    del message


def ending(act: Callable[[], Awaitable[None]]) -> Handler:
    async def innermost(call: IncomingCall, send_: Send) -> None:
        call.messages_sent += 2
        await send_(CompleteResponse())
        await act()

    return innermost


async def done() -> None:
    return


def sample(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0.0


async def test_steps_stand_around_each_other_in_order() -> None:
    seen: list[str] = []

    def step(name: str) -> Any:
        async def interceptor(call: IncomingCall, send_: Send, rest: Handler) -> None:
            seen.append(f"{name} in")
            await rest(call, send_)
            seen.append(f"{name} out")

        return interceptor

    await chain([step("a"), step("b")], ending(done))(incoming(), send)
    assert ["a in", "b in", "b out", "a out"] == seen


@pytest.mark.parametrize(
    ("left_s", "margin_s", "expected_s"), [(10.0, 0.1, 9.9), (0.5, 0.1, 0.45), (10.0, 0.0, 10.0), (3600.0, 10.0, 3590.0)]
)
async def test_the_providers_deadline_is_the_callers_less_a_margin(left_s: float, margin_s: float, expected_s: float) -> None:
    call = incoming(left_s=left_s)
    await Deadline(margin_s=margin_s)(call, send, ending(done))
    assert call.deadline_s is not None
    assert expected_s == pytest.approx(call.deadline_s - call.arrived_s)


async def test_no_deadline_is_none() -> None:
    call = incoming()
    await Deadline(margin_s=0.1)(call, send, ending(done))
    assert None is call.deadline_s


async def test_a_request_is_decoded_and_its_bytes_let_go() -> None:
    call = incoming(CompleteRequest(spec={"model": "m"}).SerializeToString())
    await Decoding(limit_bytes=100)(call, send, ending(done))
    assert ("m", b"") == (call.request.spec.model, call.body)


async def test_one_byte_too_many() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await Decoding(limit_bytes=3)(incoming(b"\x0a\x02\x0a\x00"), send, ending(done))
    assert (Reason.ERROR_REASON_REQUEST_TOO_LARGE, {"size_bytes": "4", "limit_bytes": "3"}) == (caught.value.reason, caught.value.metadata)


async def test_the_first_sixteen_faults_of_a_short_request_are_named() -> None:
    call = incoming()
    call.request = CompleteRequest(spec={"model": "m", "messages": [{}] * 20})
    with pytest.raises(InvalidRequestError) as caught:
        await Validation()(call, send, ending(done))
    assert 16 == len(caught.value.violations)
    assert caught.value.message.endswith("(and 39 more)")
    assert ("spec.messages[0].role", "enum.not_in") == (caught.value.violations[0].field, caught.value.violations[0].rule)


async def test_of_a_long_request_the_first_fault_is_named() -> None:
    call = incoming()
    call.request = CompleteRequest(spec={"model": "m", "messages": [{}] * 4000})
    with pytest.raises(InvalidRequestError) as caught:
        await Validation()(call, send, ending(done))
    assert ["spec.messages[0].role"] == [violation.field for violation in caught.value.violations]


async def test_other_calls_get_their_turns_while_the_longest_conversation_is_decoded_and_checked() -> None:
    call = incoming(CompleteRequest(spec=longest_conversation()).SerializeToString())
    # Held as one piece, there would be two at most: one between the steps, one behind them.
    assert await turns_of_others(chain([Decoding(limit_bytes=2**24), Validation()], ending(done))(call, send)) >= 5


async def test_a_request_without_rules_broken_goes_on() -> None:
    call = incoming(
        method=RpcMethod("/x/y", ListModelsRequest, server_streaming=False, permission=Permission.PERMISSION_COMPLETIONS_CREATE)
    )
    call.request = ListModelsRequest(page_size=1000)
    await Validation()(call, send, ending(done))
    assert 2 == call.messages_sent


async def refuse() -> None:
    raise ProviderFailure(Reason.ERROR_REASON_PROVIDER_RATE_LIMITED, "slow")


async def break_down() -> None:
    raise RuntimeError("secret path")


async def go_away() -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("act", "code", "reason"),
    [
        (done, "OK", ""),
        (refuse, "RESOURCE_EXHAUSTED", "PROVIDER_RATE_LIMITED"),
        (break_down, "INTERNAL", "INTERNAL"),
        (go_away, "CANCELLED", "CANCELLED"),
    ],
)
async def test_each_outcome_is_counted_and_logged_once(
    act: Callable[[], Awaitable[None]], code: str, reason: str, log_entries: list[Any]
) -> None:
    metrics = Metrics()
    access = Access(metrics, log_calls=True)
    for _ in range(2):
        try:
            await access(incoming(), send, ending(act))
        except (AntiphonError, RuntimeError, asyncio.CancelledError) as error:
            assert act is not done, error  # noqa: PT017  # one act of four raises nothing
    method = METHOD.name
    assert 2 == sample(metrics, "antiphon_calls_total", method=method, code=code, reason=reason)
    assert 2 == sample(metrics, "antiphon_call_duration_seconds_count", method=method)
    assert 4 == sample(metrics, "antiphon_messages_sent_total", method=method)
    assert 0 == sample(metrics, "antiphon_calls_in_progress", method=method)
    assert [("call", "call-1", method, code, reason, 2)] * 2 == [
        (one["event"], one["call_id"], one["method"], one["code"], one["reason"], one["messages"]) for one in log_entries
    ]
    assert {"event", "call_id", "method", "code", "reason", "duration_ms", "messages", "logger", "log_level"} == set(log_entries[0])


async def test_calls_in_progress_are_counted() -> None:
    metrics = Metrics()
    release = asyncio.Event()

    async def wait() -> None:
        await release.wait()

    access = Access(metrics, log_calls=False)
    tasks = [asyncio.create_task(cast("Any", access(incoming(), send, ending(wait)))) for _ in range(3)]
    await asyncio.sleep(0)
    assert 3 == sample(metrics, "antiphon_calls_in_progress", method=METHOD.name)
    release.set()
    await asyncio.gather(*tasks)
    assert 0 == sample(metrics, "antiphon_calls_in_progress", method=METHOD.name)


async def test_no_log_is_written_where_none_is_wanted(log_entries: list[Any]) -> None:
    await Access(Metrics(), log_calls=False)(incoming(), send, ending(done))
    assert [] == log_entries


async def test_the_guard_tells_nothing_internal_and_logs_it(log_entries: list[Any]) -> None:
    status = await guarded(ending(break_down), incoming(), send)
    assert status is not None
    assert b"secret path" not in status.SerializeToString()
    assert b"call-1" in status.SerializeToString()
    [entry] = log_entries
    assert ("unexpected fault", "error", "call-1") == (entry["event"], entry["log_level"], entry["call_id"])


async def test_the_guard_logs_the_cause_of_a_typed_failure(log_entries: list[Any]) -> None:
    async def caused() -> None:
        raise ProviderFailure(Reason.ERROR_REASON_PROVIDER_UNAVAILABLE, "gone") from OSError("10.0.0.7 refused")

    status = await guarded(ending(caused), incoming(), send)
    assert status is not None
    assert b"10.0.0.7" not in status.SerializeToString()
    assert "10.0.0.7" in log_entries[0]["cause"]


async def test_the_guard_lets_cancellation_pass() -> None:
    with pytest.raises(asyncio.CancelledError):
        await guarded(ending(go_away), incoming(), send)


async def test_a_call_that_goes_well_has_no_status() -> None:
    assert None is await guarded(ending(done), incoming(), send)
