"""`antiphon config`: checks and shows the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from antiphon.cli.exits import EXIT_CONFIG, EXIT_OK, loaded

if TYPE_CHECKING:
    from pathlib import Path


def check(file: Path | None) -> int:
    """Says whether the configuration can be used; returns the exit code."""
    if loaded(file) is None:
        return EXIT_CONFIG
    print("the configuration is good")
    return EXIT_OK


def show(file: Path | None) -> int:
    """Prints what is in force, secrets masked; returns the exit code."""
    found = loaded(file)
    if found is None:
        return EXIT_CONFIG
    print(found[0].shown(), end="")
    return EXIT_OK
