"""The rules of the API's reference that a request must keep; breaking one is answered as the API answers it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.simulators.openai.failures import Failure, rejected_request
from tests.simulators.openai.json_types import is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Iterator

_PARAMETERS = frozenset(
    {
        "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens", "messages",
        "metadata", "modalities", "model", "n", "parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key", "reasoning_effort",
        "response_format", "safety_identifier", "seed", "service_tier", "stop", "store", "stream", "stream_options", "temperature", "tool_choice",
        "tools", "top_logprobs", "top_p", "user", "verbosity", "web_search_options",
    }
)  # fmt: skip
_RANGES = {"temperature": (0, 2), "top_p": (0, 1), "frequency_penalty": (-2, 2), "presence_penalty": (-2, 2), "top_logprobs": (0, 20)}
_WHOLE_NUMBERS = ("max_tokens", "max_completion_tokens", "seed", "top_logprobs", "n")
_EFFORTS = frozenset({"none", "minimal", "low", "medium", "high", "xhigh"})
_MOST_STOPS = 4
_USER_PARTS = {
    "text": ("text", str),
    "image_url": ("image_url", dict),
    "input_audio": ("input_audio", dict),
    "file": ("file", dict),
}


def broken_rule(body: Any, extra_parameters: frozenset[str]) -> Failure | None:
    """Returns the error of the first rule that the body breaks.

    Args:
        body: The request's body.
        extra_parameters: Parameters that this server knows beyond the API's.
    """
    if not is_object(body):
        return rejected_request("We could not parse the JSON body of your request.")
    return next(_broken_rules(body, extra_parameters), None)


def _broken_rules(body: dict[str, Any], extra_parameters: frozenset[str]) -> Iterator[Failure]:
    for name in body:
        if name not in _PARAMETERS | extra_parameters:
            yield rejected_request(f"Unrecognized request argument supplied: {name}")
    if not isinstance(body.get("model"), str) or not body["model"]:
        yield rejected_request("you must provide a model parameter")
    yield from _broken_in_parameters(body)
    yield from _broken_in_tools(body)
    yield from _broken_in_format(body)
    messages: Any = body.get("messages")
    if not is_list(messages) or not messages:
        yield rejected_request("[] is too short - 'messages'", "messages")
    else:
        yield from _broken_in_messages(messages)


def _broken_in_parameters(body: dict[str, Any]) -> Iterator[Failure]:
    for name, (low, high) in _RANGES.items():
        value = body.get(name)
        if value is not None and (not isinstance(value, (int, float)) or not low <= value <= high):
            yield rejected_request(f"Invalid '{name}': expected a number between {low} and {high}.", name)
    for name in _WHOLE_NUMBERS:
        if body.get(name) is not None and not isinstance(body[name], int):
            yield rejected_request(f"Invalid type for '{name}': expected an integer.", name, "invalid_type")
    if "max_tokens" in body and "max_completion_tokens" in body:
        yield rejected_request("Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.", "max_tokens")
    if "stream_options" in body and not body.get("stream"):
        yield rejected_request("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options")
    if body.get("top_logprobs") is not None and not body.get("logprobs"):
        yield rejected_request("The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.", "top_logprobs")
    if isinstance(body.get("stop"), list) and len(body["stop"]) > _MOST_STOPS:
        yield rejected_request("Invalid 'stop': array too long.", "stop", "array_above_max_length")
    if "reasoning_effort" in body and body["reasoning_effort"] not in _EFFORTS:
        yield rejected_request("Invalid value for 'reasoning_effort'.", "reasoning_effort", "invalid_value")


def _broken_in_tools(body: dict[str, Any]) -> Iterator[Failure]:
    tools: list[Any] = body.get("tools") or []
    names: set[str] = set()
    for number, tool in enumerate(tools):
        function: Any = tool.get("function") if is_object(tool) and tool.get("type") == "function" else None
        if not is_object(function) or not isinstance(function.get("name"), str):
            yield rejected_request(f"Missing required parameter: 'tools[{number}].function.name'.", f"tools[{number}]")
            return
        if not isinstance(function.get("parameters", {}), dict):
            yield rejected_request("Invalid schema for function: not an object.", f"tools[{number}].function.parameters")
        names.add(function["name"])
    for name in ("tool_choice", "parallel_tool_calls"):
        if name in body and not tools:
            yield rejected_request(f"'{name}' is only allowed when 'tools' are specified.", name)
    choice: Any = body.get("tool_choice")
    for name in _chosen_names(choice):
        if name not in names:
            yield rejected_request(f"Tool choice '{name}' not found in 'tools' parameter.", "tool_choice")
    if choice is not None and not isinstance(choice, dict) and choice not in {"none", "auto", "required"}:
        yield rejected_request("Invalid value for 'tool_choice'.", "tool_choice", "invalid_value")


def _chosen_names(choice: Any) -> list[str]:
    if not is_object(choice):
        return []
    if choice.get("type") == "allowed_tools":
        return [tool["function"]["name"] for tool in choice["allowed_tools"]["tools"]]
    return [choice["function"]["name"]]


def _broken_in_format(body: dict[str, Any]) -> Iterator[Failure]:
    wanted = body.get("response_format")
    if wanted is None:
        return
    if wanted.get("type") not in {"text", "json_object", "json_schema"}:
        yield rejected_request("Invalid value for 'response_format.type'.", "response_format.type", "invalid_value")
    if wanted.get("type") == "json_schema" and not isinstance(wanted.get("json_schema", {}).get("name"), str):
        yield rejected_request("Missing required parameter: 'response_format.json_schema.name'.", "response_format.json_schema.name")
    if wanted.get("type") == "json_object" and "json" not in str(body.get("messages")).lower():
        yield rejected_request(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.", "messages"
        )


def _broken_in_messages(messages: list[Any]) -> Iterator[Failure]:
    unanswered: set[str] = set()
    for number, message in enumerate(messages):
        path = f"messages.[{number}]"
        role = message.get("role")
        if role not in {"system", "developer", "user", "assistant", "tool"}:
            yield rejected_request(f"Invalid value: '{role}'.", f"{path}.role", "invalid_value")
        if role == "tool":
            if message.get("tool_call_id") not in unanswered:
                yield rejected_request(
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.", path
                )
            unanswered.discard(message["tool_call_id"])
        elif unanswered:
            yield rejected_request(
                "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'.", path
            )
        if role == "assistant":
            calls: list[dict[str, Any]] = message.get("tool_calls") or []
            unanswered = {call["id"] for call in calls}
        if message.get("content") is None and not (role == "assistant" and message.get("tool_calls")):
            yield rejected_request(f"Invalid value for 'content': expected a string, got null. {path}", path)
        yield from _broken_in_content(message.get("content"), role, path)


def _broken_in_content(content: Any, role: str, path: str) -> Iterator[Failure]:
    if content is None or isinstance(content, str):
        return
    allowed = _USER_PARTS if role == "user" else {"text": _USER_PARTS["text"]}
    for number, part in enumerate(content):
        kind = allowed.get(part.get("type"))
        if kind is None or not isinstance(part.get(kind[0]), kind[1]):
            yield rejected_request(
                f"Invalid value: '{part.get('type')}'. Supported values are: {sorted(allowed)}.", f"{path}.content[{number}].type"
            )
