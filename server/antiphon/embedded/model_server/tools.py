"""The tools of a request and which of them may or must be called."""

from __future__ import annotations

from dataclasses import dataclass, field

from antiphon.embedded.model_server.errors import BadRequestError
from antiphon.embedded.model_server.json_types import JsonObject, JsonValue, is_array, is_object

_NO_PARAMETERS: JsonObject = {"type": "object", "properties": {}}


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the caller can run."""

    name: str
    description: str
    parameters: JsonObject = field(default_factory=lambda: dict(_NO_PARAMETERS))

    @property
    def parameter_texts(self) -> tuple[str, ...]:
        """Name and description of each parameter."""
        properties = self.parameters.get("properties")
        if not is_object(properties):
            return ()
        return tuple(f"{name} {schema.get('description', '')}" if is_object(schema) else name for name, schema in properties.items())


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Which tools can be called.

    Attributes:
        mode: "none", "auto" (text or a call) or "required" (always a call).
        tools: The tools that may be called.
    """

    mode: str
    tools: tuple[Tool, ...]


def parse_tools(value: JsonValue | None) -> tuple[Tool, ...]:
    """Read the `tools` field.

    Raises:
        BadRequestError: It is malformed, or a name stands twice.
    """
    if value is None:
        return ()
    if not is_array(value):
        raise BadRequestError("tools must be a list", param="tools")
    tools = tuple(_parse_tool(tool, f"tools[{number}]") for number, tool in enumerate(value))
    names = [tool.name for tool in tools]
    if len(set(names)) != len(names):
        raise BadRequestError("two tools have the same name", param="tools")
    return tools


def _parse_tool(value: JsonValue, param: str) -> Tool:
    if not is_object(value) or value.get("type", "function") != "function":
        raise BadRequestError("the embedded model takes function tools only", param=f"{param}.type")
    function = value.get("function")
    if not is_object(function) or not isinstance(function.get("name"), str) or not function["name"]:
        raise BadRequestError("a tool needs a function with a name", param=f"{param}.function.name")
    parameters = function.get("parameters")
    if parameters is not None and not is_object(parameters):
        raise BadRequestError("parameters must be a JSON Schema object", param=f"{param}.function.parameters")
    # A tool without parameters is called with an empty object, and one whose schema leaves the type out with an object.
    schema: JsonObject = {"type": "object", **parameters} if parameters else dict(_NO_PARAMETERS)
    return Tool(str(function["name"]), str(function.get("description") or ""), schema)


def parse_tool_choice(value: JsonValue | None, tools: tuple[Tool, ...]) -> ToolChoice:
    """Read the `tool_choice` field in all its forms: a mode, a named function, `allowed_tools`.

    Raises:
        BadRequestError: It is malformed or names a tool that is not in the request.
    """
    if value is None:
        return ToolChoice("auto" if tools else "none", tools)
    if value in ("none", "auto", "required"):
        if value == "required" and not tools:
            raise BadRequestError("tool_choice 'required' needs tools", param="tool_choice")
        return ToolChoice(str(value) if tools else "none", tools)
    if is_object(value) and value.get("type") == "function":
        return ToolChoice("required", (_find(value, tools, "tool_choice"),))
    if is_object(value) and value.get("type") == "allowed_tools":
        allowed = value.get("allowed_tools")
        listed = allowed.get("tools") if is_object(allowed) else None
        mode = allowed.get("mode", "auto") if is_object(allowed) else None
        if mode not in ("auto", "required") or not is_array(listed) or not listed:
            raise BadRequestError("allowed_tools needs a mode and a list of tools", param="tool_choice.allowed_tools")
        found = tuple(_find(entry, tools, "tool_choice.allowed_tools.tools") for entry in listed)
        return ToolChoice(str(mode), found)
    raise BadRequestError("tool_choice has an unknown form", param="tool_choice")


def _find(value: JsonValue, tools: tuple[Tool, ...], param: str) -> Tool:
    function = value.get("function") if is_object(value) else None
    name = function.get("name") if is_object(function) else None
    for tool in tools:
        if tool.name == name:
            return tool
    raise BadRequestError(f"tool_choice names {name!r}, which is not among the tools", param=param)
