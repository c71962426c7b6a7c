import datetime

from antiphon.api.core.v1 import completion_pb2 as _completion_pb2
from antiphon.api.core.v1 import message_pb2 as _message_pb2
from antiphon.api.core.v1 import usage_pb2 as _usage_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PartKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PART_KIND_UNSPECIFIED: _ClassVar[PartKind]
    PART_KIND_TEXT: _ClassVar[PartKind]
    PART_KIND_REASONING: _ClassVar[PartKind]
    PART_KIND_WHOLE: _ClassVar[PartKind]
PART_KIND_UNSPECIFIED: PartKind
PART_KIND_TEXT: PartKind
PART_KIND_REASONING: PartKind
PART_KIND_WHOLE: PartKind

class Event(_message.Message):
    __slots__ = ("stream_id", "sequence", "time", "started", "part_started", "part_delta", "part_ended", "tool_call_started", "tool_call_arguments_delta", "tool_call_ended", "usage_reported", "completed")
    STREAM_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    PART_STARTED_FIELD_NUMBER: _ClassVar[int]
    PART_DELTA_FIELD_NUMBER: _ClassVar[int]
    PART_ENDED_FIELD_NUMBER: _ClassVar[int]
    TOOL_CALL_STARTED_FIELD_NUMBER: _ClassVar[int]
    TOOL_CALL_ARGUMENTS_DELTA_FIELD_NUMBER: _ClassVar[int]
    TOOL_CALL_ENDED_FIELD_NUMBER: _ClassVar[int]
    USAGE_REPORTED_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_FIELD_NUMBER: _ClassVar[int]
    stream_id: str
    sequence: int
    time: _timestamp_pb2.Timestamp
    started: Started
    part_started: PartStarted
    part_delta: PartDelta
    part_ended: PartEnded
    tool_call_started: ToolCallStarted
    tool_call_arguments_delta: ToolCallArgumentsDelta
    tool_call_ended: ToolCallEnded
    usage_reported: UsageReported
    completed: Completed
    def __init__(self, stream_id: _Optional[str] = ..., sequence: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., started: _Optional[_Union[Started, _Mapping]] = ..., part_started: _Optional[_Union[PartStarted, _Mapping]] = ..., part_delta: _Optional[_Union[PartDelta, _Mapping]] = ..., part_ended: _Optional[_Union[PartEnded, _Mapping]] = ..., tool_call_started: _Optional[_Union[ToolCallStarted, _Mapping]] = ..., tool_call_arguments_delta: _Optional[_Union[ToolCallArgumentsDelta, _Mapping]] = ..., tool_call_ended: _Optional[_Union[ToolCallEnded, _Mapping]] = ..., usage_reported: _Optional[_Union[UsageReported, _Mapping]] = ..., completed: _Optional[_Union[Completed, _Mapping]] = ...) -> None: ...

class Started(_message.Message):
    __slots__ = ("model", "ignored_parameters", "completion_id")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    IGNORED_PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_ID_FIELD_NUMBER: _ClassVar[int]
    model: str
    ignored_parameters: _containers.RepeatedScalarFieldContainer[str]
    completion_id: str
    def __init__(self, model: _Optional[str] = ..., ignored_parameters: _Optional[_Iterable[str]] = ..., completion_id: _Optional[str] = ...) -> None: ...

class PartStarted(_message.Message):
    __slots__ = ("index", "kind", "part")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    index: int
    kind: PartKind
    part: _message_pb2.Part
    def __init__(self, index: _Optional[int] = ..., kind: _Optional[_Union[PartKind, str]] = ..., part: _Optional[_Union[_message_pb2.Part, _Mapping]] = ...) -> None: ...

class PartDelta(_message.Message):
    __slots__ = ("index", "text", "log_probabilities")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    LOG_PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    index: int
    text: str
    log_probabilities: _containers.RepeatedCompositeFieldContainer[_completion_pb2.TokenLogProbability]
    def __init__(self, index: _Optional[int] = ..., text: _Optional[str] = ..., log_probabilities: _Optional[_Iterable[_Union[_completion_pb2.TokenLogProbability, _Mapping]]] = ...) -> None: ...

class PartEnded(_message.Message):
    __slots__ = ("index", "provider_state")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_STATE_FIELD_NUMBER: _ClassVar[int]
    index: int
    provider_state: bytes
    def __init__(self, index: _Optional[int] = ..., provider_state: _Optional[bytes] = ...) -> None: ...

class ToolCallStarted(_message.Message):
    __slots__ = ("call_id", "name", "index")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    name: str
    index: int
    def __init__(self, call_id: _Optional[str] = ..., name: _Optional[str] = ..., index: _Optional[int] = ...) -> None: ...

class ToolCallArgumentsDelta(_message.Message):
    __slots__ = ("call_id", "arguments")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    arguments: str
    def __init__(self, call_id: _Optional[str] = ..., arguments: _Optional[str] = ...) -> None: ...

class ToolCallEnded(_message.Message):
    __slots__ = ("call_id", "provider_state")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_STATE_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    provider_state: bytes
    def __init__(self, call_id: _Optional[str] = ..., provider_state: _Optional[bytes] = ...) -> None: ...

class UsageReported(_message.Message):
    __slots__ = ("usage",)
    USAGE_FIELD_NUMBER: _ClassVar[int]
    usage: _usage_pb2.Usage
    def __init__(self, usage: _Optional[_Union[_usage_pb2.Usage, _Mapping]] = ...) -> None: ...

class Completed(_message.Message):
    __slots__ = ("finish_reason", "provider_finish_reason", "usage")
    FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    finish_reason: _completion_pb2.FinishReason
    provider_finish_reason: str
    usage: _usage_pb2.Usage
    def __init__(self, finish_reason: _Optional[_Union[_completion_pb2.FinishReason, str]] = ..., provider_finish_reason: _Optional[str] = ..., usage: _Optional[_Union[_usage_pb2.Usage, _Mapping]] = ...) -> None: ...
