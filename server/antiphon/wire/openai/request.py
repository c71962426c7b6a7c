"""A completion's specification, written as the body of `POST /chat/completions`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from antiphon.api.core.v1 import completion_pb2
from antiphon.wire.openai.messages import to_messages
from antiphon.wire.openai.options import to_fields
from antiphon.wire.openai.tools import schema_text, to_tool_choice, to_tools

if TYPE_CHECKING:
    from antiphon.wire.openai.dialect import Dialect

_EFFORTS = {
    completion_pb2.REASONING_EFFORT_NONE: "none",
    completion_pb2.REASONING_EFFORT_MINIMAL: "minimal",
    completion_pb2.REASONING_EFFORT_LOW: "low",
    completion_pb2.REASONING_EFFORT_MEDIUM: "medium",
    completion_pb2.REASONING_EFFORT_HIGH: "high",
}
_SAMPLING_FIELDS = ("temperature", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty")


def to_body(spec: completion_pb2.CompletionSpec, model_id: str, dialect: Dialect, *, stream: bool) -> bytes:
    """Writes the body. What is not set in the specification is not sent; the provider's options stand over the rest.

    Raises:
        InvalidRequestError: Something in it has no form in the dialect.
    """
    body: dict[str, Any] = {"model": model_id, "messages": to_messages(spec.messages, dialect)}
    if stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    if spec.HasField("sampling"):
        _add_sampling(body, spec.sampling, dialect)
    if spec.tools:
        body["tools"] = to_tools(spec.tools)
        if spec.HasField("tool_choice"):
            body["tool_choice"] = to_tool_choice(spec.tool_choice)
    if spec.HasField("parallel_tool_calls"):
        body["parallel_tool_calls"] = spec.parallel_tool_calls
    if spec.HasField("response_format"):
        _add_response_format(body, spec.response_format)
    if spec.HasField("reasoning") and (effort := _EFFORTS.get(spec.reasoning.effort)):
        body["reasoning_effort"] = effort
    if dialect.provider in spec.provider_options:
        path = f'spec.provider_options["{dialect.provider}"]'
        body.update(to_fields(spec.provider_options[dialect.provider], path))
    return orjson.dumps(body)


def _add_sampling(body: dict[str, Any], sampling: completion_pb2.SamplingParameters, dialect: Dialect) -> None:
    if sampling.HasField("max_output_tokens"):
        body[dialect.max_tokens_parameter] = sampling.max_output_tokens
    for name in _SAMPLING_FIELDS:
        if sampling.HasField(name):
            body[name] = getattr(sampling, name)
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if sampling.HasField("top_logprobs"):
        body["logprobs"] = True
        body["top_logprobs"] = sampling.top_logprobs


def _add_response_format(body: dict[str, Any], response_format: completion_pb2.ResponseFormat) -> None:
    kind = response_format.WhichOneof("format")
    if kind == "json_object":
        body["response_format"] = {"type": "json_object"}
    elif kind == "json_schema":
        wanted = response_format.json_schema
        schema: dict[str, Any] = {
            "name": wanted.name or "response",
            "schema": schema_text(wanted.schema, "spec.response_format.json_schema.schema"),
        }
        if wanted.HasField("strict"):
            schema["strict"] = wanted.strict
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
