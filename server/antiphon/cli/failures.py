"""Says in one line what went wrong, and which exit code that is."""

from __future__ import annotations

import difflib
import os
import sys
from typing import TYPE_CHECKING

import typer

from antiphon.cli.exits import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_NOT_FOUND, EXIT_UNREACHABLE, EXIT_USAGE
from antiphon_client import (
    AntiphonError,
    Client,
    NotFoundError,
    PermissionDeniedError,
    ServerUnreachableError,
    TlsError,
    UnauthenticatedError,
    UnimplementedError,
)
from antiphon_client.connection import is_local
from antiphon_client.errors import CLOSED_AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Callable

# How gRPC begins its message when no address was found for a name.
_NAME_UNKNOWN = ("DNS resolution failed", "errors resolving ")
# Between 0 and 1; below it another model would be suggested that nobody meant.
_LEAST_LIKENESS = 0.7


def explain(error: AntiphonError, target: str) -> tuple[str, int]:
    """Returns what to tell the person in one line, and the exit code."""
    message = "; ".join(line.strip() for line in str(error).splitlines())
    if error.retry_after_s is not None:
        message += f"; retry after {error.retry_after_s:g} s"
    match error:
        case ServerUnreachableError() if error.message.startswith(_NAME_UNKNOWN):
            return f"the name {target.rpartition('/')[2].rpartition(':')[0]!r} cannot be resolved", EXIT_UNREACHABLE
        case ServerUnreachableError() if isinstance(error, TlsError) or error.message.startswith(CLOSED_AT_ONCE):
            return f"no connection to {target}: {error.message.splitlines()[0]}", EXIT_UNREACHABLE
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


def explain_with_models(error: AntiphonError, client: Client) -> tuple[str, int]:
    """The same as `explain`; for a model that is not there, the server is asked which was probably meant."""
    told, code = explain(error, client.target)
    name = error.metadata.get("model", "")
    if not isinstance(error, NotFoundError) or error.reason != "MODEL_NOT_FOUND" or not name:
        return told, code
    try:
        near = _nearest_model(name, client)
    except AntiphonError:
        near = None
    bare = "" if "/" in name else ": models are named provider/model"
    if near is None:
        return f"there is no model {name!r}{bare}; `antiphon models` lists what is there", code
    return f"there is no model {name!r}{bare}; did you mean {near}?", code


def _nearest_model(name: str, client: Client) -> str | None:
    found = list(client.models.list())
    names = [one.name for one in found] + [alias for one in found for alias in one.aliases]
    # The name without its provider is what other programs call a model.
    by_last_part = {one.rpartition("/")[2]: one for one in reversed(names)}
    if name in by_last_part:
        return by_last_part[name]
    near = difflib.get_close_matches(name, names if "/" in name else by_last_part, n=1, cutoff=_LEAST_LIKENESS)
    return by_last_part.get(near[0], near[0]) if near else None


def say(message: str) -> None:
    """Tells the person something that is not the command's output."""
    typer.echo(f"antiphon: {message}", err=True)


def with_client(target: str | None, work: Callable[[Client], int]) -> int:
    """Runs a command's work with a client; whatever is expected to go wrong becomes a line and an exit code, never a traceback."""
    try:
        client = Client(target)
    except ValueError as error:  # the target is none, or the key would go out in plaintext
        say(str(error))
        return EXIT_USAGE
    with client:
        try:
            return work(client)
        except AntiphonError as error:
            message, code = explain_with_models(error, client)
            say(message)
            return code
        except BrokenPipeError:
            # The reader of our output has gone, as `head` does. Nothing may be written to it at exit either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return EXIT_FAILED
        except OSError as error:  # a certificate's file
            say(f"{str(error.filename)!r} cannot be read: {error.strerror}")
            return EXIT_USAGE
        except KeyboardInterrupt:
            return EXIT_INTERRUPTED
