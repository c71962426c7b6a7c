"""What a conversation must be before any provider sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from antiphon.api.core.v1.message_pb2 import ROLE_ASSISTANT, ROLE_SYSTEM, ROLE_TOOL, ROLE_USER, Role
from antiphon.completion.json_text import parsed
from antiphon.completion.media import signature_mismatch
from antiphon.errors import InvalidRequestError, Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antiphon.api.core.v1.message_pb2 import Message, Part, ToolCall

# What each role may hold; the contract's comments on Role and Part say the same.
_ALLOWED: dict[int, frozenset[str]] = {
    ROLE_SYSTEM: frozenset({"text"}),
    ROLE_USER: frozenset({"text", "blob", "uri"}),
    ROLE_ASSISTANT: frozenset({"text", "blob", "uri", "tool_call", "reasoning", "citation"}),
    ROLE_TOOL: frozenset({"tool_result"}),
}


def check_conversation(messages: Sequence[Message]) -> None:
    """Checks roles, their order, what they hold, tool calls against results, bytes against media types, and that calls' arguments are JSON objects.

    Raises:
        InvalidRequestError: The first thing that cannot be, with its field path.
    """
    if not messages:
        raise InvalidRequestError.at(Reason.ERROR_REASON_EMPTY_CONVERSATION, "spec.messages", "a conversation needs at least one message")
    open_calls: dict[str, str] = {}
    seen_calls: set[str] = set()
    previous = ROLE_SYSTEM
    for index, message in enumerate(messages):
        role = message.role
        if role == ROLE_SYSTEM:
            _check_turn(message, previous, f"spec.messages[{index}]")
        if role != ROLE_TOOL and open_calls:
            _refuse_unanswered(open_calls)
        for number, part in enumerate(message.parts):
            # Most parts are text, which every role but a tool's may hold and in which there is nothing to check.
            if role == ROLE_TOOL or part.WhichOneof("content") != "text":
                _check_part(part, message, open_calls, seen_calls, f"spec.messages[{index}].parts[{number}]")
        previous = role
    if open_calls:
        _refuse_unanswered(open_calls)
    if previous not in {ROLE_USER, ROLE_TOOL}:
        raise InvalidRequestError.at(
            Reason.ERROR_REASON_INVALID_ROLE_ORDER,
            f"spec.messages[{len(messages) - 1}].role",
            "a conversation ends with a user's or a tool's message",
        )
    if seen_calls:
        _check_arguments(messages)


def _check_arguments(messages: Sequence[Message]) -> None:
    for index, message in enumerate(messages):
        if message.role != ROLE_ASSISTANT:
            continue
        for number, part in enumerate(message.parts):
            if not part.HasField("tool_call"):
                continue
            if not _is_object(part.tool_call.arguments):
                raise InvalidRequestError.at(
                    Reason.ERROR_REASON_INVALID_TOOL_ARGUMENTS,
                    f"spec.messages[{index}].parts[{number}].tool_call.arguments",
                    "the arguments must be the text of a JSON object",
                )


def _is_object(text: str) -> bool:
    try:
        return isinstance(parsed(text), dict)
    except orjson.JSONDecodeError:
        return False


def _check_turn(message: Message, previous: int, place: str) -> None:
    if message.role == ROLE_SYSTEM and previous != ROLE_SYSTEM:
        raise InvalidRequestError.at(Reason.ERROR_REASON_INVALID_ROLE_ORDER, f"{place}.role", "system messages stand before all others")


def _check_part(part: Part, message: Message, open_calls: dict[str, str], seen: set[str], place: str) -> None:
    kind = part.WhichOneof("content")
    if kind == "tool_result" and message.role == ROLE_TOOL:
        if open_calls.pop(part.tool_result.call_id, None) is None:
            raise InvalidRequestError.at(
                Reason.ERROR_REASON_TOOL_RESULT_WITHOUT_CALL,
                f"{place}.tool_result.call_id",
                f"no open tool call is named {part.tool_result.call_id!r}",
            )
        for number, result_part in enumerate(part.tool_result.parts):
            _check_blob(result_part, f"{place}.tool_result.parts[{number}]")
        return
    if kind not in _ALLOWED[message.role]:
        role = Role.Name(message.role).removeprefix("ROLE_").lower()
        raise InvalidRequestError.at(
            Reason.ERROR_REASON_INVALID_ROLE_ORDER, f"{place}.{kind}", f"a message of role {role!r} cannot hold {kind!r}"
        )
    if kind == "tool_call":
        _check_call(part.tool_call, seen, place)
        open_calls[part.tool_call.call_id] = place
        seen.add(part.tool_call.call_id)
    _check_blob(part, place)


def _check_call(call: ToolCall, seen: set[str], place: str) -> None:
    if call.call_id in seen:
        raise InvalidRequestError.at(
            Reason.ERROR_REASON_INVALID_FIELD, f"{place}.tool_call.call_id", f"{call.call_id!r} names an earlier tool call", rule="unique"
        )


def _check_blob(part: Part, place: str) -> None:
    if part.HasField("blob") and (found := signature_mismatch(part.blob.media_type, part.blob.data)):
        raise InvalidRequestError.at(
            Reason.ERROR_REASON_MEDIA_TYPE_MISMATCH, f"{place}.blob.media_type", f"the bytes are {found}, not {part.blob.media_type!r}"
        )


def _refuse_unanswered(open_calls: dict[str, str]) -> None:
    call_id, place = next(iter(open_calls.items()))
    raise InvalidRequestError.at(
        Reason.ERROR_REASON_TOOL_CALL_WITHOUT_RESULT,
        f"{place}.tool_call.call_id",
        f"the tool call {call_id!r} has no result before the turn ends",
    )
