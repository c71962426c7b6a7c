"""Every error that a call can end with.

AntiphonError                    a call failed; `code` and `reason` say why
├── InvalidRequestError          the request cannot be served as it is; `field_violations` names what is wrong with it
├── FailedPreconditionError      the system is not in the state that the call needs, whatever the request says
├── UnauthenticatedError         the API key is missing, not valid, disabled or expired; `reason` says which
├── PermissionDeniedError        who calls may not do this; `metadata` names the permission
├── NotFoundError                what the request names is not there
├── ConflictError                it is there already, or somebody else changed it first
├── SlowReaderError              a stream's reader took nothing for so long that the server ended the stream
├── ResourceExhaustedError       a quota, a budget or a size limit is used up
│   └── RateLimitedError         ... for now: the same request may work after `retry_after_s`
├── DeadlineExceededError        the call's time is up
├── CallCancelledError           the call was cancelled, here or there
├── UnavailableError             the server, or the provider behind it, cannot answer now
│   └── ServerUnreachableError   no connection came about, so nothing was sent
│       └── TlsError             ... because server and client do not agree about TLS or a certificate
├── UnimplementedError           the server does not know the method or the feature
└── InternalError                a fault of the server, or an answer that does not follow the contract
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import betterproto2
import grpc

from antiphon_client.contract import core
from antiphon_client.rpc_status import BadRequest, ErrorInfo, RetryInfo, Status

if TYPE_CHECKING:
    from collections.abc import Iterable

MessageT = TypeVar("MessageT", bound=betterproto2.Message)

DETAILS_KEY = "grpc-status-details-bin"
ERROR_DOMAIN = "antiphon.api"

# How the gRPC core begins its message when no connection came about. It sends a call only on a connection that is ready, so such a call was never sent.
_NEVER_SENT = ("failed to connect to all addresses", "errors resolving ", "DNS resolution failed")
# What the core says where TLS is at fault, and what that means.
_TLS_FAULTS = {
    "WRONG_VERSION_NUMBER": "the server speaks no TLS there; `http://` before the target asks for plaintext",
    "certificate has expired": "the server's certificate has expired",
    "CERTIFICATE_VERIFY_FAILED": "nobody whom this client trusts signed the server's certificate; `Tls.root_certificates`, or the variable "
    "ANTIPHON_ROOT_CERTIFICATES, says whom to trust",
    "Hostname Verification Check failed": "the server's certificate is for another name; `Tls.server_name` says which to expect",
    "handshake failed": "no TLS connection came about",
    "missing selected ALPN property": "what answers there speaks TLS and no gRPC; the target is the server's gRPC port, which is 50051 by default",
}
_CLOSED = "Socket closed"
CLOSED_AT_ONCE = "the server closed the connection before anything was sent"
_MAY_BE = "it may speak TLS, which `https://` before the target asks for, or want a certificate of this client"


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field of a request that breaks a rule.

    Attributes:
        field: The field's path from the request, as in `spec.messages[2].role`.
        description: What is wrong with it.
        rule: The rule's identifier; empty where it has none.
    """

    field: str
    description: str
    rule: str = ""


class AntiphonError(Exception):
    """A call failed.

    Attributes:
        code: The status code.
        message: What happened and what the caller can do.
        reason: The contract's reason, as in `MODEL_NOT_FOUND`; empty where none was sent, as when the network failed.
        known_reason: The same as an enum's member; None for no reason, and for one that a newer server sent.
        metadata: Facts beside the message, as `ErrorInfo.metadata`.
        field_violations: The request's fields at fault.
        retry_after_s: When the same request may work, in seconds; None means that a retry was not invited.
        provider_error: What the provider said; None where no provider was at fault.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        reason: str = "",
        metadata: dict[str, str] | None = None,
        field_violations: Iterable[FieldViolation] = (),
        retry_after_s: float | None = None,
        provider_error: core.ProviderError | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason
        self.known_reason = core.ErrorReason[reason] if reason in core.ErrorReason.__members__ else None
        self.metadata = metadata or {}
        self.field_violations = tuple(field_violations)
        self.retry_after_s = retry_after_s
        self.provider_error = provider_error

    def __str__(self) -> str:
        violations = [f"{violation.field}: {violation.description}" for violation in self.field_violations]
        # A server may have told them in the message already.
        return "\n  ".join([f"{self.reason or self.code.name}: {self.message}", *(one for one in violations if one not in self.message)])


class InvalidRequestError(AntiphonError):
    """The request cannot be served as it is."""


class FailedPreconditionError(AntiphonError):
    """The system is not in the state that the call needs."""


class UnauthenticatedError(AntiphonError):
    """The API key is missing, not valid, disabled or expired."""


class PermissionDeniedError(AntiphonError):
    """Who calls may not do this."""


class NotFoundError(AntiphonError):
    """What the request names is not there."""


class ConflictError(AntiphonError):
    """It is there already, or somebody else changed it first."""


class SlowReaderError(AntiphonError):
    """A stream's reader took nothing for so long that the server ended the stream."""


