"""`antiphon config`: checks and shows the configuration."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from antiphon.config import ConfigError, load
from antiphon.plugins import load_provider_types

if TYPE_CHECKING:
    from pathlib import Path


def check(file: Path | None) -> int:
    """Says whether the configuration can be used; returns the exit code."""
    try:
        load(load_provider_types(), file=file)
    except ConfigError as error:
        for problem in error.problems:
            print(f"configuration: {problem}", file=sys.stderr)
        return 2
    print("the configuration is good")
    return 0


def show(file: Path | None) -> int:
    """Prints what is in force, secrets masked; returns the exit code."""
    try:
        config = load(load_provider_types(), file=file)
    except ConfigError as error:
        for problem in error.problems:
            print(f"configuration: {problem}", file=sys.stderr)
        return 2
    print(config.shown(), end="")
    return 0
