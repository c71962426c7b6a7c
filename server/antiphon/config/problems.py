"""What is wrong with a configuration: each problem once, with its place and the mend, and none that only follows from another."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import ValidationError

Place: TypeAlias = "tuple[int | str, ...]"

# What pydantic calls the place of a key that is wrong itself.
_KEY = "[key]"
# What pydantic says more strangely than it is.
_PLAIN = {
    "model_type": "must hold keys and values",
    "model_attributes_type": "must hold keys and values",
    "dict_type": "must hold keys and values",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be text",
}
_PREFIXES = ("Value error, ", "Assertion failed, ", "Input ", "String ")


class Unresolved:
    """Stands where a value could not be had, so that the rest can be checked: no setting takes it."""


class Problems:
    """The problems of one configuration, as they are found.

    Attributes:
        variables: The variable that set the value at a place.
    """

    def __init__(self) -> None:
        self.variables: dict[Place, str] = {}
        self._lines: dict[str, Place] = {}
        self._unresolved: set[Place] = set()
        self._meant: set[Place] = set()
        self._without_section: list[tuple[Place, str]] = []

    def tell(self, line: str) -> None:
        """Adds one that has no place in the document."""
        self._lines[line] = ()

    def add(self, place: Place, told: str) -> None:
        """Adds one."""
        self._lines[f"{_shown(place)}: {told}{self._set_by(place)}"] = place

    def add_unresolved(self, place: Place, told: str) -> Unresolved:
        """Adds one of a value that could not be had; returns what stands for the value."""
        self._unresolved.add(place)
        self.add(place, told)
        return Unresolved()

    def add_unknown(self, place: Place, known: Iterable[str]) -> None:
        """Adds a key that is none, with the nearest one that is; that one then does not count as missing."""
        near = nearest(str(place[-1]), known)
        self._meant.add((*place[:-1], near))
        self.add(place, f"no such setting{did_you_mean(near)}")

    def add_missing(self, place: Place, told: str) -> None:
        """Adds a key that is not there, told better than a model tells it."""
        self._meant.add(place)
        self.add(place, told)

    def add_without_section(self, place: Place, variable: str) -> None:
        """Adds a variable that would go into a section where the document has something else."""
        self._without_section.append((place, variable))

    def add_refused(self, error: ValidationError, model: type[BaseModel], value: object, place: Place = ()) -> None:
        """Adds what a model found wrong with the value at a place."""
        missing: list[Place] = []
        refused: dict[tuple[Place, bool], dict[str, None]] = {}
        for problem in error.errors(include_url=False, include_input=False, include_context=False):
            inner, kind = problem["loc"], problem["type"]
            at = (*place, *_steps(value, inner))
            if kind == "extra_forbidden":
                self.add_unknown(at, _fields_at(model, inner[:-1]))
            elif kind == "missing":
                missing.append((*at, inner[-1]))
            elif not self._is_unresolved(at):
                of_key = inner[-1:] == (_KEY,)
                refused.setdefault((at, of_key), {})[_message(kind, problem["msg"])] = None
        for (at, of_key), messages in refused.items():
            # The members of a union refuse the same value, each in its own words.
            self.add(at, f"{'its name ' if of_key else ''}{', or '.join(messages)}")
        for at in missing:
            if not self.is_meant(at):
                self.add(at, "field required")

    def is_meant(self, place: Place) -> bool:
        """Whether a misspelled key beside it means it."""
        return place in self._meant

    def is_at(self, place: Place) -> bool:
        """Whether there is a problem just there."""
        return place in self._lines.values()

    def is_unresolved_within(self, place: Place) -> bool:
        """Whether a value there or below could not be had."""
        return any(unresolved[: len(place)] == place for unresolved in self._unresolved)

    def lines(self) -> list[str]:
        """Returns a line for each, those of one place beside each other."""
        places = set(self._lines.values())
        follow = [
            f"{variable}: {_shown(place)} is no section that it could be put into"
            for place, variable in self._without_section
            if not any(place[:length] in places for length in range(1, len(place) + 1))
        ]
        return [*sorted(self._lines, key=lambda line: _shown(self._lines[line])), *follow]

    def _is_unresolved(self, place: Place) -> bool:
        return any(place[:length] in self._unresolved for length in range(len(place) + 1))

    def _set_by(self, place: Place) -> str:
        """Names the variable that set it, or what holds it: who reads the file alone would not find it."""
        for length in range(len(place), 0, -1):
            if variable := self.variables.get(place[:length]):
                return f" (set by {variable})"
        return ""


def nearest(name: str, known: Iterable[str], cutoff: float = 0.5) -> str:
    """Returns the known name that was probably meant; empty where none is near."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return found[0] if found else ""


def did_you_mean(near: str) -> str:
    """Returns what to put behind the sentence that a name is not known."""
    return f"; did you mean {near!r}?" if near else ""


def _shown(place: Place) -> str:
    shown = ""
    for step in place:
        shown += f"[{step}]" if isinstance(step, int) and shown else f".{step}" if shown else str(step)
    return shown


def _message(kind: str, message: str) -> str:
    if plain := _PLAIN.get(kind):
        return plain
    for prefix in _PREFIXES:
        message = message.removeprefix(prefix)
    return f"{message[:1].lower()}{message[1:]}"


def _steps(value: object, inner: tuple[int | str, ...]) -> list[int | str]:
    """Keeps the steps that lead through the document, and leaves out names of a union's members."""
    steps: list[int | str] = []
    for step in inner:
        if isinstance(value, dict):
            mapping = cast("dict[Any, Any]", value)
            key = step if step in mapping else next((key for key in mapping if str(key) == str(step)), None)
            if key in mapping:
                steps.append(step)
                value = mapping[key]
        elif isinstance(value, list) and isinstance(step, int) and step < len(items := cast("list[Any]", value)):
            steps.append(step)
            value = items[step]
    return steps


def _fields_at(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    current = model
    for step in place:
        field = current.model_fields.get(str(step))
        annotation = field.annotation if field else None
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        current = next((one for one in candidates if isinstance(one, type) and issubclass(one, BaseModel)), current)
    return list(current.model_fields)
