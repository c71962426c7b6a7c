"""Builders of the conversation's messages: they hide the contract's oneofs, and take plain strings and dictionaries."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from antiphon_client import argument_checks as checks
from antiphon_client.completion import Completion
from antiphon_client.contract import core

Content = str | core.Part | Mapping[str, Any]
MessageLike = str | core.Message | Completion | Mapping[str, Any]
Conversation = MessageLike | Sequence[MessageLike]

_KEYS = {
    "system": {"role", "content"},
    "user": {"role", "content"},
    "assistant": {"role", "content", "tool_calls"},
    "tool": {"role", "content", "call_id", "is_error"},
}
_CALL_KEYS = {"call_id", "name", "arguments"}


def text(content: str) -> core.Part:
    """A part of plain text."""
    return core.Part(text=content)


def system(*content: str) -> core.Message:
    """Instructions of the application; only at the start of a conversation."""
    return core.Message(role=core.Role.SYSTEM, parts=_parts(content))


def user(*content: Content) -> core.Message:
    """What the person or program that asks says: strings, and parts such as `image(...)`; `{"type": "text", "text": ...}` is text, too."""
    return core.Message(role=core.Role.USER, parts=_parts(content))


def assistant(*content: Content) -> core.Message:
    """What the model said on an earlier turn. A `Completion` can stand in a conversation as it is and keeps more: tool calls, reasoning, signatures."""
    return core.Message(role=core.Role.ASSISTANT, parts=_parts(content))


def tool_call(call_id: str, name: str, arguments: str | Mapping[str, Any]) -> core.Part:
    """A model's request to run a tool, for an `assistant` message of one's own making. The arguments are a JSON object or its text."""
    encoded = arguments if isinstance(arguments, str) else json.dumps(dict(arguments))
    return core.Part(tool_call=core.ToolCall(call_id=call_id, name=name, arguments=encoded))


def tool_result(call: str | core.ToolCall, *content: Content, is_error: bool = False) -> core.Message:
    """The outcome of a tool call.

    Args:
        call: The call, or its `call_id`.
        content: What the tool returned: strings and media parts.
        is_error: Whether the tool failed; the content then tells the model why.
    """
    call_id = call if isinstance(call, str) else call.call_id
    result = core.ToolResult(call_id=call_id, parts=_parts(content), is_error=is_error)
    return core.Message(role=core.Role.TOOL, parts=[core.Part(tool_result=result)])


def conversation(messages: Conversation) -> list[core.Message]:
    """The contract's messages of anything that reads as a conversation.

    A string is what the user says. A dictionary has `role` and `content` (a string, a part, or a list of both); with the role `assistant` it may have
    `tool_calls`, each with `call_id`, `name` and `arguments`; with the role `tool` it has `call_id` and may have `is_error`.

    Raises:
        TypeError: Something in it is of a wrong type.
        ValueError: A dictionary has an unknown role or key.
    """
    one = isinstance(messages, (str, core.Message, Completion, Mapping))
    given: list[Any] = [messages] if one else checks.items("messages", "messages", messages)
    built = [_message(f"messages[{index}]", message) for index, message in enumerate(given)]
    # An answer without content cannot be sent back; the contract wants at least one part.
    return [message for message in built if message.parts or message.role != core.Role.ASSISTANT]


def _message(name: str, given: Any) -> core.Message:
    match given:
        case str():
            return user(given)
        case core.Message():
            return given
        case Completion():
            return given.message
        case Mapping():
            return _message_of_mapping(name, checks.mapping(name, cast("object", given)))
        case _:
            raise TypeError(f"{name} is a string, a Message, a Completion or a dictionary with role and content; not {given!r}")


def _message_of_mapping(name: str, given: Mapping[str, Any]) -> core.Message:
    role = given.get("role")
    if role not in _KEYS:
        raise ValueError(f"{name}: a message's role is one of {sorted(_KEYS)}, not {role!r}")
    if unknown := given.keys() - _KEYS[role]:
        raise ValueError(f"{name}: a message of role {role!r} has no {sorted(unknown)}; it has {sorted(_KEYS[role])}")
    parts = _parts(_content_items(name, given.get("content")), name)
    if role == "tool":
        if "call_id" not in given:
            raise ValueError(f"{name}: a message of role 'tool' needs call_id")
        is_error = checks.flag(f"{name}['is_error']", given.get("is_error", False))
        return tool_result(checks.string(f"{name}['call_id']", given["call_id"]), *parts, is_error=is_error)
    calls = checks.items(f"{name}['tool_calls']", "tool calls", given.get("tool_calls") or ())
    parts += [_tool_call_of_mapping(f"{name}['tool_calls'][{index}]", call) for index, call in enumerate(calls)]
    return core.Message(role=core.Role[role.upper()], parts=parts)


def _tool_call_of_mapping(name: str, given: object) -> core.Part:
    call = checks.mapping(name, given)
    if call.keys() != _CALL_KEYS:
        raise ValueError(f"{name}: a message's tool call has {sorted(_CALL_KEYS)}, not {sorted(call)}")
    arguments = call["arguments"]
    if not isinstance(arguments, str):
        arguments = checks.json_text(f"{name}['arguments']", checks.mapping(f"{name}['arguments']", arguments))
    return tool_call(checks.string(f"{name}['call_id']", call["call_id"]), checks.string(f"{name}['name']", call["name"]), arguments)


def _content_items(name: str, content: object) -> list[Any]:
    if content is None:
        return []
    if isinstance(content, (str, core.Part, Mapping)):
        return [cast("object", content)]
    return checks.items(f"{name}['content']", "strings and parts", content)


def _parts(content: Iterable[Content], name: str = "a message") -> list[core.Part]:
    return [_part(f"{name}: part {index} of its content", item) for index, item in enumerate(content)]


def _part(name: str, item: Any) -> core.Part:
    match item:
        case str():
            return text(item)
        case core.Part():
            return item
        case Mapping():
            given = checks.mapping(name, cast("object", item))
            content = given.get("text")
            if len(given) != 2 or given.get("type") != "text" or not isinstance(content, str):
                raise ValueError(
                    f"{name}: a dictionary is {{'type': 'text', 'text': ...}}, and nothing else; for images, documents and audio use"
                    f" image(...), document(...) and audio(...). Not: {str(given)[:200]}"
                )
            return text(content)
        case _:
            raise TypeError(f"{name} is a string or a part, not {item!r}")
