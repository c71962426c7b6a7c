"""Prompts and answers as spans hold them, where the operator has them recorded: in JSON, and never without bound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from antiphon.api.core.v1.message_pb2 import Role

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from antiphon.api.core.v1.completion_pb2 import CompletionSpec
    from antiphon.api.core.v1.event_pb2 import Event
    from antiphon.api.core.v1.message_pb2 import Message, Part

# Of an attribute, in characters of text: what a collector's usual message limit takes many times over.
_MOST_CHARACTERS = 16_384
_MOST_PARTS = 256


class _Room:
    """How much may still be recorded."""

    def __init__(self) -> None:
        self._characters = _MOST_CHARACTERS
        self._parts = _MOST_PARTS

    def cut(self, text: str) -> str:
        """Returns as much of a text as there is room for, and marks what is missing."""
        taken = text[: self._characters]
        self._characters -= len(taken)
        return taken if len(taken) == len(text) else f"{taken}…"

    def part(self) -> bool:
        """Takes room for a part; False where there is none."""
        self._parts -= 1
        return self._parts >= 0 and self._characters > 0


def input_content(spec: CompletionSpec) -> dict[str, str]:
    """Returns the attributes of a prompt. Files are told by their types alone."""
    instructions = [message for message in spec.messages if message.role == Role.ROLE_SYSTEM]
    others = [message for message in spec.messages if message.role != Role.ROLE_SYSTEM]
    attributes: dict[str, str] = {}
    if instructions:
        room = _Room()
        attributes["gen_ai.system_instructions"] = _json(_parts((part for message in instructions for part in message.parts), room))
    if others:
        attributes["gen_ai.input.messages"] = _json(_messages(others))
    return attributes


class AnswerContent:
    """Gathers an answer."""

    def __init__(self) -> None:
        self._room = _Room()
        self._pieces: dict[str, list[str]] = {}
        self._names: dict[str, str] = {}
        self._finish_reason = ""

    def add(self, event: Event) -> None:
        """Takes the next event."""
        match event.WhichOneof("payload"):
            case "part_delta":
                self._take(f"part {event.part_delta.index}", event.part_delta.text)
            case "tool_call_started":
                if self._room.part():
                    self._names[event.tool_call_started.call_id] = self._room.cut(event.tool_call_started.name)
                    self._pieces[event.tool_call_started.call_id] = []
            case "tool_call_arguments_delta":
                self._take(event.tool_call_arguments_delta.call_id, event.tool_call_arguments_delta.arguments)
            case "completed":
                self._finish_reason = event.completed.provider_finish_reason
            case _:
                pass

    def attributes(self) -> dict[str, str]:
        """Returns the attributes of the answer, as far as it came."""
        if not self._pieces:
            return {}
        parts: list[dict[str, Any]] = []
        for key, pieces in self._pieces.items():
            if key in self._names:
                parts.append({"type": "tool_call", "id": key, "name": self._names[key], "arguments": "".join(pieces)})
            else:
                parts.append({"type": "text", "content": "".join(pieces)})
        message = {"role": "assistant", "parts": parts, "finish_reason": self._finish_reason}
        return {"gen_ai.output.messages": _json([message])}

    def _take(self, key: str, text: str) -> None:
        if key in self._pieces or self._room.part():
            pieces = self._pieces.setdefault(key, [])
            if not pieces or not pieces[-1].endswith("…"):
                pieces.append(self._room.cut(text))


def _messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    # The newest say most of what was asked: they come first to the room there is.
    room = _Room()
    found: list[dict[str, Any]] = []
    for message in reversed(messages):
        parts = _parts(message.parts, room)
        if not parts:
            break
        found.append({"role": Role.Name(message.role).removeprefix("ROLE_").lower(), "parts": parts})
    return found[::-1]


def _parts(parts: Iterable[Part], room: _Room) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for part in parts:
        if not room.part():
            break
        found.append(_part(part, room))
    return found


def _part(part: Part, room: _Room) -> dict[str, Any]:
    match part.WhichOneof("content"):
        case "text":
            return {"type": "text", "content": room.cut(part.text)}
        case "tool_call":
            call = part.tool_call
            return {"type": "tool_call", "id": call.call_id, "name": call.name, "arguments": room.cut(call.arguments)}
        case "tool_result":
            texts = "\n".join(one.text for one in part.tool_result.parts if one.HasField("text"))
            return {"type": "tool_call_response", "id": part.tool_result.call_id, "response": room.cut(texts)}
        case "reasoning":
            return {"type": "reasoning", "content": room.cut(part.reasoning.text)}
        case "blob":
            return {"type": "blob", "mime_type": part.blob.media_type, "size_bytes": len(part.blob.data)}
        case "uri":
            return {"type": "uri", "uri": room.cut(part.uri.uri)}
        case _:
            return {"type": "citation", "uri": room.cut(part.citation.uri)}


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