class ResourceExhaustedError(AntiphonError):
    """A quota, a budget or a size limit is used up."""


class RateLimitedError(ResourceExhaustedError):
    """Too much for now; the same request may work after `retry_after_s`."""


class DeadlineExceededError(AntiphonError):
    """The call's time is up."""


class CallCancelledError(AntiphonError):
    """The call was cancelled."""


class UnavailableError(AntiphonError):
    """The server, or the provider behind it, cannot answer now."""


class ServerUnreachableError(UnavailableError):
    """No connection came about, so nothing was sent."""


class TlsError(ServerUnreachableError):
    """Server and client do not agree about TLS or a certificate."""


class UnimplementedError(AntiphonError):
    """The server does not know the method or the feature."""


class InternalError(AntiphonError):
    """A fault of the server, or an answer that does not follow the contract."""


_BY_CODE: dict[grpc.StatusCode, type[AntiphonError]] = {
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
}


def error_from_status(code: grpc.StatusCode, message: str, trailers: Iterable[tuple[str, str | bytes]]) -> AntiphonError:
    """Makes the typed error of a call that ended with a status.

    Args:
        code: The status code.
        message: The status message.
        trailers: The trailing metadata, where the details are.
    """
    details = _details(trailers)
    info = _detail(details, "google.rpc.ErrorInfo", ErrorInfo) or ErrorInfo()
    bad_request = _detail(details, "google.rpc.BadRequest", BadRequest) or BadRequest()
    retry_info = _detail(details, "google.rpc.RetryInfo", RetryInfo)
    retry_delay = retry_info.retry_delay if retry_info else None
    kind = _BY_CODE.get(code, InternalError)
    reason = info.reason if info.domain == ERROR_DOMAIN else ""
    if reason == core.ErrorReason.SLOW_READER.name:
        kind = SlowReaderError
    elif kind is ResourceExhaustedError and retry_delay is not None:
        kind = RateLimitedError
    elif kind is UnavailableError and not info.reason and message.startswith(_NEVER_SENT):
        kind, message = _unreachable(message)
    return kind(
        code,
        message,
        reason=reason,
        metadata=info.metadata,
        field_violations=[FieldViolation(v.field, v.description, v.reason) for v in bad_request.field_violations],
        retry_after_s=None if retry_delay is None else retry_delay.total_seconds(),
        provider_error=_detail(details, "antiphon.api.core.v1.ProviderError", core.ProviderError),
    )


def _unreachable(message: str) -> tuple[type[AntiphonError], str]:
    """Tells a fault of TLS from a server that is not there."""
    for said, meaning in _TLS_FAULTS.items():
        if said in message:
            return TlsError, f"{meaning} ({message})"
    return ServerUnreachableError, f"{CLOSED_AT_ONCE}; {_MAY_BE} ({message})" if message.endswith(_CLOSED) else message


def _details(trailers: Iterable[tuple[str, str | bytes]]) -> dict[str, bytes]:
    """The status details by type name."""
    for key, value in trailers:
        if key == DETAILS_KEY and isinstance(value, bytes):
            status = _parsed(Status, value)
            return {detail.type_name: detail.value for detail in status.details} if status else {}
    return {}


def _detail(details: dict[str, bytes], type_name: str, kind: type[MessageT]) -> MessageT | None:
    payload = details.get(type_name)
    return None if payload is None else _parsed(kind, payload)


def _parsed(kind: type[MessageT], payload: bytes) -> MessageT | None:
    """A detail, or None where it cannot be read: the code and the message still tell the story."""
    try:
        return kind.parse(payload)
    except (ValueError, EOFError):
        return None
