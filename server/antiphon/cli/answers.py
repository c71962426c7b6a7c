"""Shows an answer while it is written: rendered in a terminal, as plain text in a pipe, or as lines of JSON."""

from __future__ import annotations

import json
import re
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from antiphon.cli.keyboard import interrupted_by, unheard_keyboard
from antiphon_client import AntiphonError, CallCancelledError, Completion, CompletionStream, FinishReason, PartDelta

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

_REDRAWN_AFTER_S = 0.1
_FENCE = re.compile(r"^ {0,3}(```|~~~)", re.MULTILINE)
_REMARKS = {
    FinishReason.LENGTH: "cut off at the token limit",
    FinishReason.CONTENT_FILTER: "the provider withheld the rest",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it was shown.

    Attributes:
        completion: What there is of it.
        first_token_s: Time from the question to the first piece; None where there was none.
        stopped: Whether the person stopped it.
    """

    completion: Completion
    first_token_s: float | None
    stopped: bool

    def summary(self) -> str:
        """What it took, in a line."""
        usage = self.completion.usage
        facts = [_REMARKS[reason] for reason in [self.completion.finish_reason] if reason in _REMARKS]
        if self.stopped:
            facts.append("stopped")
        else:
            facts.append(f"{usage.input_tokens} tokens in, {usage.output_tokens} out")
        if self.first_token_s is not None:
            facts.append(f"first token after {self.first_token_s:.2f} s")
        return " · ".join(facts)


class _Tail:
    """The block that is being written, or what stands there until it begins. It is rendered when it is drawn anew, not at every piece."""

    def __init__(self, waiting: str = "") -> None:
        self.text = ""
        self.printed = False
        self._waiting = waiting

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.markdown import Markdown
        from rich.text import Text

        if self.printed:
            yield Text("")  # the empty line between two blocks
        yield Markdown(self.text) if self.text.strip() else Text(self._waiting, style="dim")


def show_rendered(stream: CompletionStream, console: Console, waiting: str = "…") -> Answer:
    """Renders Markdown as it comes. Ctrl-C stops the answer, and the call with it, and nothing else.

    Finished blocks are printed for good and only the last one is drawn anew, so that a long answer neither flickers nor costs more the longer it gets.

    Args:
        stream: The answer.
        console: Where to show it.
        waiting: What to show until it begins.

    Raises:
        AntiphonError: The call failed; what there is of the answer is shown.
    """
    from rich.live import Live

    begun, first_token_s, drawn = time.monotonic(), None, 0.0
    tail = _Tail(waiting)
    with unheard_keyboard(), interrupted_by(stream.cancel) as interruption:
        try:
            # Drawn by this thread alone: the thread of `auto_refresh` writes between a print and its cursor movements, and so erases lines above the answer.
            with stream, Live(tail, console=console, auto_refresh=False, transient=True) as display:
                for piece in stream.text_stream():
                    first_token_s = first_token_s or time.monotonic() - begun
                    tail.text += piece
                    if settled := settled_length(tail.text):
                        block, rest = _Tail(), tail.text[settled:]
                        block.text, block.printed = tail.text[:settled], tail.printed
                        tail.text, tail.printed = rest, True
                        console.print(block)
                    if time.monotonic() - drawn >= _REDRAWN_AFTER_S:
                        display.refresh()
                        drawn = time.monotonic()
        except CallCancelledError:
            if not interruption.heard:
                raise
        finally:
            if tail.text.strip():
                console.print(tail)
    return Answer(stream.snapshot, first_token_s, interruption.heard)


def show_plain(stream: CompletionStream) -> Answer:
    """Writes the text as it comes, and a line's end after it.

    Raises:
        AntiphonError: The call failed.
    """
    begun, first_token_s, last = time.monotonic(), None, ""
    try:
        with stream:
            for last in stream.text_stream():
                first_token_s = first_token_s or time.monotonic() - begun
                sys.stdout.write(last)
                sys.stdout.flush()
    except AntiphonError:
        if last and not last.endswith("\n"):
            # Flushed, for what is told next goes to another stream.
            sys.stdout.write("\n")
            sys.stdout.flush()
        raise
    if not last.endswith("\n"):
        sys.stdout.write("\n")
    return Answer(stream.snapshot, first_token_s, stopped=False)


def show_events(stream: CompletionStream) -> Answer:
    """Writes each event, with its envelope, as a line of JSON. A failure is a last line with the key `error`.

    Raises:
        AntiphonError: The call failed.
    """
    begun, first_token_s = time.monotonic(), None
    try:
        with stream:
            for event in stream:
                if isinstance(event, PartDelta):
                    first_token_s = first_token_s or time.monotonic() - begun
                if stream.envelope is not None:
                    _write_line(stream.envelope.to_dict())
    except AntiphonError as error:
        _write_line({"error": {"code": error.code.name, "reason": error.reason, "message": error.message, "metadata": error.metadata}})
        raise
    return Answer(stream.snapshot, first_token_s, stopped=False)


def settled_length(text: str) -> int:
    """How much of a Markdown text that still grows is finished blocks: up to the last empty line that is in no code fence."""
    end = text.rfind("\n\n")
    if end == -1:
        return 0
    fences = list(_FENCE.finditer(text, 0, end))
    return fences[-1].start() if len(fences) % 2 else end + 2


def _write_line(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
    sys.stdout.flush()
