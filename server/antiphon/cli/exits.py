"""The exit codes of every command, and the loading of the configuration, whose problems end a command."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from antiphon.config import ConfigError, load
from antiphon.plugins import load_provider_types

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from antiphon.config import Config
    from antiphon.plugins import ProviderType

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = EXIT_CONFIG = 2
EXIT_PORT = 3
EXIT_UNREACHABLE = 4
EXIT_NOT_FOUND = 5
EXIT_INTERRUPTED = 130


def loaded(file: Path | None) -> tuple[Config, Mapping[str, ProviderType]] | None:
    """The configuration and the types of provider that it was read with; None, and a line for each problem, where it cannot be used."""
    kinds = load_provider_types()
    try:
        return load(kinds, file=file), kinds
    except ConfigError as error:
        tell_problems(error.problems)
        return None


def tell_problems(problems: Iterable[str]) -> None:
    """Prints what is wrong with the configuration, a line each."""
    for problem in problems:
        print(f"configuration: {problem}", file=sys.stderr)
