"""Reads a Containerfile: its instructions, stage by stage. Where no container engine is at hand, this is what can be looked at."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONTAINERFILE = ROOT / "deploy" / "Containerfile"
IGNORE_FILE = ROOT / ".containerignore"


@dataclass(frozen=True)
class Instruction:
    """One instruction, as in `COPY --from=build /a /b`."""

    name: str
    flags: dict[str, str]
    rest: str

    @property
    def words(self) -> list[str]:
        """What follows the flags: the list of the exec form, else the words."""
        return [str(word) for word in json.loads(self.rest)] if self.rest.startswith("[") else shlex.split(self.rest)


def stages(text: str) -> list[list[Instruction]]:
    """Returns the instructions of each stage, its FROM first."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found: list[list[Instruction]] = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        name, _, rest = line.strip().partition(" ")
        flags: dict[str, str] = {}
        rest = rest.strip()
        while rest.startswith("--"):
            flag, _, rest = rest.partition(" ")
            key, _, value = flag[2:].partition("=")
            flags[key] = value
            rest = rest.strip()
        if name == "FROM":
            found.append([])
        found[-1].append(Instruction(name, flags, rest))
    return found


def sources(instruction: Instruction) -> list[str]:
    """Returns what a COPY takes from the repository; nothing where it takes from another stage."""
    return [] if "from" in instruction.flags else instruction.words[:-1]


def sent(text: str) -> set[str]:
    """Returns the patterns that an ignore file of the form "everything but" lets through."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines or lines[0] != "*":
        raise ValueError("the first pattern must be `*`, so that nothing is sent unasked")
    return {line.removeprefix("!") for line in lines[1:] if line.startswith("!")}
