"""The messages of a request, and how they are put to a model whose chat template knows neither tools nor their results."""

from __future__ import annotations

from dataclasses import dataclass

from antiphon.embedded.model_server.engine import PromptMessage
from antiphon.embedded.model_server.errors import BadRequestError
from antiphon.embedded.model_server.json_types import JsonValue, is_array, is_object

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}


@dataclass(frozen=True, slots=True)
class PastCall:
    """A tool call that an assistant message of the conversation carries."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """A message of the request."""

    role: str
    text: str
    calls: tuple[PastCall, ...] = ()
    answers_call_id: str = ""


def parse_messages(value: JsonValue | None) -> tuple[ChatMessage, ...]:
    """Read the `messages` field.

    Raises:
        BadRequestError: It is missing, malformed, or holds something else than text.
    """
    if not is_array(value) or not value:
        raise BadRequestError("messages must be a list with at least one message", param="messages")
    return tuple(_parse_message(message, f"messages[{number}]") for number, message in enumerate(value))


def _parse_message(value: JsonValue, param: str) -> ChatMessage:
    if not is_object(value):
        raise BadRequestError("a message must be an object", param=param)
    role = _ROLES.get(str(value.get("role")))
    if role is None:
        raise BadRequestError(f"unknown role {value.get('role')!r}", param=f"{param}.role")
    calls: list[PastCall] = []
    stated = value.get("tool_calls")
    if is_array(stated):
        calls = [_parse_call(call, f"{param}.tool_calls[{number}]") for number, call in enumerate(stated)]
    content = value.get("content")
    if content is None and not (role == "assistant" and calls):
        raise BadRequestError("a message needs content", param=f"{param}.content")
    call_id = value.get("tool_call_id")
    if role == "tool" and not isinstance(call_id, str):
        raise BadRequestError("a tool message needs tool_call_id", param=f"{param}.tool_call_id")
    return ChatMessage(
        role=role,
        text=_parse_content(content, f"{param}.content"),
        calls=tuple(calls),
        answers_call_id=call_id if isinstance(call_id, str) else "",
    )


def _parse_content(value: JsonValue, param: str) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if not is_array(value):
        raise BadRequestError("content must be a string or a list of text parts", param=param)
    texts: list[str] = []
    for number, part in enumerate(value):
        if not is_object(part) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            raise BadRequestError("the embedded model takes text parts only", code="unsupported_content", param=f"{param}[{number}]")
        texts.append(str(part["text"]))
    return "\n".join(texts)


def _parse_call(value: JsonValue, param: str) -> PastCall:
    function = value.get("function") if is_object(value) else None
    if not is_object(value) or not is_object(function):
        raise BadRequestError("a tool call needs a function", param=param)
    return PastCall(str(value.get("id")), str(function.get("name")), str(function.get("arguments", "")))


def last_user_text(messages: tuple[ChatMessage, ...]) -> str:
    """What the user said last; empty if nothing."""
    return next((message.text for message in reversed(messages) if message.role == "user"), "")


def as_prompt(messages: tuple[ChatMessage, ...]) -> tuple[PromptMessage, ...]:
    """The conversation in the roles that the chat template knows.

    Tool calls become assistant text and their results user text: the template drops both otherwise.
    """
    names = {call.call_id: call.name for message in messages for call in message.calls}
    prompt: list[PromptMessage] = []
    for message in messages:
        if message.role == "tool":
            name = names.get(message.answers_call_id, "the tool")
            text = f"{name} returned this result: {message.text}\nAnswer my question with this result."
            prompt.append(PromptMessage("user", text))
        elif message.calls:
            lines = [message.text] if message.text else []
            lines += [f"I call {call.name} with {call.arguments}." for call in message.calls]
            prompt.append(PromptMessage("assistant", "\n".join(lines)))
        else:
            prompt.append(PromptMessage(message.role, message.text))
    return _systems_first(prompt)


def _systems_first(prompt: list[PromptMessage]) -> tuple[PromptMessage, ...]:
    """One system message at the start: the small model loses the thread when one stands in the middle."""
    systems = [message.content for message in prompt if message.role == "system"]
    others = [message for message in prompt if message.role != "system"]
    head = [PromptMessage("system", "\n\n".join(systems))] if systems else []
    return (*head, *others)
