"""How one endpoint's dialect differs from another's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from antiphon.api.model.v1 import model_service_pb2 as model_pb2

MaxTokensParameter: TypeAlias = Literal["max_completion_tokens", "max_tokens"]
ReasoningField: TypeAlias = Literal["reasoning_content", "reasoning"]

# What can be said in this dialect. `top_k` cannot, although servers of this dialect may know it as a field of their own.
CAPABILITIES: tuple[model_pb2.Capability, ...] = (
    model_pb2.CAPABILITY_TOOLS,
    model_pb2.CAPABILITY_PARALLEL_TOOL_CALLS,
    model_pb2.CAPABILITY_JSON_OBJECT,
    model_pb2.CAPABILITY_JSON_SCHEMA,
    model_pb2.CAPABILITY_IMAGE_INPUT,
    model_pb2.CAPABILITY_DOCUMENT_INPUT,
    model_pb2.CAPABILITY_AUDIO_INPUT,
    model_pb2.CAPABILITY_URI_INPUT,
    model_pb2.CAPABILITY_REASONING_EFFORT,
    model_pb2.CAPABILITY_TEMPERATURE,
    model_pb2.CAPABILITY_TOP_P,
    model_pb2.CAPABILITY_STOP,
    model_pb2.CAPABILITY_SEED,
    model_pb2.CAPABILITY_FREQUENCY_PENALTY,
    model_pb2.CAPABILITY_PRESENCE_PENALTY,
    model_pb2.CAPABILITY_LOG_PROBABILITIES,
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one endpoint wants otherwise than its neighbours.

    Attributes:
        provider: The provider's configured name: keys its options in a request and marks the state that it may see again.
        max_tokens_parameter: The parameter that limits the answer; OpenAI deprecated `max_tokens`, many other servers know nothing else.
        reasoning_field: The field of an assistant's message in which the endpoint wants its earlier reasoning back. None, as for OpenAI itself:
            reasoning parts of the conversation are not sent, because the dialect has no place for them.
    """

    provider: str
    max_tokens_parameter: MaxTokensParameter = "max_completion_tokens"
    reasoning_field: ReasoningField | None = None
