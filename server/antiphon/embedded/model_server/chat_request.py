"""Reads the body of a chat completion; what cannot be honoured is an error, never dropped in silence."""

from __future__ import annotations

from dataclasses import dataclass

from antiphon.embedded.model_server.constraint import Constraint, compile_any_object, compile_schema
from antiphon.embedded.model_server.conversation import ChatMessage, parse_messages
from antiphon.embedded.model_server.engine import Sampling
from antiphon.embedded.model_server.errors import BadRequestError, ModelNotFoundError
from antiphon.embedded.model_server.json_types import (
    JsonObject,
    JsonValue,
    is_array,
    is_number,
    is_object,
    is_whole,
)
from antiphon.embedded.model_server.tools import ToolChoice, parse_tool_choice, parse_tools

# Fields that say nothing about the answer of a local model.
_WITHOUT_EFFECT = frozenset({"user", "metadata", "store", "service_tier", "parallel_tool_calls", "safety_identifier", "prompt_cache_key"})
_HONOURED = frozenset(
    {
        "model",
        "messages",
        "stream",
        "stream_options",
        "temperature",
        "top_p",
        "top_k",
        "max_tokens",
        "max_completion_tokens",
        "stop",
        "seed",
        "frequency_penalty",
        "presence_penalty",
        "logprobs",
        "top_logprobs",
        "response_format",
        "tools",
        "tool_choice",
        "n",
    }
)
_MOST_STOPS = 4
_MOST_TOP_LOGPROBS = 20
_LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A validated request. `constraint` comes from `response_format`."""

    model: str
    messages: tuple[ChatMessage, ...]
    stream: bool
    include_usage: bool
    sampling: Sampling
    constraint: Constraint | None
    tool_choice: ToolChoice


def parse_chat_request(body: JsonObject, model_name: str, default_max_tokens: int) -> ChatRequest:
    """Read and check a request body.

    Raises:
        BadRequestError: A field is malformed, unknown or cannot be honoured.
        ModelNotFoundError: Another model is asked for.
    """
    if body.get("model") != model_name:
        raise ModelNotFoundError(
            f"the model {body.get('model')!r} does not exist; this server has {model_name!r}",
            code="model_not_found",
            param="model",
        )
    for name, value in body.items():
        if name not in _HONOURED | _WITHOUT_EFFECT and value is not None:
            raise BadRequestError(f"the embedded model cannot honour {name!r}", code="unsupported_parameter", param=name)
    if body.get("n") not in (None, 1):
        raise BadRequestError("the embedded model gives one answer a request", code="unsupported_parameter", param="n")
    stream = _flag(body, "stream")
    options = body.get("stream_options")
    tools = parse_tools(body.get("tools"))
    constraint = _parse_response_format(body.get("response_format"))
    sampling = _parse_sampling(body, default_max_tokens)
    if constraint is not None and sampling.stop:
        raise BadRequestError("stop would cut the JSON that response_format asks for", code="unsupported_parameter", param="stop")
    return ChatRequest(
        model=model_name,
        messages=parse_messages(body.get("messages")),
        stream=stream,
        include_usage=is_object(options) and options.get("include_usage") is True,
        sampling=sampling,
        constraint=constraint,
        tool_choice=parse_tool_choice(body.get("tool_choice"), tools),
    )


def _parse_sampling(body: JsonObject, default_max_tokens: int) -> Sampling:
    max_tokens = _whole(body, "max_completion_tokens", 1, None)
    if max_tokens is None:
        max_tokens = _whole(body, "max_tokens", 1, None)
    logprobs = _flag(body, "logprobs")
    top_logprobs = _whole(body, "top_logprobs", 0, _MOST_TOP_LOGPROBS)
    if top_logprobs is not None and not logprobs:
        raise BadRequestError("top_logprobs needs logprobs", param="top_logprobs")
    return Sampling(
        temperature=_number(body, "temperature", 0, 2),
        top_p=_number(body, "top_p", 0, 1),
        top_k=_whole(body, "top_k", 0, None),
        max_tokens=default_max_tokens if max_tokens is None else max_tokens,
        stop=_parse_stop(body.get("stop")),
        seed=_whole(body, "seed", 0, _LARGEST_SEED),
        frequency_penalty=_number(body, "frequency_penalty", -2, 2),
        presence_penalty=_number(body, "presence_penalty", -2, 2),
        logprobs=logprobs,
        top_logprobs=top_logprobs or 0,
    )


def _parse_stop(value: JsonValue | None) -> tuple[str, ...]:
    if value is None:
        return ()
    listed = value if is_array(value) else [value]
    stops = tuple(stop for stop in listed if isinstance(stop, str) and stop)
    if len(stops) != len(listed) or len(stops) > _MOST_STOPS:
        raise BadRequestError(f"stop must be a string or up to {_MOST_STOPS} strings", param="stop")
    return stops


def _parse_response_format(value: JsonValue | None) -> Constraint | None:
    if value is None:
        return None
    kind = value.get("type") if is_object(value) else None
    if kind == "text":
        return None
    if kind == "json_object":
        return compile_any_object()
    if is_object(value) and kind == "json_schema":
        stated = value.get("json_schema")
        schema = stated.get("schema") if is_object(stated) else None
        if not is_object(schema):
            raise BadRequestError("json_schema needs a schema", param="response_format.json_schema.schema")
        return compile_schema(schema, "response_format.json_schema.schema")
    raise BadRequestError("response_format has an unknown type", param="response_format.type")


def _flag(body: JsonObject, name: str) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadRequestError(f"{name} must be true or false", param=name)
    return value is True


def _number(body: JsonObject, name: str, low: float, high: float) -> float | None:
    value = body.get(name)
    if value is None:
        return None
    if not is_number(value) or not low <= value <= high:
        raise BadRequestError(f"{name} must be a number from {low} to {high}", param=name)
    return float(value)


def _whole(body: JsonObject, name: str, low: int, high: int | None) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if not is_whole(value) or value < low or (high is not None and value > high):
        limit = f"at least {low}" if high is None else f"from {low} to {high}"
        raise BadRequestError(f"{name} must be a whole number, {limit}", param=name)
    return value
