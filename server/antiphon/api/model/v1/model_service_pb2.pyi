from antiphon.api.core.v1 import permission_pb2 as _permission_pb2
from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Capability(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CAPABILITY_UNSPECIFIED: _ClassVar[Capability]
    CAPABILITY_TOOLS: _ClassVar[Capability]
    CAPABILITY_PARALLEL_TOOL_CALLS: _ClassVar[Capability]
    CAPABILITY_JSON_OBJECT: _ClassVar[Capability]
    CAPABILITY_JSON_SCHEMA: _ClassVar[Capability]
    CAPABILITY_IMAGE_INPUT: _ClassVar[Capability]
    CAPABILITY_DOCUMENT_INPUT: _ClassVar[Capability]
    CAPABILITY_AUDIO_INPUT: _ClassVar[Capability]
    CAPABILITY_URI_INPUT: _ClassVar[Capability]
    CAPABILITY_REASONING_EFFORT: _ClassVar[Capability]
    CAPABILITY_TEMPERATURE: _ClassVar[Capability]
    CAPABILITY_TOP_P: _ClassVar[Capability]
    CAPABILITY_TOP_K: _ClassVar[Capability]
    CAPABILITY_STOP: _ClassVar[Capability]
    CAPABILITY_SEED: _ClassVar[Capability]
    CAPABILITY_FREQUENCY_PENALTY: _ClassVar[Capability]
    CAPABILITY_PRESENCE_PENALTY: _ClassVar[Capability]
    CAPABILITY_LOG_PROBABILITIES: _ClassVar[Capability]
    CAPABILITY_EXACT_TOKEN_COUNT: _ClassVar[Capability]

class ModelStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODEL_STATUS_UNSPECIFIED: _ClassVar[ModelStatus]
    MODEL_STATUS_READY: _ClassVar[ModelStatus]
    MODEL_STATUS_NOT_LOADED: _ClassVar[ModelStatus]
    MODEL_STATUS_LOADING: _ClassVar[ModelStatus]
    MODEL_STATUS_UNAVAILABLE: _ClassVar[ModelStatus]
CAPABILITY_UNSPECIFIED: Capability
CAPABILITY_TOOLS: Capability
CAPABILITY_PARALLEL_TOOL_CALLS: Capability
CAPABILITY_JSON_OBJECT: Capability
CAPABILITY_JSON_SCHEMA: Capability
CAPABILITY_IMAGE_INPUT: Capability
CAPABILITY_DOCUMENT_INPUT: Capability
CAPABILITY_AUDIO_INPUT: Capability
CAPABILITY_URI_INPUT: Capability
CAPABILITY_REASONING_EFFORT: Capability
CAPABILITY_TEMPERATURE: Capability
CAPABILITY_TOP_P: Capability
CAPABILITY_TOP_K: Capability
CAPABILITY_STOP: Capability
CAPABILITY_SEED: Capability
CAPABILITY_FREQUENCY_PENALTY: Capability
CAPABILITY_PRESENCE_PENALTY: Capability
CAPABILITY_LOG_PROBABILITIES: Capability
CAPABILITY_EXACT_TOKEN_COUNT: Capability
MODEL_STATUS_UNSPECIFIED: ModelStatus
MODEL_STATUS_READY: ModelStatus
MODEL_STATUS_NOT_LOADED: ModelStatus
MODEL_STATUS_LOADING: ModelStatus
MODEL_STATUS_UNAVAILABLE: ModelStatus

class ListModelsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "provider")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    provider: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., provider: _Optional[str] = ...) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models", "next_page_token")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    next_page_token: str
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: Model
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("name", "provider", "aliases", "capabilities", "context_window_tokens", "max_output_tokens", "prices", "status")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_WINDOW_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MAX_OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    PRICES_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    name: str
    provider: str
    aliases: _containers.RepeatedScalarFieldContainer[str]
    capabilities: _containers.RepeatedScalarFieldContainer[Capability]
    context_window_tokens: int
    max_output_tokens: int
    prices: Prices
    status: ModelStatus
    def __init__(self, name: _Optional[str] = ..., provider: _Optional[str] = ..., aliases: _Optional[_Iterable[str]] = ..., capabilities: _Optional[_Iterable[_Union[Capability, str]]] = ..., context_window_tokens: _Optional[int] = ..., max_output_tokens: _Optional[int] = ..., prices: _Optional[_Union[Prices, _Mapping]] = ..., status: _Optional[_Union[ModelStatus, str]] = ...) -> None: ...

class Prices(_message.Message):
    __slots__ = ("currency_code", "input_micros_per_million", "output_micros_per_million", "cache_read_micros_per_million", "cache_write_micros_per_million", "price_table_version")
    CURRENCY_CODE_FIELD_NUMBER: _ClassVar[int]
    INPUT_MICROS_PER_MILLION_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_MICROS_PER_MILLION_FIELD_NUMBER: _ClassVar[int]
    CACHE_READ_MICROS_PER_MILLION_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_MICROS_PER_MILLION_FIELD_NUMBER: _ClassVar[int]
    PRICE_TABLE_VERSION_FIELD_NUMBER: _ClassVar[int]
    currency_code: str
    input_micros_per_million: int
    output_micros_per_million: int
    cache_read_micros_per_million: int
    cache_write_micros_per_million: int
    price_table_version: str
    def __init__(self, currency_code: _Optional[str] = ..., input_micros_per_million: _Optional[int] = ..., output_micros_per_million: _Optional[int] = ..., cache_read_micros_per_million: _Optional[int] = ..., cache_write_micros_per_million: _Optional[int] = ..., price_table_version: _Optional[str] = ...) -> None: ...
