"""Says in one line what went wrong, and which exit code that is."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import typer

from antiphon_client import (
    AntiphonError,
    Client,
    NotFoundError,
    PermissionDeniedError,
    ServerUnreachableError,
    UnauthenticatedError,
    UnimplementedError,
)
from antiphon_client.connection import is_local

if TYPE_CHECKING:
    from collections.abc import Callable

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
# 3 is what `serve` says when a port is taken.
EXIT_UNREACHABLE = 4
EXIT_NOT_FOUND = 5
EXIT_INTERRUPTED = 130


def explain(error: AntiphonError, target: str) -> tuple[str, int]:
    """Returns what to tell the person in one line, and the exit code."""
    message = "; ".join(line.strip() for line in str(error).splitlines())
    match error:
        case ServerUnreachableError() if "handshake" in error.message.lower():
            return f"no TLS connection to {target}: {error.message.splitlines()[0]}; http://{target} asks for plaintext", EXIT_UNREACHABLE
        case ServerUnreachableError() if is_local(target):
            return f"no server answers at {target}; start one with `antiphon serve`", EXIT_UNREACHABLE
        case ServerUnreachableError():
            return f"no server answers at {target}", EXIT_UNREACHABLE
        case NotFoundError(reason="MODEL_NOT_FOUND"):
            return f"there is no model {error.metadata.get('model', '')!r}; `antiphon models` lists what is there", EXIT_NOT_FOUND
        case NotFoundError():
            return message, EXIT_NOT_FOUND
        case UnauthenticatedError() | PermissionDeniedError():
            return f"{message}; the API key is read from ANTIPHON_API_KEY", EXIT_FAILED
        case UnimplementedError(reason=""):
            return f"what answers at {target} does not know this call: it is no Antiphon server, or an older one", EXIT_FAILED
        case _:
            return message, EXIT_FAILED


def say(message: str) -> None:
    """Tells the person something that is not the command's output."""
    typer.echo(f"antiphon: {message}", err=True)


def with_client(target: str | None, work: Callable[[Client], int]) -> int:
    """Runs a command's work with a client; whatever is expected to go wrong becomes a line and an exit code, never a traceback."""
    try:
        client = Client(target)
    except ValueError as error:  # the key would go out in plaintext, for instance
        say(str(error))
        return EXIT_USAGE
    with client:
        try:
            return work(client)
        except AntiphonError as error:
            message, code = explain(error, client.target)
            say(message)
            return code
        except BrokenPipeError:
            # The reader of our output has gone, as `head` does. Nothing may be written to it at exit either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return EXIT_FAILED
        except KeyboardInterrupt:
            return EXIT_INTERRUPTED
