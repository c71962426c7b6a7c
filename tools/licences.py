"""Writes `LICENSES.md` from the locks and the packages' metadata, or (`--check`) proves it current and every licence acceptable."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from tools.kept import keep, tell
from tools.locked import ROOT, SHIPPED, Locked, all_locked, read_locks
from tools.package_facts import Facts, Record, facts_of_all, load_record

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE = ROOT / "LICENSES.md"
_HEAD = """\
# Licences

Antiphon is under the [Apache License 2.0](LICENSE). It uses the packages below, each under its own licence. Written by `make licences` from the lock files and
the packages' metadata; `make check` holds it current, and fails on a licence that `requirements/licences.toml` does not accept.

"""
_TABLE = """\
## {title}

{told}

| package | version | licence | text |
|---|---|---|---|
"""


def tables() -> list[tuple[str, str, list[Locked]]]:
    """Returns each table's title, what it holds, and its packages; a package stands in one table only."""
    server, embedded = (read_locks(name) for name in SHIPPED)
    shipped = {locked.pin for locked in [*server, *embedded]}
    rest = [locked for locked in all_locked() if locked.pin not in shipped]
    return [
        ("Server", "What the server and the SDK run on, with the runtimes of the embedded model.", server),
        ("Embedded model", "The model that comes with the server: weights, tokenizer and embedder.", embedded),
        ("Development", "What builds, checks and tests. None of it is in a deployment.", rest),
    ]


def page(known: Mapping[str, Facts]) -> str:
    """Returns the whole page."""
    parts = [_HEAD]
    for title, told, rows in tables():
        parts.append(_TABLE.format(title=title, told=told))
        parts += [_row(locked, known[locked.pin]) for locked in rows]
        parts.append("\n")
    return "".join(parts).rstrip("\n") + "\n"


def _row(locked: Locked, facts: Facts) -> str:
    return f"| {locked.name} | {locked.version} | {facts.licence or 'unknown'} | {facts.text} |\n"


def acceptable(expression: str, accepted: frozenset[str]) -> bool:
    """Whether the licence can be met with accepted ones alone: one side of every OR, both of every AND.

    A licence with an exception is accepted under its whole name only, as in `GPL-2.0-only WITH Classpath-exception-2.0`.
    """
    words = re.findall(r"[()]|[^\s()]+(?: WITH [^\s()]+)?", expression)
    return bool(words) and _any_side(words, accepted)


def _any_side(words: list[str], accepted: frozenset[str]) -> bool:
    met = _every_part(words, accepted)
    while words and words[0] == "OR":
        words.pop(0)
        # Read first: what stands behind an OR is taken off the words whether it decides or not.
        met = _every_part(words, accepted) or met
    return met


def _every_part(words: list[str], accepted: frozenset[str]) -> bool:
    met = _one(words, accepted)
    while words and words[0] == "AND":
        words.pop(0)
        met = _one(words, accepted) and met
    return met


def _one(words: list[str], accepted: frozenset[str]) -> bool:
    word = words.pop(0)
    if word != "(":
        return word in accepted
    met = _any_side(words, accepted)
    words.pop(0)
    return met


def refusals(known: Mapping[str, Facts], record: Record) -> list[str]:
    """Names every package whose licence is unknown or not acceptable, and every record that no lock needs."""
    problems: list[str] = []
    for pin, facts in known.items():
        if not facts.licence:
            problems.append(f"{pin}: its licence is unknown ({facts.text}); read it and record it in requirements/licences.toml")
        elif not acceptable(facts.licence, record.acceptable):
            problems.append(f"{pin}: its licence is not acceptable: {facts.licence}")
    unused = sorted({*record.elsewhere} - {*known})
    unused += sorted({*record.read} - {pin.split("==")[0] for pin in known})
    return problems + [f"{name}: recorded in requirements/licences.toml, and in no lock" for name in unused]


def main(arguments: list[str]) -> int:
    """Writes the page, or compares it."""
    record = load_record()
    known = facts_of_all(all_locked(), record)
    problems = refusals(known, record)
    problems += keep(PAGE, page(known), arguments, "LICENSES.md is not what the locks give; run `make licences`")
    return tell("licences", problems)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
