"""Files that a tool writes and `make check` holds current."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def keep(file: Path, fresh: str, arguments: list[str], otherwise: str) -> list[str]:
    """Writes a file, or with `--check` compares it.

    Args:
        file: The file.
        fresh: What belongs in it.
        arguments: The tool's arguments.
        otherwise: What to say where the file is not that.

    Returns:
        What is wrong, nothing where all is well.
    """
    if "--check" not in arguments:
        file.write_text(fresh, encoding="utf-8")
        return []
    return [] if file.is_file() and fresh == file.read_text(encoding="utf-8") else [otherwise]


def tell(tool: str, problems: list[str]) -> int:
    """Prints what is wrong; returns the process's exit code."""
    for problem in problems:
        print(f"{tool}: {problem}")
    return 1 if problems else 0
