"""The tools and the choice among them, written as the dialect's `tools` and `tool_choice`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import orjson

from antiphon.api.core.v1 import tool_pb2
from antiphon.errors import InvalidRequestError, Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHORT_CHARACTERS = 16_384
_NO_ARGUMENTS: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}


def to_tools(tools: Sequence[tool_pb2.Tool]) -> list[dict[str, Any]]:
    """Writes the tools.

    Raises:
        InvalidRequestError: A schema is no JSON object (INVALID_JSON_SCHEMA).
    """
    return [_tool(tool, f"spec.tools[{number}]") for number, tool in enumerate(tools)]


def _tool(tool: tool_pb2.Tool, path: str) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = schema_text(tool.input_schema, f"{path}.input_schema") if tool.input_schema else _NO_ARGUMENTS
    if tool.HasField("strict"):
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def schema_text(schema: str, path: str) -> orjson.Fragment:
    """Returns a schema to put into a body as it was written: numbers and the order of keys stay the caller's.

    Raises:
        InvalidRequestError: It is no JSON object, so it would break the body that holds it (INVALID_JSON_SCHEMA).
    """
    if not (_is_short_object(schema) if len(schema) <= _SHORT_CHARACTERS else _is_object(schema)):
        raise InvalidRequestError.at(
            Reason.ERROR_REASON_INVALID_JSON_SCHEMA,
            path,
            "must be a JSON Schema written as a JSON object",
            message=f"{path} is no JSON object",
        )
    return orjson.Fragment(schema)


def _is_object(text: str) -> bool:
    try:
        return isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        return False


# The same tools come with every turn, and parsing takes several times as long as writing them. Long texts are not kept: they would fill the memory.
_is_short_object = functools.lru_cache(maxsize=256)(_is_object)


def to_tool_choice(choice: tool_pb2.ToolChoice) -> str | dict[str, Any]:
    """Writes the choice."""
    if choice.mode == tool_pb2.TOOL_CHOICE_MODE_NONE:
        return "none"
    mode = "required" if choice.mode == tool_pb2.TOOL_CHOICE_MODE_REQUIRED else "auto"
    names = choice.allowed_tool_names
    if not names:
        return mode
    named = [{"type": "function", "function": {"name": name}} for name in names]
    if mode == "required" and len(named) == 1:
        return named[0]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": named}}
