"""A failed call is made again only where that can neither do nor bill anything twice, within its deadline, after a wait that the server may set."""

from __future__ import annotations

import asyncio
import socket
import threading
from datetime import timedelta

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo

from antiphon_client import (
    AntiphonError,
    AsyncClient,
    CallCancelledError,
    Client,
    RateLimitedError,
    ServerUnreachableError,
    UnavailableError,
)
from antiphon_client.retry import MAX_DELAY_S, RECONNECT_DELAY_S, RetrySchedule
from tests.unit.client.fake_server import Failure, FakeServer, Hang, events

UNAVAILABLE = Failure(grpc.StatusCode.UNAVAILABLE)
# As the core of gRPC ends a call that came when the shutdown had begun.
TOO_LATE = Failure(grpc.StatusCode.CANCELLED, "CANCELLED")


def draining(delay_s: float = 0.01) -> Failure:
    info = ErrorInfo(reason="SERVER_DRAINING", domain="antiphon.api")
    return Failure(grpc.StatusCode.UNAVAILABLE, details=[info, RetryInfo(retry_delay=timedelta(seconds=delay_s))])


async def test_a_call_without_side_effects_is_made_again(server: FakeServer, client: AsyncClient) -> None:
    server.will("GetModel", UNAVAILABLE, UNAVAILABLE)
    assert "a/b" == (await client.models.get("a/b")).name
    assert 3 == len(server.calls)


async def test_three_attempts_are_the_most(server: FakeServer, client: AsyncClient) -> None:
    server.will("CountTokens", *[UNAVAILABLE] * 5)
    with pytest.raises(UnavailableError):
        await client.completions.count_tokens(model="m", messages="Hi")
    assert 3 == len(server.calls)


async def test_zero_retries_turn_it_off(server: FakeServer, client: AsyncClient) -> None:
    server.will("CheckHealth", UNAVAILABLE)
    with pytest.raises(UnavailableError):
        await client.health.check(retries=0)
    assert 1 == len(server.calls)


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INVALID_ARGUMENT])
def test_other_codes_are_not_repeated(server: FakeServer, blocking: Client, code: grpc.StatusCode) -> None:
    server.will("GetModel", Failure(code))
    with pytest.raises(AntiphonError):
        blocking.models.get("a/b")
    assert 1 == len(server.calls)


async def test_a_paid_call_is_not_repeated(server: FakeServer, client: AsyncClient) -> None:
    server.will("Complete", Failure(grpc.StatusCode.UNAVAILABLE, details=[RetryInfo(retry_delay=timedelta(milliseconds=1))]))
    with pytest.raises(UnavailableError):
        await client.completions.create(model="m", messages="Hi")
    assert 1 == len(server.calls)


async def test_a_paid_call_is_repeated_when_the_server_was_draining(server: FakeServer, client: AsyncClient) -> None:
    server.will("Complete", draining())
    assert "Hello there" == (await client.completions.create(model="m", messages="Hi")).text
    assert 2 == len(server.calls)


@pytest.mark.parametrize("reason", ["TOO_MANY_CALLS", "SERVER_OVERLOADED"])
async def test_a_paid_call_is_repeated_when_the_server_had_no_room_for_it(server: FakeServer, client: AsyncClient, reason: str) -> None:
    details = [ErrorInfo(reason=reason, domain="antiphon.api"), RetryInfo(retry_delay=timedelta(milliseconds=1))]
    server.will("Complete", Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, details=details))
    assert "Hello there" == (await client.completions.create(model="m", messages="Hi")).text
    assert 2 == len(server.calls)


async def test_a_provider_that_throttles_is_not_asked_again(server: FakeServer, client: AsyncClient) -> None:
    details = [ErrorInfo(reason="PROVIDER_RATE_LIMITED", domain="antiphon.api"), RetryInfo(retry_delay=timedelta(milliseconds=1))]
    server.will("Complete", Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, details=details))
    with pytest.raises(RateLimitedError):
        await client.completions.create(model="m", messages="Hi")
    assert 1 == len(server.calls)


@pytest.mark.parametrize("face", ["async", "sync"])
async def test_a_paid_call_is_repeated_when_it_reached_a_server_that_was_shutting_down(
    server: FakeServer, client: AsyncClient, blocking: Client, face: str
) -> None:
    server.will("Complete", TOO_LATE)
    if face == "async":
        answer = await client.completions.create(model="m", messages="Hi")
    else:
        answer = await asyncio.to_thread(lambda: blocking.completions.create(model="m", messages="Hi"))
    assert ("Hello there", 2) == (answer.text, len(server.calls))


