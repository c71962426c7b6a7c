"""What `create`, `stream` and `count_tokens` take beside the model and the messages, and the contract's message that it makes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypedDict, cast

from antiphon_client._generated.google.protobuf import Struct
from antiphon_client.contract import core
from antiphon_client.messages import Conversation, conversation
from antiphon_client.tools import Tool

ToolLike = Tool | core.Tool | Callable[..., Any]
ToolChoiceLike = Literal["auto", "none", "required"] | Tool | core.ToolChoice
ResponseFormatLike = Literal["text", "json"] | Mapping[str, Any] | core.ResponseFormat
ReasoningEffortLike = Literal["none", "minimal", "low", "medium", "high"] | core.ReasoningEffort


class CallParameters(TypedDict, total=False):
    """How one call is made.

    Attributes:
        timeout_s: Time for the call and its retries; None means no deadline. By default the client's for unary calls, none for streams.
        retries: How many attempts may follow the first; by default the client's.
        metadata: Metadata of this call alone.
    """

    timeout_s: float | None
    retries: int
    metadata: Mapping[str, str]


class CompletionParameters(CallParameters, total=False):
    """What a completion can be asked with. A parameter that is left out is not sent: the provider's default holds.

    Attributes:
        tools: The tools that the model may call: `Tool`s, or typed functions to make them of.
        tool_choice: Whether it calls tools; a `Tool` means that one.
        parallel_tool_calls: Whether it may ask for several at once.
        max_output_tokens: The most tokens to generate, reasoning included.
        temperature: Randomness, 0 to 2.
        top_p: Nucleus sampling, more than 0, at most 1.
        top_k: Only the K likeliest tokens.
        stop: Texts at which generation stops.
        seed: Seed for the sampler.
        frequency_penalty: -2 to 2.
        presence_penalty: -2 to 2.
        top_logprobs: Asks for log-probabilities and this many alternatives.
        response_format: `"text"`, `"json"`, or a JSON Schema that the answer follows.
        reasoning_effort: How hard the model thinks.
        provider_options: Settings that only one provider knows, by the provider's name.
        unsupported_parameters: What happens when the model cannot take a parameter: `"error"` (the default) or `"ignore"`.
        labels: Labels for the server's logs.
    """

    tools: Iterable[ToolLike]
    tool_choice: ToolChoiceLike
    parallel_tool_calls: bool
    max_output_tokens: int
    temperature: float
    top_p: float
    top_k: int
    stop: str | Iterable[str]
    seed: int
    frequency_penalty: float
    presence_penalty: float
    top_logprobs: int
    response_format: ResponseFormatLike
    reasoning_effort: ReasoningEffortLike
    provider_options: Mapping[str, Mapping[str, Any]]
    unsupported_parameters: Literal["error", "ignore"]
    labels: Mapping[str, str]


_SAMPLING = ("max_output_tokens", "temperature", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty", "top_logprobs")


def completion_spec(model: str, messages: Conversation, parameters: CompletionParameters) -> core.CompletionSpec:
    """The contract's message of what to complete.

    Raises:
        TypeError: A parameter is not known.
        ValueError: A message or a parameter cannot be read.
    """
    if unknown := parameters.keys() - CompletionParameters.__annotations__.keys():
        raise TypeError(f"unknown parameters: {sorted(unknown)}")
    spec = core.CompletionSpec(model=model, messages=conversation(messages))
    spec.tools = [_tool(tool) for tool in parameters.get("tools", ())]
    spec.sampling = _sampling(parameters)
    spec.parallel_tool_calls = parameters.get("parallel_tool_calls")
    if "tool_choice" in parameters:
        spec.tool_choice = _tool_choice(parameters["tool_choice"])
    if "response_format" in parameters:
        spec.response_format = _response_format(parameters["response_format"])
    if "reasoning_effort" in parameters:
        effort = parameters["reasoning_effort"]
        member = core.ReasoningEffort[effort.upper()] if isinstance(effort, str) else effort
        spec.reasoning = core.ReasoningOptions(effort=member)
    if "unsupported_parameters" in parameters:
        spec.unsupported_parameter_policy = core.UnsupportedParameterPolicy[parameters["unsupported_parameters"].upper()]
    spec.provider_options = {name: Struct.from_dict(_plain(options)) for name, options in parameters.get("provider_options", {}).items()}
    spec.labels = dict(parameters.get("labels", {}))
    return spec


def _sampling(parameters: CompletionParameters) -> core.SamplingParameters | None:
    stop = parameters.get("stop", ())
    sampling = core.SamplingParameters(stop=[stop] if isinstance(stop, str) else list(stop))
    for name in _SAMPLING:
        setattr(sampling, name, parameters.get(name))
    # A message with nothing but default values is false; `temperature=0` has presence and is none.
    return sampling or None


def _tool(tool: ToolLike) -> core.Tool:
    if isinstance(tool, core.Tool):
        return tool
    return (tool if isinstance(tool, Tool) else Tool.from_function(tool)).to_proto()


def _tool_choice(choice: ToolChoiceLike) -> core.ToolChoice:
    if isinstance(choice, core.ToolChoice):
        return choice
    if isinstance(choice, Tool):
        return core.ToolChoice(mode=core.ToolChoiceMode.REQUIRED, allowed_tool_names=[choice.name])
    return core.ToolChoice(mode=core.ToolChoiceMode[choice.upper()])


def _response_format(form: ResponseFormatLike) -> core.ResponseFormat:
    match form:
        case core.ResponseFormat():
            return form
        case "text":
            return core.ResponseFormat(text=core.TextFormat())
        case "json":
            return core.ResponseFormat(json_object=core.JsonObjectFormat())
        case _:
            return core.ResponseFormat(json_schema=core.JsonSchemaFormat(schema=json.dumps(dict(form))))


def _plain(value: Any) -> Any:
    """The same with dictionaries and lists only, which is all that betterproto2's Struct takes."""
    if isinstance(value, Mapping):
        mapping = cast("Mapping[str, Any]", value)
        return {key: _plain(item) for key, item in mapping.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in cast("list[Any]", value)]
    return value
