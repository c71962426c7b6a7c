import datetime

from antiphon.api.core.v1 import completion_pb2 as _completion_pb2
from antiphon.api.core.v1 import event_pb2 as _event_pb2
from antiphon.api.core.v1 import permission_pb2 as _permission_pb2
from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CompleteRequest(_message.Message):
    __slots__ = ("spec",)
    SPEC_FIELD_NUMBER: _ClassVar[int]
    spec: _completion_pb2.CompletionSpec
    def __init__(self, spec: _Optional[_Union[_completion_pb2.CompletionSpec, _Mapping]] = ...) -> None: ...

class CompleteResponse(_message.Message):
    __slots__ = ("completion",)
    COMPLETION_FIELD_NUMBER: _ClassVar[int]
    completion: _completion_pb2.Completion
    def __init__(self, completion: _Optional[_Union[_completion_pb2.Completion, _Mapping]] = ...) -> None: ...

class StreamCompleteRequest(_message.Message):
    __slots__ = ("spec", "merge_window")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    MERGE_WINDOW_FIELD_NUMBER: _ClassVar[int]
    spec: _completion_pb2.CompletionSpec
    merge_window: _duration_pb2.Duration
    def __init__(self, spec: _Optional[_Union[_completion_pb2.CompletionSpec, _Mapping]] = ..., merge_window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class StreamCompleteResponse(_message.Message):
    __slots__ = ("event",)
    EVENT_FIELD_NUMBER: _ClassVar[int]
    event: _event_pb2.Event
    def __init__(self, event: _Optional[_Union[_event_pb2.Event, _Mapping]] = ...) -> None: ...

class CountTokensRequest(_message.Message):
    __slots__ = ("spec",)
    SPEC_FIELD_NUMBER: _ClassVar[int]
    spec: _completion_pb2.CompletionSpec
    def __init__(self, spec: _Optional[_Union[_completion_pb2.CompletionSpec, _Mapping]] = ...) -> None: ...

class CountTokensResponse(_message.Message):
    __slots__ = ("input_tokens", "estimated", "tokenizer", "model")
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_FIELD_NUMBER: _ClassVar[int]
    TOKENIZER_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    input_tokens: int
    estimated: bool
    tokenizer: str
    model: str
    def __init__(self, input_tokens: _Optional[int] = ..., estimated: _Optional[bool] = ..., tokenizer: _Optional[str] = ..., model: _Optional[str] = ...) -> None: ...
