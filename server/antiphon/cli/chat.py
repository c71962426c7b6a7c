"""`antiphon chat`: one question, or a conversation."""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from antiphon.cli.answers import show_events, show_plain, show_rendered
from antiphon.cli.conversation import Conversation
from antiphon.cli.failures import EXIT_NOT_FOUND, EXIT_OK, EXIT_USAGE, say, with_client

if TYPE_CHECKING:
    from pathlib import Path

    from antiphon_client import Client, CompletionStream


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the command line said.

    Attributes:
        model: The model; None for the server's default.
        system: Instructions for it.
        temperature: Randomness; None for the provider's own.
        max_tokens: The most tokens of an answer; None for no limit of ours.
        as_json: Whether events are printed as JSON.
        state_home: Where programs keep their state.
    """

    model: str | None
    system: str
    temperature: float | None
    max_tokens: int | None
    as_json: bool
    state_home: Path

    def open_conversation(self, client: Client) -> Conversation | None:
        """A conversation with the model that was named, else with what the server calls `default`, else with its first; None where it has none."""
        model = self.model
        if model is None:
            found = list(client.models.list())
            model = next((one.name for one in found if "default" in one.aliases), found[0].name if found else None)
        if model is None:
            say("the server has no model; `antiphon doctor` says why")
            return None
        return Conversation(model, self.system)

    def ask(self, client: Client, conversation: Conversation, question: str) -> CompletionStream:
        """Starts an answer."""
        parameters: Any = {"temperature": self.temperature, "max_output_tokens": self.max_tokens}
        return client.completions.stream(model=conversation.model, messages=conversation.asking(question), **parameters)


def chat(prompt: str | None, settings: Settings, target: str | None) -> int:
    """Answers one question, or holds a conversation in a terminal; returns the exit code."""
    at_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if prompt is None and at_terminal and not settings.as_json:
        from antiphon.cli.chat_session import converse

        return with_client(target, partial(converse, settings=settings))
    question = "\n\n".join(part for part in (prompt or "", _piped_in()) if part.strip())
    if not question:
        say("nothing was asked; give a PROMPT, pipe one in, or run `antiphon chat` in a terminal")
        return EXIT_USAGE
    return with_client(target, partial(_answer_once, question=question, settings=settings))


def _answer_once(client: Client, *, question: str, settings: Settings) -> int:
    conversation = settings.open_conversation(client)
    if conversation is None:
        return EXIT_NOT_FOUND
    stream = settings.ask(client, conversation, question)
    if settings.as_json:
        show_events(stream)
    elif sys.stdout.isatty():
        from rich.console import Console

        console = Console()
        answer = show_rendered(stream, console)
        console.print(answer.summary(), style="dim", highlight=False)
    else:
        show_plain(stream)
    return EXIT_OK


def _piped_in() -> str:
    """What a pipe or a file gives on standard input; nothing where standard input is a terminal or a device."""
    if sys.stdin.isatty():
        return ""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError):  # no descriptor behind it, as in tests
        return sys.stdin.read()
    return sys.stdin.read() if stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode) else ""
