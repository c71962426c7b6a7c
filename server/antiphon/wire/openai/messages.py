"""The conversation, written as the dialect's `messages`.

What the dialect has no place for and what the answer does not need is left out: citations, and reasoning unless the endpoint wants it back. An
assistant's text parts become one text, and its tool calls stand behind it, whatever the order was. Everything else that cannot be said is an error.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

from antiphon.api.core.v1 import message_pb2
from antiphon.errors import InvalidRequestError, Reason
from antiphon.wire.openai import provider_state

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from antiphon.wire.openai.dialect import Dialect

_AUDIO_FORMATS = {
    "audio/wav": "wav",
    "audio/wave": "wav",
    "audio/x-wav": "wav",
    "audio/vnd.wave": "wav",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
}
_PDF = "application/pdf"


def to_messages(messages: Iterable[message_pb2.Message], dialect: Dialect) -> list[dict[str, Any]]:
    """Writes the conversation.

    Raises:
        InvalidRequestError: A part has no form in the dialect (UNSUPPORTED_CONTENT); the violation names it.
    """
    written: list[dict[str, Any]] = []
    for number, message in enumerate(messages):
        path = f"spec.messages[{number}]"
        role = message.role
        if role == message_pb2.ROLE_USER:
            written.append({"role": "user", "content": _user_content(message.parts, path)})
        elif role == message_pb2.ROLE_ASSISTANT:
            written.append(_assistant_message(message.parts, path, dialect))
        elif role == message_pb2.ROLE_SYSTEM:
            written.append({"role": "system", "content": _text_content(message.parts, path, "a system message")})
        elif role == message_pb2.ROLE_TOOL:
            written.extend(_tool_messages(message.parts, path))
        else:
            raise InvalidRequestError.at(
                Reason.ERROR_REASON_INVALID_FIELD,
                f"{path}.role",
                "must be one of the contract's roles",
                message="a message has no role that the provider knows",
            )
    return written


def _user_content(parts: Sequence[message_pb2.Part], path: str) -> str | list[dict[str, Any]]:
    # Most messages are one text, and some servers of the dialect take nothing but a string.
    if len(parts) == 1 and parts[0].HasField("text"):
        return parts[0].text
    return [_user_part(part, f"{path}.parts[{number}]") for number, part in enumerate(parts)]


def _user_part(part: message_pb2.Part, path: str) -> dict[str, Any]:
    kind = part.WhichOneof("content")
    if kind == "text":
        return {"type": "text", "text": part.text}
    if kind == "blob":
        return _blob(part.blob, f"{path}.blob")
    if kind == "uri":
        if part.uri.media_type and not part.uri.media_type.startswith("image/"):
            raise unsupported_content(
                f"{path}.uri", f"only images can be named by address, not {part.uri.media_type!r}; send the bytes inline"
            )
        return {"type": "image_url", "image_url": {"url": part.uri.uri}}
    raise unsupported_content(path, f"a user's message cannot hold {kind!r}")


def _blob(blob: message_pb2.Blob, path: str) -> dict[str, Any]:
    media_type = blob.media_type
    if media_type.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": _data_url(blob)}}
    if audio_format := _AUDIO_FORMATS.get(media_type):
        return {"type": "input_audio", "input_audio": {"data": b64encode(blob.data).decode(), "format": audio_format}}
    if media_type == _PDF:
        # The API refuses file data without a name.
        return {"type": "file", "file": {"filename": blob.filename or "document.pdf", "file_data": _data_url(blob)}}
    raise unsupported_content(path, f"bytes of type {media_type!r} cannot be sent; images, WAV, MP3 and PDF can")


def _data_url(blob: message_pb2.Blob) -> str:
    return f"data:{blob.media_type};base64,{b64encode(blob.data).decode()}"


def _assistant_message(parts: Sequence[message_pb2.Part], path: str, dialect: Dialect) -> dict[str, Any]:
    texts: list[str] = []
    reasoning: list[str] = []
    calls: list[dict[str, Any]] = []
    for number, part in enumerate(parts):
        kind = part.WhichOneof("content")
        if kind == "text":
            texts.append(part.text)
        elif kind == "tool_call":
            calls.append(_tool_call(part, dialect))
        elif kind == "reasoning":
            reasoning.append(part.reasoning.text)
        elif kind != "citation":
            raise unsupported_content(f"{path}.parts[{number}]", f"an assistant's message cannot hold {kind!r}")
    message: dict[str, Any] = {"role": "assistant", "content": "".join(texts) if texts or not calls else None}
    if calls:
        message["tool_calls"] = calls
    if reasoning and dialect.reasoning_field:
        message[dialect.reasoning_field] = "".join(reasoning)
    return message


def _tool_call(part: message_pb2.Part, dialect: Dialect) -> dict[str, Any]:
    call = part.tool_call
    written: dict[str, Any] = {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
    return provider_state.restore(dialect.provider, part.provider_state, written) if part.provider_state else written


def _tool_messages(parts: Sequence[message_pb2.Part], path: str) -> Iterable[dict[str, Any]]:
    for number, part in enumerate(parts):
        part_path = f"{path}.parts[{number}]"
        if not part.HasField("tool_result"):
            raise unsupported_content(part_path, "a tool's message holds tool results alone")
        result = part.tool_result
        content = _text_content(result.parts, f"{part_path}.tool_result", "a tool result for this provider")
        if result.is_error:
            # The dialect has no flag for a failed tool, so the model is told in words.
            content = f"Error: {content}" if isinstance(content, str) else [{"type": "text", "text": "Error: "}, *content]
        yield {"role": "tool", "tool_call_id": result.call_id, "content": content}


def _text_content(parts: Sequence[message_pb2.Part], path: str, place: str) -> str | list[dict[str, str]]:
    texts: list[str] = []
    for number, part in enumerate(parts):
        if not part.HasField("text"):
            raise unsupported_content(f"{path}.parts[{number}]", f"{place} holds text alone, not {part.WhichOneof('content')!r}")
        texts.append(part.text)
    if len(texts) > 1:
        return [{"type": "text", "text": text} for text in texts]
    return texts[0] if texts else ""


def unsupported_content(path: str, description: str) -> InvalidRequestError:
    """Makes the error of a part that has no form in the dialect."""
    return InvalidRequestError.at(
        Reason.ERROR_REASON_UNSUPPORTED_CONTENT, path, description, message=f"the model cannot take {path}: {description}"
    )
