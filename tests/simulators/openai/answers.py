"""What the simulated model answers, and how its bytes are delivered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model makes.

    Attributes:
        pieces: The arguments' JSON text, a delta each.
        extra: Fields of the provider's own on the call, as in Gemini's `extra_content`.
    """

    name: str
    pieces: tuple[str, ...] = ("{}",)
    call_id: str = ""
    extra: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def arguments(self) -> str:
        """The arguments, whole."""
        return "".join(self.pieces)


@dataclass(frozen=True, slots=True)
class Citation:
    """A page that the answer cites."""

    url: str
    title: str
    start_index: int
    end_index: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What the call used. Left out of an answer, it is counted: a token for each message and each token of the answer."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    def to_json(self) -> dict[str, Any]:
        """Writes it as the API does."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": self.reasoning_tokens,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a stream's bytes are sent, and where they go wrong. Counts are of the stream's events.

    Attributes:
        headers_delay_s: Before the head of the reply, streamed or not.
        first_token_delay_s: Between the head and the first event.
        token_delay_s: Before every later event.
        line_end: What ends each line.
        piece_bytes: Sends the bytes in pieces of this size, each in a write of its own; None sends each event in one.
        keep_alives: Sends a comment before each event.
        coalesce: Sends all events in one write; delays between them do not apply.
        done: Whether `[DONE]` ends the stream.
        final_blank_line: Whether the last event has its blank line.
        usage_in_each_chunk: Repeats the usage so far in each chunk.
        endless: Repeats the answer's tokens until the client goes away.
        stall_after: Sends nothing more after this many events, and keeps the connection open.
        reset_after: Resets the connection (RST) after this many events.
        hang_up_after: Closes the connection (FIN) after this many events, in the middle of the reply.
        truncate_after: Ends the reply, as if it were whole, after this many events.
        garbage_after: Sends an event that is no JSON after this many.
        error_after: Sends an error in the place of an event after this many, and ends.
        huge_after: Sends one event of `huge_bytes` after this many.
        huge_bytes: How large that is.
    """

    headers_delay_s: float = 0.0
    first_token_delay_s: float = 0.0
    token_delay_s: float = 0.0
    line_end: str = "\n"
    piece_bytes: int | None = None
    keep_alives: bool = False
    coalesce: bool = False
    done: bool = True
    final_blank_line: bool = True
    usage_in_each_chunk: bool = False
    endless: bool = False
    stall_after: int | None = None
    reset_after: int | None = None
    hang_up_after: int | None = None
    truncate_after: int | None = None
    garbage_after: int | None = None
    error_after: int | None = None
    huge_after: int | None = None
    huge_bytes: int = 2**25


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model answers.

    Attributes:
        tokens: The text, a chunk each.
        reasoning: Reasoning, a chunk each, before the text (`reasoning_content`, which OpenAI itself does not send).
        refusal: A refusal, a chunk each, in the place of text.
        tool_calls: The calls. Their deltas alternate: the first piece of each, then the second of each.
        citations: Sent as annotations in the last chunk of the text.
        finish_reason: None works it out: `tool_calls` where there are any, else `stop`.
        usage: None counts it.
        delivery: How it is sent.
    """

    tokens: tuple[str, ...] = ()
    reasoning: tuple[str, ...] = ()
    refusal: tuple[str, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    citations: tuple[Citation, ...] = ()
    finish_reason: str | None = None
    usage: Usage | None = None
    delivery: Delivery = Delivery()

    @property
    def text(self) -> str:
        """The text, whole."""
        return "".join(self.tokens)

    @property
    def reason(self) -> str:
        """Why it stopped."""
        return self.finish_reason or ("tool_calls" if self.tool_calls else "stop")

    def usage_of(self, message_count: int) -> Usage:
        """What it used."""
        written = len(self.tokens) + len(self.reasoning) + len(self.refusal) + sum(len(call.pieces) for call in self.tool_calls)
        return self.usage or Usage(prompt_tokens=message_count, completion_tokens=written, reasoning_tokens=len(self.reasoning))
