"""The only mapping from errors to status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from antiphon.errors import AntiphonError, Reason

if TYPE_CHECKING:
    from google.protobuf.message import Message

DOMAIN = "antiphon.api"
# Status details travel in a trailer, whose usual limit is 8 KiB for all of them: what a caller sent must not make it burst.
_MESSAGE_LIMIT = 1024
_METADATA_LIMIT = 256
_VIOLATIONS_LIMIT = 16

CODES: dict[Reason, int] = {
    Reason.ERROR_REASON_UNDECODABLE_REQUEST: Code.INVALID_ARGUMENT,
    Reason.ERROR_REASON_REQUEST_TOO_LARGE: Code.RESOURCE_EXHAUSTED,
    Reason.ERROR_REASON_METHOD_NOT_FOUND: Code.UNIMPLEMENTED,
    Reason.ERROR_REASON_INVALID_FIELD: Code.INVALID_ARGUMENT,
    Reason.ERROR_REASON_EMPTY_CONVERSATION: Code.INVALID_ARGUMENT,
    Reason.ERROR_REASON_INVALID_ROLE_ORDER: Code.INVALID_ARGUMENT,
    Reason.ERROR_REASON_TOOL_RESULT_WITHOUT_CALL: Code.INVALID_ARGUMENT,
    Reason.ERROR_REASON_TOOL_CALL_WITHOUT_RESULT: Code.INVALID_ARGUMENT,
    Reason.ERROR_REASON_INVALID_JSON_SCHEMA: Code.INVALID_ARGUMENT,
    Reason.ERROR_REASON_INVALID_TOOL_ARGUMENTS: Code.INVALID_ARGUMENT,
    Reason.ERROR_REASON_INVALID_TOOL_CHOICE: Code.INVALID_ARGUMENT,
    Reason.ERROR_REASON_MEDIA_TYPE_MISMATCH: Code.INVALID_ARGUMENT,
    Reason.ERROR_REASON_UNSUPPORTED_PARAMETER: Code.INVALID_ARGUMENT,
    Reason.ERROR_REASON_UNSUPPORTED_CONTENT: Code.INVALID_ARGUMENT,
    Reason.ERROR_REASON_LIMIT_EXCEEDED: Code.INVALID_ARGUMENT,
    Reason.ERROR_REASON_CONTEXT_LENGTH_EXCEEDED: Code.INVALID_ARGUMENT,
    Reason.ERROR_REASON_MODEL_NOT_FOUND: Code.NOT_FOUND,
    Reason.ERROR_REASON_DEADLINE_ALREADY_PAST: Code.DEADLINE_EXCEEDED,
    Reason.ERROR_REASON_DEADLINE_EXCEEDED: Code.DEADLINE_EXCEEDED,
    Reason.ERROR_REASON_FIRST_TOKEN_TIMEOUT: Code.UNAVAILABLE,
    Reason.ERROR_REASON_IDLE_TIMEOUT: Code.UNAVAILABLE,
    Reason.ERROR_REASON_CANCELLED: Code.CANCELLED,
    Reason.ERROR_REASON_SERVER_DRAINING: Code.UNAVAILABLE,
    Reason.ERROR_REASON_PROVIDER_UNAVAILABLE: Code.UNAVAILABLE,
    Reason.ERROR_REASON_PROVIDER_RATE_LIMITED: Code.RESOURCE_EXHAUSTED,
    Reason.ERROR_REASON_PROVIDER_QUOTA_EXHAUSTED: Code.RESOURCE_EXHAUSTED,
    Reason.ERROR_REASON_PROVIDER_AUTHENTICATION_FAILED: Code.FAILED_PRECONDITION,
    Reason.ERROR_REASON_PROVIDER_REJECTED_REQUEST: Code.INVALID_ARGUMENT,
    Reason.ERROR_REASON_PROVIDER_REJECTED_CONTENT: Code.FAILED_PRECONDITION,
    Reason.ERROR_REASON_PROVIDER_PROTOCOL_ERROR: Code.UNAVAILABLE,
    Reason.ERROR_REASON_EMBEDDED_MODEL_UNAVAILABLE: Code.UNAVAILABLE,
    Reason.ERROR_REASON_INTERNAL: Code.INTERNAL,
}


def status_of(error: AntiphonError) -> Status:
    """Returns the status that tells a caller of the error, details included."""
    reason = error.reason
    status = Status(code=CODES[reason], message=_cut(error.message, _MESSAGE_LIMIT))
    metadata = {key: _cut(value, _METADATA_LIMIT) for key, value in error.metadata.items()}
    _attach(status, ErrorInfo(reason=reason_name(reason), domain=DOMAIN, metadata=metadata))
    if error.violations:
        bad_request = BadRequest()
        for violation in error.violations[:_VIOLATIONS_LIMIT]:
            bad_request.field_violations.add(
                field=_cut(violation.field, _METADATA_LIMIT),
                description=_cut(violation.description, _METADATA_LIMIT),
                reason=violation.rule,
            )
        _attach(status, bad_request)
    if error.retry_after_s is not None:
        retry = RetryInfo()
        retry.retry_delay.FromNanoseconds(round(error.retry_after_s * 1e9))
        _attach(status, retry)
    if error.provider_error is not None:
        _attach(status, error.provider_error)
    return status


def internal_error(call_id: str) -> AntiphonError:
    """Returns what a caller learns of a fault of ours: a name to ask for, and nothing else."""
    return AntiphonError(
        Reason.ERROR_REASON_INTERNAL, "the server met a fault of its own; its log has it under the call's id", metadata={"call_id": call_id}
    )


def reason_name(reason: Reason) -> str:
    """Returns a reason as ErrorInfo spells it."""
    return Reason.Name(reason).removeprefix("ERROR_REASON_")


def code_name(code: int) -> str:
    """Returns a status code's name, as in `NOT_FOUND`."""
    return Code.Name(code)  # pyright: ignore[reportArgumentType]  # any code of the table has a name


def _attach(status: Status, detail: Message) -> None:
    packed = AnyMessage()
    packed.Pack(detail)
    status.details.append(packed)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
