"""Calls beyond the limits are refused before anything is done for them, health is seen all the same, and the server never refuses for ever."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo

from antiphon.api.completion.v1.completion_service_pb2 import CompleteRequest
from antiphon.api.core.v1.permission_pb2 import Permission
from antiphon.calls.call import IncomingCall, RpcMethod
from antiphon.calls.interceptors import admission as admission_module
from antiphon.calls.interceptors.admission import Admission
from antiphon.calls.memory import MemoryWatch
from antiphon.errors import OverloadError, Reason
from antiphon.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from google.rpc.status_pb2 import Status

    from antiphon.calls.call import Send

METHOD = RpcMethod("/test.Service/Method", CompleteRequest, server_streaming=False, permission=Permission.PERMISSION_COMPLETIONS_CREATE)
HEALTH = RpcMethod("/test.Health/Check", CompleteRequest, server_streaming=False, permission=Permission.PERMISSION_HEALTH_READ)
LIMIT = 3


class Server:
    """An admission step, and calls behind it that last until they are let go."""

    def __init__(self, *, resident: int = 0, limit_bytes: int = 100) -> None:
        self.resident = resident
        self.metrics = Metrics()
        self.memory = MemoryWatch(limit_bytes, lambda: self.resident)
        self.admission = Admission(calls=LIMIT, memory=self.memory, metrics=self.metrics)
        self.reached = 0
        self.gate = asyncio.Event()

    async def call(self, method: RpcMethod = METHOD) -> None:
        call = IncomingCall("call-1", method, {}, b"", asyncio.get_running_loop().time(), None)
        await self.admission(call, send, self._rest)

    async def filled(self, calls: int, method: RpcMethod = METHOD) -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(self.call(method)) for _ in range(calls)]
        await asyncio.sleep(0)
        return tasks

    async def emptied(self, tasks: list[asyncio.Task[None]]) -> None:
        self.gate.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.gate.clear()

    async def _rest(self, call: IncomingCall, send_: Send) -> None:
        del call, send_
        self.reached += 1
        await self.gate.wait()


async def send(message: object) -> None:
    del message


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission_module, "_TELLING_S", 0.02)
    monkeypatch.setattr("antiphon.calls.memory._LOOK_S", 0.01)


async def test_one_call_beyond_the_limit_is_refused_and_nothing_of_it_done() -> None:
    server = Server()
    tasks = await server.filled(LIMIT)
    with pytest.raises(OverloadError) as caught:
        await server.call()
    assert (Reason.ERROR_REASON_TOO_MANY_CALLS, {"limit": "3"}) == (caught.value.reason, caught.value.metadata)
    assert caught.value.retry_after_s is not None
    assert 0.25 <= caught.value.retry_after_s <= 1
    assert LIMIT == server.reached
    await server.emptied(tasks)


@pytest.mark.parametrize("way", ["ends", "fails", "is cancelled"])
async def test_a_call_gives_its_place_back_however_it_ends(way: str) -> None:
    server = Server()

    async def failing(call: IncomingCall, send_: Send) -> None:
        raise ValueError("x")

    tasks = await server.filled(LIMIT)
    if way == "is cancelled":
        for task in tasks:
            task.cancel()
    await server.emptied(tasks)
    if way == "fails":
        call = IncomingCall("call-1", METHOD, {}, b"", 0.0, None)
        with pytest.raises(ValueError, match="x"):
            await server.admission(call, send, failing)
    tasks = await server.filled(LIMIT)
    assert (True, 2 * LIMIT) == (server.admission.full, server.reached)
    await server.emptied(tasks)
    assert not server.admission.full


async def test_health_is_answered_while_the_server_is_full_up_to_a_bound_of_its_own() -> None:
    server = Server()
    tasks = await server.filled(LIMIT)
    tasks += await server.filled(LIMIT * 10, HEALTH)
    assert LIMIT * 11 == server.reached
    assert None is server.admission.refusal(HEALTH)
    with pytest.raises(OverloadError):
        await server.call(HEALTH)
    await server.emptied(tasks)


async def test_health_takes_no_place_from_other_calls() -> None:
    server = Server()
    tasks = await server.filled(LIMIT * 10, HEALTH)
    tasks += await server.filled(LIMIT)
    assert LIMIT * 11 == server.reached
    await server.emptied(tasks)


async def test_a_port_learns_of_the_refusal_before_it_reads_the_call() -> None:
    server = Server()
    assert None is server.admission.refusal(METHOD)
    tasks = await server.filled(LIMIT)
    refusals = [server.admission.refusal(METHOD) for _ in range(100)]
    told = [details(refusal.status) for refusal in refusals if refusal is not None]
    assert 100 == len(told)
    assert {(Code.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS", "3")} == {one[:3] for one in told}
    delays = {one[3] for one in told}
    assert len(delays) > 10, "those who are refused together must not come back together"
    assert 0.25 <= min(delays) <= max(delays) <= 1
    # The second hundred is made of the same few statuses.
    again = [server.admission.refusal(METHOD) for _ in range(100)]
    assert {id(refusal) for refusal in refusals} == {id(refusal) for refusal in again}
    await server.emptied(tasks)
    assert None is server.admission.refusal(METHOD)


async def test_refusals_are_counted_each_and_logged_together(log_entries: list[Any]) -> None:
    server = Server()
    tasks = await server.filled(LIMIT)
    for _ in range(7):
        assert server.admission.refusal(METHOD) is not None
    with pytest.raises(OverloadError):
        await server.call()
    await asyncio.sleep(0.1)
    labels = {"method": METHOD.name, "code": "RESOURCE_EXHAUSTED", "reason": "TOO_MANY_CALLS"}
    # The eighth was refused inside the chain, where the access step counts it.
    assert 7 == server.metrics.registry.get_sample_value("antiphon_calls_total", labels)
    lines = [(entry["event"], entry["reason"], entry["count"]) for entry in log_entries]
    assert [("calls refused", "TOO_MANY_CALLS", 8)] == lines
    assert server.admission.refusal(METHOD) is not None
    await asyncio.sleep(0.1)
    assert 1 == log_entries[-1]["count"]
    await server.emptied(tasks)


async def test_calls_are_refused_while_memory_is_short_and_taken_again_when_there_is_enough(log_entries: list[Any]) -> None:
    server = Server(resident=50)
    tasks = await server.filled(1)
    server.resident = 100
    await asyncio.sleep(0.1)
    refusal = server.admission.refusal(METHOD)
    assert refusal is not None
    assert (Code.RESOURCE_EXHAUSTED, "SERVER_OVERLOADED") == details(refusal.status)[:2]
    with pytest.raises(OverloadError) as caught:
        await server.call()
    assert Reason.ERROR_REASON_SERVER_OVERLOADED == caught.value.reason
    server.resident = 96
    await asyncio.sleep(0.1)
    assert server.admission.full, "a little less is not enough: the door would open and close with each call"
    server.resident = 94
    await asyncio.sleep(0.1)
    tasks += await server.filled(1)
    assert 2 == server.reached
    await server.emptied(tasks)
    events = [entry["event"] for entry in log_entries if entry.get("log_level") != "debug"]
    assert ["short of memory: calls are refused", "enough memory again"] == [event for event in events if "memory" in event]


async def test_a_server_whose_memory_never_comes_back_still_serves_one_call_at_a_time() -> None:
    server = Server(resident=1000)
    for _ in range(3):
        tasks = await server.filled(2)
        await server.emptied(tasks)
    assert 3 == server.reached
    server.resident = 0
    await asyncio.sleep(0.1)
    assert not server.memory.looking


async def test_memory_is_looked_at_only_while_there_is_something_to_do() -> None:
    server = Server()
    assert not server.memory.looking
    tasks = await server.filled(1)
    assert server.memory.looking
    await server.emptied(tasks)
    await asyncio.sleep(0.1)
    assert not server.memory.looking


def details(status: Status) -> tuple[int, str, str, float]:
    info, retry = ErrorInfo(), RetryInfo()
    for detail in status.details:
        for one in (info, retry):
            detail.Unpack(one)
    return status.code, info.reason, info.metadata.get("limit", ""), retry.retry_delay.ToNanoseconds() / 1e9
