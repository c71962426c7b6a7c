"""The only mapping from errors to status."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from urllib.parse import quote

from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from antiphon.api.core.v1.error_pb2 import ProviderError
from antiphon.errors import AntiphonError, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from google.protobuf.message import Message

    from antiphon.errors import FieldViolation
    from antiphon.telemetry.redaction import Redactor

DOMAIN = "antiphon.api"
# A status travels in trailers, whose usual limit is 8 KiB for all of them, the details in base64 and the message percent-encoded: what a caller or a
# provider sent must not make them burst. All limits are bytes.
_MESSAGE_LIMIT = 1024
_ENCODED_MESSAGE_LIMIT = 1536
_DETAILS_LIMIT = 4608
_VALUE_LIMIT = 256
_WRAPPING = 64
_NAME_LIMIT = 64
_METADATA_LIMIT = 8
_VIOLATIONS_LIMIT = 16
_LONGEST_RETRY_S = 86_400.0

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
    Reason.ERROR_REASON_PROVIDER_NOT_FOUND: Code.NOT_FOUND,
    Reason.ERROR_REASON_COMPONENT_NOT_FOUND: Code.NOT_FOUND,
    Reason.ERROR_REASON_UNKNOWN_FIELD: Code.INVALID_ARGUMENT,
    Reason.ERROR_REASON_CREDENTIALS_MISSING: Code.UNAUTHENTICATED,
    Reason.ERROR_REASON_CREDENTIALS_INVALID: Code.UNAUTHENTICATED,
    Reason.ERROR_REASON_CREDENTIALS_DISABLED: Code.UNAUTHENTICATED,
    Reason.ERROR_REASON_PERMISSION_DENIED: Code.PERMISSION_DENIED,
    Reason.ERROR_REASON_ORIGIN_NOT_ALLOWED: Code.PERMISSION_DENIED,
    Reason.ERROR_REASON_HOST_NOT_ALLOWED: Code.PERMISSION_DENIED,
    Reason.ERROR_REASON_DEADLINE_ALREADY_PAST: Code.DEADLINE_EXCEEDED,
    Reason.ERROR_REASON_DEADLINE_EXCEEDED: Code.DEADLINE_EXCEEDED,
    Reason.ERROR_REASON_FIRST_TOKEN_TIMEOUT: Code.UNAVAILABLE,
    Reason.ERROR_REASON_IDLE_TIMEOUT: Code.UNAVAILABLE,
    Reason.ERROR_REASON_CANCELLED: Code.CANCELLED,
    Reason.ERROR_REASON_SERVER_DRAINING: Code.UNAVAILABLE,
    Reason.ERROR_REASON_TOO_MANY_CALLS: Code.RESOURCE_EXHAUSTED,
    Reason.ERROR_REASON_SERVER_OVERLOADED: Code.RESOURCE_EXHAUSTED,
    Reason.ERROR_REASON_SLOW_READER: Code.ABORTED,
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


def status_of(error: AntiphonError, redactor: Redactor | None = None) -> Status:
    """Returns the status that tells a caller of the error, details included. It fits the trailers whatever the error holds.

    Args:
        error: What went wrong.
        redactor: Takes secrets out of it; None where all its words are our own.
    """
    without_secrets = _as_it_is if redactor is None else redactor.text
    reason = error.reason
    # Secrets go before anything is cut: half a secret would not be known for one.
    status = Status(code=CODES[reason], message=_cut_message(without_secrets(error.message)))
    told = list(error.metadata.items())[:_METADATA_LIMIT]
    metadata = {_cut(key, _NAME_LIMIT): _cut(without_secrets(value), _VALUE_LIMIT) for key, value in told}
    details: list[Message] = [ErrorInfo(reason=reason_name(reason), domain=DOMAIN, metadata=metadata)]
    if error.retry_after_s is not None and not math.isnan(error.retry_after_s):
        retry = RetryInfo()
        retry.retry_delay.FromNanoseconds(round(min(max(error.retry_after_s, 0.0), _LONGEST_RETRY_S) * 1e9))
        details.append(retry)
    if error.provider_error is not None:
        details.append(_cut_provider_error(error.provider_error, without_secrets))
    if error.violations:
        room = _DETAILS_LIMIT - status.ByteSize() - sum(detail.ByteSize() + _WRAPPING for detail in details) - _WRAPPING
        details.insert(1, _bad_request(error.violations, room, without_secrets))
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def _as_it_is(text: str) -> str:
    return text


def _bad_request(violations: Sequence[FieldViolation], room: int, without_secrets: Callable[[str], str]) -> BadRequest:
    """Tells the first violations, as many as there is room for."""
    bad_request = BadRequest()
    for violation in violations[:_VIOLATIONS_LIMIT]:
        bad_request.field_violations.add(
            field=_cut(without_secrets(violation.field), _VALUE_LIMIT),
            description=_cut(without_secrets(violation.description), _VALUE_LIMIT),
            reason=_cut(violation.rule, _NAME_LIMIT),
        )
        if bad_request.ByteSize() > room:
            del bad_request.field_violations[-1]
            break
    return bad_request


def _cut_provider_error(error: ProviderError, without_secrets: Callable[[str], str]) -> ProviderError:
    return ProviderError(
        provider=_cut(error.provider, _NAME_LIMIT),
        model=_cut(without_secrets(error.model), _VALUE_LIMIT),
        http_status=error.http_status,
        code=_cut(without_secrets(error.code), _VALUE_LIMIT),
        request_id=_cut(without_secrets(error.request_id), _VALUE_LIMIT),
    )


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


def _cut_message(text: str) -> str:
    cut = _cut(text, _MESSAGE_LIMIT)
    # A character that is not printable ASCII takes three times its bytes in the trailer.
    return cut if len(quote(cut)) <= _ENCODED_MESSAGE_LIMIT else _cut(cut, _ENCODED_MESSAGE_LIMIT // 3)


def _cut(text: str, limit_bytes: int) -> str:
    """Cuts at a character's end; half a surrogate, which no message can hold, becomes a question mark."""
    data = text[: limit_bytes + 1].encode("utf-8", "replace")
    return data.decode() if len(data) <= limit_bytes else data[: limit_bytes - len("…".encode())].decode("utf-8", "ignore") + "…"
