"""What a line with a slash does in a chat."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from antiphon.cli.models import model_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from antiphon.cli.conversation import Conversation
    from antiphon_client import Client


class LeaveChat(Exception):  # noqa: N818  # no error: the person is done
    """The person wants to leave."""


@dataclass(frozen=True, slots=True)
class _Call:
    argument: str
    client: Client
    conversation: Conversation
    console: Console

    def tell(self, text: str) -> None:
        self.console.print(text, style="dim", highlight=False, markup=False)


@dataclass(frozen=True, slots=True)
class Command:
    """A command.

    Attributes:
        argument: What it takes, as help shows it.
        meaning: What it does.
        run: Does it.
    """

    argument: str
    meaning: str
    run: Callable[[_Call], None]


def run_command(line: str, client: Client, conversation: Conversation, console: Console) -> None:
    """Runs a line such as `/model NAME`.

    Raises:
        LeaveChat: The person wants to leave.
        AntiphonError: The server was asked and the call failed.
    """
    name, _, argument = line.partition(" ")
    call = _Call(argument.strip(), client, conversation, console)
    command = COMMANDS.get(name)
    if command is None:
        call.tell(f"there is no command {name}; /help lists them")
    else:
        command.run(call)


def _model(call: _Call) -> None:
    if call.argument:
        call.conversation.choose(call.client.models.get(call.argument))
    call.tell(f"model: {call.conversation.model}")


def _models(call: _Call) -> None:
    call.console.print(model_table(call.client.models.list()))


def _system(call: _Call) -> None:
    if call.argument:
        call.conversation.system = call.argument
    call.tell(f"instructions: {call.conversation.system or 'none'}")


def _save(call: _Call) -> None:
    if not call.argument:
        call.tell("/save FILE: name a file that ends in .md or .json")
        return
    path = Path(call.argument).expanduser()
    try:
        call.conversation.save(path)
    except ValueError as error:
        call.tell(str(error))
    except OSError as error:
        call.tell(f"{path} cannot be written: {error.strerror}")
    else:
        call.tell(f"saved to {path}")


def _clear(call: _Call) -> None:
    call.conversation.turns.clear()
    call.tell("a new conversation begins")


def _help(call: _Call) -> None:
    width = max(len(f"{name} {command.argument}") for name, command in COMMANDS.items())
    call.tell("\n".join(f"{f'{name} {command.argument}':<{width}}  {command.meaning}" for name, command in COMMANDS.items()))


def _quit(call: _Call) -> None:
    del call
    raise LeaveChat


COMMANDS: dict[str, Command] = {
    "/model": Command("[NAME]", "show or change the model", _model),
    "/models": Command("", "list the models", _models),
    "/system": Command("[TEXT]", "show or set the instructions", _system),
    "/save": Command("FILE", "save the conversation: .md for Markdown, .json for JSON", _save),
    "/clear": Command("", "forget what was said", _clear),
    "/help": Command("", "show this", _help),
    "/quit": Command("", "leave (as Ctrl-D)", _quit),
}
