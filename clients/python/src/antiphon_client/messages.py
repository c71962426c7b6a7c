"""Builders of the conversation's messages: they hide the contract's oneofs, and take plain strings and dictionaries."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from antiphon_client.completion import Completion
from antiphon_client.contract import core

Content = str | core.Part
MessageLike = str | core.Message | Completion | Mapping[str, Any]
Conversation = MessageLike | Sequence[MessageLike]

_KEYS = {
    "system": {"role", "content"},
    "user": {"role", "content"},
    "assistant": {"role", "content", "tool_calls"},
    "tool": {"role", "content", "call_id", "is_error"},
}


def text(content: str) -> core.Part:
    """A part of plain text."""
    return core.Part(text=content)


def system(*content: str) -> core.Message:
    """Instructions of the application; only at the start of a conversation."""
    return core.Message(role=core.Role.SYSTEM, parts=_parts(content))


def user(*content: Content) -> core.Message:
    """What the person or program that asks says: strings, and parts such as `image(...)`."""
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
        ValueError: A dictionary has an unknown role or key.
    """
    given = [messages] if isinstance(messages, (str, core.Message, Completion, Mapping)) else messages
    built = [_message(one) for one in given]
    # An answer without content cannot be sent back; the contract wants at least one part.
    return [message for message in built if message.parts or message.role != core.Role.ASSISTANT]


def _message(given: MessageLike) -> core.Message:
    match given:
        case str():
            return user(given)
        case core.Message():
            return given
        case Completion():
            return given.message
        case _:
            return _message_of_mapping(given)


def _message_of_mapping(given: Mapping[str, Any]) -> core.Message:
    role = given.get("role")
    if role not in _KEYS:
        raise ValueError(f"a message's role is one of {sorted(_KEYS)}, not {role!r}")
    if unknown := given.keys() - _KEYS[role]:
        raise ValueError(f"a message of role {role!r} has no {sorted(unknown)}; it has {sorted(_KEYS[role])}")
    content = given.get("content")
    items: tuple[Content, ...] = () if content is None else (content,) if isinstance(content, (str, core.Part)) else tuple(content)
    if role == "tool":
        return tool_result(str(given["call_id"]), *items, is_error=bool(given.get("is_error", False)))
    calls = [tool_call(**call) for call in given.get("tool_calls", ())]
    return core.Message(role=core.Role[role.upper()], parts=[*_parts(items), *calls])


def _parts(content: Iterable[Content]) -> list[core.Part]:
    return [text(item) if isinstance(item, str) else item for item in content]
