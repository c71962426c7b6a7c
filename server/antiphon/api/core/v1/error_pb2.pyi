from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class ErrorReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERROR_REASON_UNSPECIFIED: _ClassVar[ErrorReason]
    ERROR_REASON_UNDECODABLE_REQUEST: _ClassVar[ErrorReason]
    ERROR_REASON_REQUEST_TOO_LARGE: _ClassVar[ErrorReason]
    ERROR_REASON_METHOD_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_INVALID_FIELD: _ClassVar[ErrorReason]
    ERROR_REASON_EMPTY_CONVERSATION: _ClassVar[ErrorReason]
    ERROR_REASON_INVALID_ROLE_ORDER: _ClassVar[ErrorReason]
    ERROR_REASON_TOOL_RESULT_WITHOUT_CALL: _ClassVar[ErrorReason]
    ERROR_REASON_TOOL_CALL_WITHOUT_RESULT: _ClassVar[ErrorReason]
    ERROR_REASON_INVALID_JSON_SCHEMA: _ClassVar[ErrorReason]
    ERROR_REASON_INVALID_TOOL_ARGUMENTS: _ClassVar[ErrorReason]
    ERROR_REASON_INVALID_TOOL_CHOICE: _ClassVar[ErrorReason]
    ERROR_REASON_MEDIA_TYPE_MISMATCH: _ClassVar[ErrorReason]
    ERROR_REASON_UNSUPPORTED_PARAMETER: _ClassVar[ErrorReason]
    ERROR_REASON_UNSUPPORTED_CONTENT: _ClassVar[ErrorReason]
    ERROR_REASON_LIMIT_EXCEEDED: _ClassVar[ErrorReason]
    ERROR_REASON_CONTEXT_LENGTH_EXCEEDED: _ClassVar[ErrorReason]
    ERROR_REASON_MODEL_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_PROVIDER_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_COMPONENT_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_UNKNOWN_FIELD: _ClassVar[ErrorReason]
    ERROR_REASON_DEADLINE_ALREADY_PAST: _ClassVar[ErrorReason]
    ERROR_REASON_DEADLINE_EXCEEDED: _ClassVar[ErrorReason]
    ERROR_REASON_FIRST_TOKEN_TIMEOUT: _ClassVar[ErrorReason]
    ERROR_REASON_IDLE_TIMEOUT: _ClassVar[ErrorReason]
    ERROR_REASON_CANCELLED: _ClassVar[ErrorReason]
    ERROR_REASON_SERVER_DRAINING: _ClassVar[ErrorReason]
    ERROR_REASON_PROVIDER_UNAVAILABLE: _ClassVar[ErrorReason]
    ERROR_REASON_PROVIDER_RATE_LIMITED: _ClassVar[ErrorReason]
    ERROR_REASON_PROVIDER_QUOTA_EXHAUSTED: _ClassVar[ErrorReason]
    ERROR_REASON_PROVIDER_AUTHENTICATION_FAILED: _ClassVar[ErrorReason]
    ERROR_REASON_PROVIDER_REJECTED_REQUEST: _ClassVar[ErrorReason]
    ERROR_REASON_PROVIDER_REJECTED_CONTENT: _ClassVar[ErrorReason]
    ERROR_REASON_PROVIDER_PROTOCOL_ERROR: _ClassVar[ErrorReason]
    ERROR_REASON_EMBEDDED_MODEL_UNAVAILABLE: _ClassVar[ErrorReason]
    ERROR_REASON_INTERNAL: _ClassVar[ErrorReason]
ERROR_REASON_UNSPECIFIED: ErrorReason
ERROR_REASON_UNDECODABLE_REQUEST: ErrorReason
ERROR_REASON_REQUEST_TOO_LARGE: ErrorReason
ERROR_REASON_METHOD_NOT_FOUND: ErrorReason
ERROR_REASON_INVALID_FIELD: ErrorReason
ERROR_REASON_EMPTY_CONVERSATION: ErrorReason
ERROR_REASON_INVALID_ROLE_ORDER: ErrorReason
ERROR_REASON_TOOL_RESULT_WITHOUT_CALL: ErrorReason
ERROR_REASON_TOOL_CALL_WITHOUT_RESULT: ErrorReason
ERROR_REASON_INVALID_JSON_SCHEMA: ErrorReason
ERROR_REASON_INVALID_TOOL_ARGUMENTS: ErrorReason
ERROR_REASON_INVALID_TOOL_CHOICE: ErrorReason
ERROR_REASON_MEDIA_TYPE_MISMATCH: ErrorReason
ERROR_REASON_UNSUPPORTED_PARAMETER: ErrorReason
ERROR_REASON_UNSUPPORTED_CONTENT: ErrorReason
ERROR_REASON_LIMIT_EXCEEDED: ErrorReason
ERROR_REASON_CONTEXT_LENGTH_EXCEEDED: ErrorReason
ERROR_REASON_MODEL_NOT_FOUND: ErrorReason
ERROR_REASON_PROVIDER_NOT_FOUND: ErrorReason
ERROR_REASON_COMPONENT_NOT_FOUND: ErrorReason
ERROR_REASON_UNKNOWN_FIELD: ErrorReason
ERROR_REASON_DEADLINE_ALREADY_PAST: ErrorReason
ERROR_REASON_DEADLINE_EXCEEDED: ErrorReason
ERROR_REASON_FIRST_TOKEN_TIMEOUT: ErrorReason
ERROR_REASON_IDLE_TIMEOUT: ErrorReason
ERROR_REASON_CANCELLED: ErrorReason
ERROR_REASON_SERVER_DRAINING: ErrorReason
ERROR_REASON_PROVIDER_UNAVAILABLE: ErrorReason
ERROR_REASON_PROVIDER_RATE_LIMITED: ErrorReason
ERROR_REASON_PROVIDER_QUOTA_EXHAUSTED: ErrorReason
ERROR_REASON_PROVIDER_AUTHENTICATION_FAILED: ErrorReason
ERROR_REASON_PROVIDER_REJECTED_REQUEST: ErrorReason
ERROR_REASON_PROVIDER_REJECTED_CONTENT: ErrorReason
ERROR_REASON_PROVIDER_PROTOCOL_ERROR: ErrorReason
ERROR_REASON_EMBEDDED_MODEL_UNAVAILABLE: ErrorReason
ERROR_REASON_INTERNAL: ErrorReason

class ProviderError(_message.Message):
    __slots__ = ("provider", "model", "http_status", "code", "request_id")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    HTTP_STATUS_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    provider: str
    model: str
    http_status: int
    code: str
    request_id: str
    def __init__(self, provider: _Optional[str] = ..., model: _Optional[str] = ..., http_status: _Optional[int] = ..., code: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...
