"""A conversation in a terminal: reads lines, runs commands, shows answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from rich.console import Console

from antiphon.cli.answers import show_rendered
from antiphon.cli.chat_commands import COMMANDS, LeaveChat, run_command
from antiphon.cli.exits import EXIT_NOT_FOUND, EXIT_OK
from antiphon.cli.failures import explain_with_models
from antiphon_client import AntiphonError

if TYPE_CHECKING:
    from pathlib import Path

    from antiphon.cli.chat_settings import ChatSettings
    from antiphon.cli.conversation import Conversation
    from antiphon_client import Client

_PROMPT = FormattedText([("bold fg:ansicyan", "you › ")])  # noqa: RUF001  # a prompt's mark


def converse(client: Client, *, settings: ChatSettings) -> int:
    """Talks until the person leaves; returns the exit code.

    Raises:
        AntiphonError: The server did not answer at the start. Later failures are shown, and the conversation goes on.
    """
    conversation = settings.open_conversation(client)
    if conversation is None:
        return EXIT_NOT_FOUND
    console = Console()
    console.print(
        f"Antiphon · {conversation.model} · /help for commands, Ctrl-C stops an answer, Ctrl-D leaves", style="dim", highlight=False
    )
    session: PromptSession[str] = PromptSession(
        history=_history(settings.state_home.expanduser() / "antiphon"),
        completer=WordCompleter(sorted(COMMANDS), sentence=True),
        complete_while_typing=False,
    )
    while True:
        try:
            line = session.prompt(_PROMPT).strip()
        except KeyboardInterrupt:  # Ctrl-C empties the line
            continue
        except EOFError:
            return EXIT_OK
        try:
            if line.startswith("/"):
                run_command(line, client, conversation, console)
            elif line:
                _answer(line, client, settings, conversation, console)
        except LeaveChat:
            return EXIT_OK
        except AntiphonError as error:
            console.print(explain_with_models(error, client)[0], style="red", highlight=False, markup=False)
        except KeyboardInterrupt:  # while a command asked the server
            continue


def _answer(question: str, client: Client, settings: ChatSettings, conversation: Conversation, console: Console) -> None:
    stream = settings.ask(client, conversation, question)
    answer = show_rendered(stream, console, conversation.waiting)
    conversation.note(question, answer.completion, whole=not answer.stopped)
    console.print(answer.summary(), style="dim", highlight=False, markup=False)


def _history(folder: Path) -> History:
    """The questions of earlier chats, readable by their owner alone; of this chat only where the folder cannot be written."""
    file = folder / "chat_history"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.touch(mode=0o600)
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(file))