@pytest.mark.parametrize(
    "failure",
    [
        Failure(grpc.StatusCode.CANCELLED, "the task was cancelled"),
        Failure(grpc.StatusCode.CANCELLED, "CANCELLED", details=[ErrorInfo(reason="PROVIDER_FAILED", domain="antiphon.api")]),
    ],
    ids=["other words", "a reason"],
)
async def test_a_paid_call_that_was_cancelled_for_another_reason_is_not_repeated(
    server: FakeServer, client: AsyncClient, failure: Failure
) -> None:
    server.will("Complete", failure)
    with pytest.raises(CallCancelledError):
        await client.completions.create(model="m", messages="Hi")
    assert 1 == len(server.calls)


def test_a_stream_is_repeated_before_its_first_event(server: FakeServer, blocking: Client) -> None:
    server.will("StreamComplete", [draining()])
    assert "Hello there" == blocking.completions.stream(model="m", messages="Hi").final().text
    assert 2 == len(server.calls)


@pytest.mark.parametrize("face", ["async", "sync"])
async def test_a_stream_is_not_repeated_after_its_first_event(server: FakeServer, client: AsyncClient, blocking: Client, face: str) -> None:
    server.will("StreamComplete", [*events(), draining()])
    asked = (
        client.completions.stream(model="m", messages="Hi").final()
        if face == "async"
        else asyncio.to_thread(blocking.completions.stream(model="m", messages="Hi").final)
    )
    with pytest.raises(UnavailableError):
        await asked
    assert 1 == len(server.calls)


async def test_a_paid_call_is_repeated_when_nothing_was_sent() -> None:
    server = FakeServer()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    options = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.min_reconnect_backoff_ms", 100)]
    async with AsyncClient(f"127.0.0.1:{port}", retries=20, timeout_s=20, channel_options=options) as client:
        call = asyncio.create_task(client.completions.create(model="m", messages="Hi"))
        await asyncio.sleep(0.3)
        assert not call.done()
        server.bind_port = port
        with server:
            assert "Hello there" == (await call).text
            assert 1 == len(server.calls)


def test_a_paid_call_is_not_repeated_when_the_connection_broke_after_sending() -> None:
    accepted = 0
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def break_off() -> None:
            nonlocal accepted
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                accepted += 1
                with connection:
                    # A whole handshake (empty SETTINGS frame), then silence until the request's headers are there, then the end.
                    connection.sendall(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
                    received = b""
                    while b"antiphon" not in received:
                        received += connection.recv(65536)

        thread = threading.Thread(target=break_off)
        thread.start()
        target = f"127.0.0.1:{listener.getsockname()[1]}"
        try:
            with Client(target) as client, pytest.raises(UnavailableError) as caught:
                client.completions.create(model="m", messages="Hi")
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
    assert not isinstance(caught.value, ServerUnreachableError)
    assert 1 == accepted


async def test_the_deadline_bounds_all_attempts_together(server: FakeServer, client: AsyncClient) -> None:
    server.will("CheckHealth", UNAVAILABLE, Hang())
    begun = asyncio.get_running_loop().time()
    with pytest.raises(AntiphonError) as caught:
        await client.health.check(timeout_s=0.5)
    assert grpc.StatusCode.DEADLINE_EXCEEDED == caught.value.code
    assert 0.4 < asyncio.get_running_loop().time() - begun < 3


async def test_a_wait_beyond_the_deadline_is_not_begun(server: FakeServer, client: AsyncClient) -> None:
    server.will("Complete", draining(delay_s=30))
    begun = asyncio.get_running_loop().time()
    with pytest.raises(UnavailableError):
        await client.completions.create(model="m", messages="Hi", timeout_s=5)
    assert asyncio.get_running_loop().time() - begun < 3


def test_waits_grow_to_a_bound_and_are_drawn_below_it() -> None:
    bounds: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        bounds.append((low, high))
        return high

    schedule = RetrySchedule(no_side_effects=True, retries=8, timeout_s=None, uniform=uniform)
    error = UnavailableError(grpc.StatusCode.UNAVAILABLE, "")
    waits = [schedule.wait_before_retry_s(error) for _ in range(9)]
    assert [0.2, 0.4, 0.8, 1.6, 3.2, MAX_DELAY_S, MAX_DELAY_S, MAX_DELAY_S, None] == waits
    assert {0.0} == {low for low, _ in bounds}


def test_the_servers_delay_is_the_least_wait() -> None:
    schedule = RetrySchedule(no_side_effects=True, retries=1, timeout_s=None)
    wait_s = schedule.wait_before_retry_s(UnavailableError(grpc.StatusCode.UNAVAILABLE, "", retry_after_s=7))
    assert wait_s is not None
    assert 7 <= wait_s <= 7.2


def test_a_channel_that_could_not_connect_gets_the_time_to_try_again() -> None:
    schedule = RetrySchedule(no_side_effects=False, retries=1, timeout_s=None, uniform=lambda low, _: low)
    assert RECONNECT_DELAY_S == schedule.wait_before_retry_s(ServerUnreachableError(grpc.StatusCode.UNAVAILABLE, ""))
