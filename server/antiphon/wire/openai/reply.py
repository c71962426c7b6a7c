"""Replies of the dialect, in chunks or whole, read as the contract's events."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, TypeGuard, cast

from antiphon.api.core.v1 import completion_pb2, event_pb2, message_pb2
from antiphon.api.core.v1.event_pb2 import Event
from antiphon.wire.openai.answer import AnswerEvents
from antiphon.wire.openai.malformed import JsonObject, MalformedReplyError, as_list, as_object, as_text
from antiphon.wire.openai.tool_calls import ToolCallAssembler
from antiphon.wire.openai.usage import to_usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from antiphon.wire.openai.dialect import Dialect

_TEXT = event_pb2.PART_KIND_TEXT
_REASONING = event_pb2.PART_KIND_REASONING
_FINISH_REASONS = {
    "stop": completion_pb2.FINISH_REASON_STOP,
    "length": completion_pb2.FINISH_REASON_LENGTH,
    "tool_calls": completion_pb2.FINISH_REASON_TOOL_CALLS,
    "function_call": completion_pb2.FINISH_REASON_TOOL_CALLS,
    "content_filter": completion_pb2.FINISH_REASON_CONTENT_FILTER,
}
# What the contract takes back on the next turn.
_LONGEST_TITLE = 1024
_LONGEST_URI = 8192
_LARGEST_INDEX = 2**31 - 1


class ReportedError(Exception):
    """The provider reported an error in the place of, or in the middle of, its answer.

    Attributes:
        body: What it said: an object that holds `error`.
    """

    def __init__(self, body: JsonObject) -> None:
        super().__init__("the provider reported an error in its reply")
        self.body = body


class ReplyTranslator:
    """One reply. Events wait until they are taken, so that what arrives together leaves together."""

    __slots__ = ("_answer", "_calls", "_cited", "_finish_reason", "_refused", "_started", "_usage", "_wants_log_probabilities")

    def __init__(self, spec: completion_pb2.CompletionSpec, dialect: Dialect) -> None:
        self._answer = AnswerEvents()
        self._calls = ToolCallAssembler(self._answer, dialect.provider, (tool.name for tool in spec.tools), lambda: _call_ids(spec))
        self._wants_log_probabilities = spec.sampling.HasField("top_logprobs")
        self._started = False
        self._refused = False
        self._finish_reason = ""
        self._usage: JsonObject | None = None
        self._cited: set[tuple[str, Any, Any]] = set()

    @property
    def started(self) -> bool:
        """Whether an answer has begun."""
        return self._started

    @property
    def finished(self) -> bool:
        """Whether the provider has told why it stopped."""
        return bool(self._finish_reason)

    def add_chunk(self, chunk: Any) -> str:
        """Takes the next chunk of a stream.

        Returns:
            The text of a chunk that brought text alone; empty for any other.

        Raises:
            MalformedReplyError: It does not follow the dialect.
            ReportedError: It tells of an error.
        """
        choice = self._choice(chunk)
        if choice is None:
            return ""
        delta: Any = choice.get("delta")
        text = ""
        if delta:
            text = self._add(as_object(delta, "delta"), choice.get("logprobs") if self._wants_log_probabilities else None, whole=False)
        if finish_reason := choice.get("finish_reason"):
            self._finish_reason = as_text(finish_reason, "finish_reason")
        return text

    def add_text(self, text: str) -> None:
        """Takes a chunk that is as the one before but for its text."""
        self._answer.append(_TEXT, text)

    def add_whole(self, reply: Any) -> None:
        """Takes a reply that came in one piece.

        Raises:
            MalformedReplyError: It does not follow the dialect.
            ReportedError: It tells of an error.
        """
        choice = self._choice(reply)
        if choice is None:
            raise MalformedReplyError("the reply has no choice")
        message = as_object(choice.get("message"), "message")
        self._add(message, choice.get("logprobs") if self._wants_log_probabilities else None, whole=True)
        self._finish_reason = as_text(choice.get("finish_reason"), "finish_reason")

    def take(self) -> list[Event]:
        """Returns the events since the last time."""
        return self._answer.take()

    def complete(self) -> list[Event]:
        """Ends the answer and returns its last events."""
        word = self._finish_reason
        finish_reason = _FINISH_REASONS.get(word, completion_pb2.FINISH_REASON_UNSPECIFIED)
        self._answer.end_part()
        self._calls.end(cut_off=finish_reason == completion_pb2.FINISH_REASON_LENGTH)
        if finish_reason == completion_pb2.FINISH_REASON_STOP:
            if self._calls:
                # OpenAI says "stop" after a call that the request itself named, and some servers always do.
                finish_reason = completion_pb2.FINISH_REASON_TOOL_CALLS
            elif self._refused:
                # A refusal has a field of its own in the dialect and is text in the contract: only the reason can still tell it from an answer.
                finish_reason = completion_pb2.FINISH_REASON_CONTENT_FILTER
        # Completed carries the usage: an event of its own right before it would tell nothing more.
        event = Event()
        completed = event.completed
        completed.finish_reason, completed.provider_finish_reason = finish_reason, word
        if self._usage is not None:
            completed.usage.CopyFrom(to_usage(self._usage))
        self._answer.add(event)
        return self._answer.take()

    def salvage(self) -> list[Event]:
        """Returns what had arrived of an answer that failed, with the usage so far: it was paid for."""
        if self._usage is not None:
            with contextlib.suppress(MalformedReplyError):
                self._answer.add(Event(usage_reported=event_pb2.UsageReported(usage=to_usage(self._usage))))
        return self._answer.take()

    def _choice(self, chunk: Any) -> JsonObject | None:
        if not isinstance(chunk, dict):
            raise MalformedReplyError("a chunk is no object")
        reply = cast("JsonObject", chunk)
        if reply.get("error"):
            raise ReportedError(reply)
        if usage := reply.get("usage"):
            # Some servers repeat it in each chunk; only the last one is translated.
            self._usage = as_object(usage, "usage")
        choices: Any = reply.get("choices")
        if not choices:
            return None
        self._started = True
        choice: Any = as_list(choices, "choices")[0]
        if not isinstance(choice, dict):
            raise MalformedReplyError("a choice is no object")
        return cast("JsonObject", choice)

    def _add(self, message: JsonObject, logprobs: Any, *, whole: bool) -> str:
        content: Any = message.get("content")
        if len(message) == 1 and logprobs is None and content and isinstance(content, str):
            # The path of nearly every chunk.
            self._answer.append(_TEXT, content)
            return content
        tokens = _log_probabilities(logprobs) if logprobs else None
        if reasoning := message.get("reasoning_content") or message.get("reasoning"):
            self._answer.append(_REASONING, as_text(reasoning, "reasoning_content"), tokens)
            tokens = None
        refusal = as_text(message.get("refusal"), "refusal")
        if refusal:
            self._refused = True
        if (text := as_text(content, "content") + refusal) or tokens:
            # A token that is part of a character has a probability and no text yet.
            self._answer.append(_TEXT, text, tokens)
        if len(message) > 1 or content is None:
            self._add_beside_text(message, whole=whole)
        return ""

    def _add_beside_text(self, message: JsonObject, *, whole: bool) -> None:
        for annotation in as_list(message.get("annotations"), "annotations"):
            self._add_annotation(as_object(annotation, "annotations"))
        for position, entry in enumerate(as_list(message.get("tool_calls"), "tool_calls")):
            self._calls.add(as_object(entry, "tool_calls"), position if whole else None)
        if legacy := message.get("function_call"):
            self._calls.add({"index": -1, "function": legacy})
        if message.get("audio"):
            raise MalformedReplyError("the answer holds audio, which was not asked for")

    def _add_annotation(self, annotation: JsonObject) -> None:
        if annotation.get("type") != "url_citation":
            return  # file citations name uploads of the provider's own, which the contract has no place for
        source = as_object(annotation.get("url_citation"), "annotations.url_citation")
        uri = as_text(source.get("url"), "url_citation.url")
        start, end = source.get("start_index"), source.get("end_index")
        if (uri, start, end) in self._cited:
            return
        self._cited.add((uri, start, end))
        title = as_text(source.get("title"), "url_citation.title")
        citation = message_pb2.Citation(uri=uri if len(uri) <= _LONGEST_URI else "", title=title[:_LONGEST_TITLE])
        if _is_index(start) and _is_index(end):
            citation.start_index, citation.end_index = start, end
        self._answer.add_whole(message_pb2.Part(citation=citation))


def _log_probabilities(logprobs: Any) -> list[completion_pb2.TokenLogProbability]:
    of_choice = as_object(logprobs, "logprobs")
    tokens = as_list(of_choice.get("content"), "logprobs.content") + as_list(of_choice.get("refusal"), "logprobs.refusal")
    return [_token(as_object(token, "logprobs.content")) for token in tokens]


def _token(token: JsonObject) -> completion_pb2.TokenLogProbability:
    alternatives = (as_object(other, "top_logprobs") for other in as_list(token.get("top_logprobs"), "top_logprobs"))
    return completion_pb2.TokenLogProbability(
        token=as_text(token.get("token"), "logprobs.token"),
        log_probability=_number(token.get("logprob")),
        alternatives=[
            completion_pb2.TokenAlternative(
                token=as_text(other.get("token"), "top_logprobs.token"), log_probability=_number(other.get("logprob"))
            )
            for other in alternatives
        ],
    )


def _number(value: Any) -> float:
    if isinstance(value, (int, float)):
        return value
    raise MalformedReplyError("a log-probability is no number")


def _is_index(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and 0 <= value <= _LARGEST_INDEX


def _call_ids(spec: completion_pb2.CompletionSpec) -> Iterable[str]:
    for message in spec.messages:
        if message.role == message_pb2.ROLE_ASSISTANT:
            for part in message.parts:
                if part.HasField("tool_call"):
                    yield part.tool_call.call_id
