"""`antiphon chat`: one question, or a conversation."""

from __future__ import annotations

import os
import stat
import sys
from functools import partial
from typing import TYPE_CHECKING

from antiphon.cli.answers import show_events, show_plain, show_rendered
from antiphon.cli.exits import EXIT_INTERRUPTED, EXIT_NOT_FOUND, EXIT_OK, EXIT_USAGE
from antiphon.cli.failures import say, with_client

if TYPE_CHECKING:
    from antiphon.cli.chat_settings import ChatSettings
    from antiphon_client import Client


def chat(prompt: str | None, settings: ChatSettings, target: str | None) -> int:
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


def _answer_once(client: Client, *, question: str, settings: ChatSettings) -> int:
    conversation = settings.open_conversation(client)
    if conversation is None:
        return EXIT_NOT_FOUND
    stream = settings.ask(client, conversation, question)
    if settings.as_json:
        show_events(stream)
    elif sys.stdout.isatty():
        from rich.console import Console

        console = Console()
        answer = show_rendered(stream, console, conversation.waiting)
        console.print(answer.summary(), style="dim", highlight=False)
        if answer.stopped:
            return EXIT_INTERRUPTED
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
