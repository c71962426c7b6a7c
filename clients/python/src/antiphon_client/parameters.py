"""What `create`, `stream` and `count_tokens` take beside the model and the messages, and the contract's message that it makes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Literal, TypedDict, cast

from antiphon_client import argument_checks as checks
from antiphon_client._generated.google.protobuf import Struct
from antiphon_client.contract import core
from antiphon_client.messages import Conversation, conversation
from antiphon_client.tools import Tool

ToolLike = Tool | core.Tool | Callable[..., Any] | Mapping[str, Any]
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
    """What a completion can be asked with. A parameter that is left out, or None, is not sent: the provider's default holds.

    Attributes:
        tools: The tools that the model may call: `Tool`s, typed functions to make them of, or dictionaries as OpenAI's API takes them.
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


_SAMPLING: dict[str, Callable[[str, object], float]] = {
    "max_output_tokens": partial(checks.integer, bits=32),
    "temperature": checks.number,
    "top_p": checks.number,
    "top_k": partial(checks.integer, bits=32),
    "seed": partial(checks.integer, bits=64),
    "frequency_penalty": checks.number,
    "presence_penalty": checks.number,
    "top_logprobs": partial(checks.integer, bits=32),
}
_OPENAI_FUNCTION = {"name", "description", "parameters", "strict"}


def completion_spec(model: str, messages: Conversation, parameters: CompletionParameters) -> core.CompletionSpec:
    """The contract's message of what to complete.

    Raises:
        TypeError: A parameter is not known, or of a wrong type.
        ValueError: A message or a parameter cannot be read.
    """
    checks.known_names(parameters, CompletionParameters.__annotations__)
    given: dict[str, Any] = {name: value for name, value in parameters.items() if value is not None}
    spec = core.CompletionSpec(model=checks.string("model", model), messages=conversation(messages))
    spec.tools = [_tool(f"tools[{index}]", tool) for index, tool in enumerate(checks.items("tools", "tools", given.get("tools", ())))]
    spec.sampling = _sampling(given)
    if "parallel_tool_calls" in given:
        spec.parallel_tool_calls = checks.flag("parallel_tool_calls", given["parallel_tool_calls"])
    if "tool_choice" in given:
        spec.tool_choice = _tool_choice(given["tool_choice"])
    if "response_format" in given:
        spec.response_format = _response_format(given["response_format"])
    if "reasoning_effort" in given:
        spec.reasoning = core.ReasoningOptions(effort=checks.member("reasoning_effort", core.ReasoningEffort, given["reasoning_effort"]))
    if "unsupported_parameters" in given:
        policy = checks.member("unsupported_parameters", core.UnsupportedParameterPolicy, given["unsupported_parameters"])
        spec.unsupported_parameter_policy = policy
    spec.provider_options = _provider_options(given.get("provider_options", {}))
    labels = checks.mapping("labels", given.get("labels", {}))
    spec.labels = {name: checks.string(f"labels[{name!r}]", value) for name, value in labels.items()}
    return spec


def _sampling(given: Mapping[str, Any]) -> core.SamplingParameters | None:
    stop = given.get("stop", ())
    sampling = core.SamplingParameters(stop=[stop] if isinstance(stop, str) else checks.strings("stop", stop))
    for name, checked in _SAMPLING.items():
        if name in given:
            setattr(sampling, name, checked(name, given[name]))
    # A message with nothing but default values is false; `temperature=0` has presence and is none.
    return sampling or None


def _tool(name: str, tool: Any) -> core.Tool:
    match tool:
        case core.Tool():
            return tool
        case Tool():
            return tool.to_proto()
        case Mapping():
            return _openai_tool(name, checks.mapping(name, cast("object", tool))).to_proto()
        case _ if callable(tool):
            return Tool.from_function(tool).to_proto()
        case _:
            raise TypeError(f"{name} is a Tool, a typed function or an OpenAI-style dictionary, not {tool!r}")


def _openai_tool(name: str, tool: Mapping[str, Any]) -> Tool:
    function = tool.get("function")
    if len(tool) != 2 or tool.get("type") != "function" or not isinstance(function, Mapping):
        raise ValueError(f"{name} is no tool: a dictionary has the form {{'type': 'function', 'function': {{'name': ..., ...}}}}")
    about = checks.mapping(f"{name}['function']", cast("object", function))
    if unknown := about.keys() - _OPENAI_FUNCTION:
        raise ValueError(f"{name}['function'] has no {sorted(unknown)}; it has {sorted(_OPENAI_FUNCTION)}")
    schema, strict = about.get("parameters"), about.get("strict")
    return Tool(
        checks.string(f"{name}['function']['name']", about.get("name")),
        checks.string(f"{name}['function']['description']", about.get("description") or ""),
        None if schema is None else checks.mapping(f"{name}['function']['parameters']", schema),
        None if strict is None else checks.flag(f"{name}['function']['strict']", strict),
    )


def _tool_choice(choice: ToolChoiceLike) -> core.ToolChoice:
    if isinstance(choice, core.ToolChoice):
        return choice
    if isinstance(choice, Tool):
        return core.ToolChoice(mode=core.ToolChoiceMode.REQUIRED, allowed_tool_names=[choice.name])
    return core.ToolChoice(mode=checks.member("tool_choice", core.ToolChoiceMode, choice, alternative=", or a Tool"))


def _response_format(form: Any) -> core.ResponseFormat:
    match form:
        case core.ResponseFormat():
            return form
        case "text":
            return core.ResponseFormat(text=core.TextFormat())
        case "json":
            return core.ResponseFormat(json_object=core.JsonObjectFormat())
        case str():
            raise ValueError(f"response_format is 'text', 'json' or a JSON Schema; not {form!r}")
        case Mapping():
            schema = checks.json_text("response_format", checks.mapping("response_format", cast("object", form)))
            return core.ResponseFormat(json_schema=core.JsonSchemaFormat(schema=schema))
        case _:
            raise TypeError(f"response_format is 'text', 'json' or a JSON Schema; not {form!r}")


def _provider_options(given: object) -> dict[str, Struct]:
    options: dict[str, Struct] = {}
    for provider, settings in checks.mapping("provider_options", given).items():
        name = f"provider_options[{provider!r}]"
        options[provider] = Struct.from_dict(_plain(name, checks.mapping(name, settings)))
    return options


def _plain(name: str, value: Any) -> Any:
    """The same with dictionaries and lists only, which is all that betterproto2's Struct takes."""
    if isinstance(value, Mapping):
        return {key: _plain(f"{name}[{key!r}]", item) for key, item in checks.mapping(name, cast("object", value)).items()}
    if isinstance(value, (list, tuple)):
        return [_plain(f"{name}[{index}]", item) for index, item in enumerate(cast("list[Any]", value))]
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise TypeError(f"{name} is no value of JSON: {value!r}")
