"""A failed call raises the error that its status means, with everything that the server said; what a newer server says is kept and never breaks it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, DebugInfo, ErrorInfo, RetryInfo

from antiphon.api.core.v1.error_pb2 import ProviderError
from antiphon_client import (
    AntiphonError,
    AsyncClient,
    CallCancelledError,
    Client,
    ConflictError,
    DeadlineExceededError,
    ErrorReason,
    FailedPreconditionError,
    FieldViolation,
    InternalError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    ResourceExhaustedError,
    ServerUnreachableError,
    SlowReaderError,
    TlsError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
)
from antiphon_client.errors import DETAILS_KEY, error_from_status
from tests.unit.client.fake_server import Failure, FakeServer

if TYPE_CHECKING:
    from google.protobuf.message import Message

MEANINGS = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequestError,
    grpc.StatusCode.OUT_OF_RANGE: InvalidRequestError,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPreconditionError,
    grpc.StatusCode.UNAUTHENTICATED: UnauthenticatedError,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDeniedError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.ALREADY_EXISTS: ConflictError,
    grpc.StatusCode.ABORTED: ConflictError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhaustedError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceededError,
    grpc.StatusCode.CANCELLED: CallCancelledError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.UNIMPLEMENTED: UnimplementedError,
    grpc.StatusCode.INTERNAL: InternalError,
    grpc.StatusCode.UNKNOWN: InternalError,
    grpc.StatusCode.DATA_LOSS: InternalError,
}


@pytest.mark.parametrize(("code", "kind"), MEANINGS.items())
async def test_each_code_has_its_class(server: FakeServer, client: AsyncClient, code: grpc.StatusCode, kind: type[AntiphonError]) -> None:
    server.will("Complete", Failure(code, "because"))
    with pytest.raises(AntiphonError) as caught:
        await client.completions.create(model="m", messages="Hi", retries=0)
    assert (kind, code, "because", "", None) == (
        type(caught.value),
        caught.value.code,
        caught.value.message,
        caught.value.reason,
        caught.value.known_reason,
    )


DETAILS: list[Message] = [
    ErrorInfo(reason="PROVIDER_RATE_LIMITED", domain="antiphon.api", metadata={"model": "acme/large"}),
    BadRequest(field_violations=[BadRequest.FieldViolation(field="spec.model", description="too long", reason="string.max_len")]),
    RetryInfo(retry_delay=timedelta(seconds=1.5)),
    ProviderError(provider="acme", model="large", http_status=429, code="slow_down", request_id="r1"),
    DebugInfo(detail="a detail this client does not know"),
]


async def test_all_details_reach_the_caller(server: FakeServer, client: AsyncClient) -> None:
    server.will("Complete", Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "slow down", DETAILS))
    with pytest.raises(RateLimitedError) as caught:
        await client.completions.create(model="m", messages="Hi")
    _assert_details(caught.value)


def test_all_details_reach_the_synchronous_caller(server: FakeServer, blocking: Client) -> None:
    server.will("StreamComplete", [Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "slow down", DETAILS)])
    with pytest.raises(RateLimitedError) as caught:
        blocking.completions.stream(model="m", messages="Hi").final()
    _assert_details(caught.value)


def _assert_details(error: AntiphonError) -> None:
    assert ("PROVIDER_RATE_LIMITED", ErrorReason.PROVIDER_RATE_LIMITED) == (error.reason, error.known_reason)
    assert {"model": "acme/large"} == error.metadata
    assert (FieldViolation("spec.model", "too long", "string.max_len"),) == error.field_violations
    assert 1.5 == error.retry_after_s
    assert error.provider_error is not None
    assert ("acme", 429, "r1") == (error.provider_error.provider, error.provider_error.http_status, error.provider_error.request_id)
    assert "PROVIDER_RATE_LIMITED: slow down\n  spec.model: too long" == str(error)


async def test_a_reason_of_a_newer_server_is_kept_as_text(server: FakeServer, client: AsyncClient) -> None:
    info = ErrorInfo(reason="MOON_IN_THE_WRONG_PHASE", domain="antiphon.api")
    server.will("Complete", Failure(grpc.StatusCode.FAILED_PRECONDITION, details=[info]))
    with pytest.raises(FailedPreconditionError) as caught:
        await client.completions.create(model="m", messages="Hi")
    assert ("MOON_IN_THE_WRONG_PHASE", None) == (caught.value.reason, caught.value.known_reason)


def test_a_reason_of_another_domain_is_none_of_ours() -> None:
    trailers = _trailers(ErrorInfo(reason="RATE_LIMITED", domain="proxy.example"))
    assert "" == error_from_status(grpc.StatusCode.UNAVAILABLE, "", trailers).reason


@pytest.mark.parametrize("garbage", [b"\x1a", b"\x1a\x03\x0a\x01\xff", b"\xff" * 20, b"\x1a\x02\x12\x7f"])
def test_details_that_cannot_be_read_leave_code_and_message(garbage: bytes) -> None:
    error = error_from_status(grpc.StatusCode.NOT_FOUND, "gone", [(DETAILS_KEY, garbage)])
    assert (NotFoundError, "gone", "") == (type(error), error.message, error.reason)


async def test_no_server_is_an_error_of_its_own() -> None:
    async with AsyncClient("127.0.0.1:1", retries=0) as lonely:
        with pytest.raises(ServerUnreachableError):
            await lonely.completions.create(model="m", messages="Hi")


def test_no_such_host_is_an_error_of_its_own() -> None:
    with Client("no-such-host.invalid:50051", tls=False, retries=0) as lonely, pytest.raises(ServerUnreachableError):
        lonely.completions.create(model="m", messages="Hi")


def _trailers(detail: Message) -> list[tuple[str, str | bytes]]:
    from google.protobuf.any_pb2 import Any
    from google.rpc.status_pb2 import Status

    packed = Any()
    packed.Pack(detail)
    return [("other", "text"), (DETAILS_KEY, Status(details=[packed]).SerializeToString())]


@pytest.mark.parametrize("reason", ["CREDENTIALS_MISSING", "CREDENTIALS_INVALID", "CREDENTIALS_DISABLED"])
def test_what_is_wrong_with_a_credential_is_told_by_its_reason(reason: str) -> None:
    error = error_from_status(grpc.StatusCode.UNAUTHENTICATED, "no", _trailers(ErrorInfo(reason=reason, domain="antiphon.api")))
    assert (UnauthenticatedError, ErrorReason[reason]) == (type(error), error.known_reason)


def test_a_missing_permission_is_named() -> None:
    info = ErrorInfo(reason="PERMISSION_DENIED", domain="antiphon.api", metadata={"permission": "models_read"})
    error = error_from_status(grpc.StatusCode.PERMISSION_DENIED, "no", _trailers(info))
    assert (PermissionDeniedError, {"permission": "models_read"}) == (type(error), error.metadata)


def test_a_slow_reader_is_no_conflict() -> None:
    info = ErrorInfo(reason="SLOW_READER", domain="antiphon.api", metadata={"timeout_ms": "30000"})
    assert SlowReaderError is type(error_from_status(grpc.StatusCode.ABORTED, "too slow", _trailers(info)))


NOBODY = "failed to connect to all addresses; last error: "
HANDSHAKE = f"{NOBODY}UNKNOWN: ipv4:127.0.0.1:1: Tls handshake failed (TSI_PROTOCOL_FAILURE): SSL_ERROR_SSL: error:1: SSL routines:OPENSSL_internal:"


@pytest.mark.parametrize(
    ("said", "kind", "told"),
    [
        (f"{HANDSHAKE}WRONG_VERSION_NUMBER: Invalid certificate verification context: OK", TlsError, "speaks no TLS"),
        (f"{HANDSHAKE}CERTIFICATE_VERIFY_FAILED: certificate has expired: OK", TlsError, "has expired"),
        (f"{HANDSHAKE}CERTIFICATE_VERIFY_FAILED: unable to get local issuer certificate: OK", TlsError, "ANTIPHON_ROOT_CERTIFICATES"),
        (f"{HANDSHAKE}SOMETHING_NEW: OK", TlsError, "no TLS connection"),
        (
            f"{NOBODY}UNKNOWN: Custom verification check failed with error: UNAUTHENTICATED: Hostname Verification Check failed.",
            TlsError,
            "another name",
        ),
        (f"{NOBODY}UNKNOWN: ipv4:127.0.0.1:1: Cannot check peer: missing selected ALPN property.", TlsError, "gRPC port"),
        (f"{NOBODY}UNAVAILABLE: ipv4:127.0.0.1:1: Socket closed", ServerUnreachableError, "https://"),
        (f"{NOBODY}UNKNOWN: ipv4:127.0.0.1:1: Failed to connect to remote host: Connection refused", ServerUnreachableError, NOBODY),
    ],
)
def test_what_keeps_a_connection_from_coming_about_is_told_in_plain_words(said: str, kind: type[AntiphonError], told: str) -> None:
    error = error_from_status(grpc.StatusCode.UNAVAILABLE, said, [])
    assert (kind, True, True) == (type(error), told in error.message, said in error.message)
