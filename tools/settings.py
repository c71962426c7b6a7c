"""Writes docs/SETTINGS.md from the configuration's sections, or (`--check`) proves that the committed page is what they give."""

from __future__ import annotations

import sys
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from antiphon.config import RawConfig, Section
from tools.kept import keep, tell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "SETTINGS.md"
_HEAD = """# Settings

Written by `make settings` from `server/antiphon/config/`; do not edit.

Settings stand in `antiphon.yaml`; `ANTIPHON_SECTION__KEY=value` stands over the file's. [Getting started](GETTING_STARTED.md) tells how to write secrets
without having them in the file; `antiphon config check` tells what is wrong, and `antiphon config show` what is in force.
"""
_REST = """## providers

`providers.<name>.type` names the kind of provider; the other keys are the kind's own. See [Getting started](GETTING_STARTED.md).

## aliases

`aliases.<name>` is a name for a `provider/model`. Default: `default: local/smollm2-135m-instruct`.
"""


def page() -> str:
    """Returns the page."""
    return "\n".join([_HEAD, *_sections(), _REST])


def _sections() -> Iterator[str]:
    for name, field in RawConfig.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            doc = " ".join((kind.__doc__ or "").split())
            rows = "\n".join(f"| `{setting}` | {_default(one)} | {one.description} |" for setting, one in _settings(name, kind))
            yield f"## {name}\n\n{doc}\n\n| setting | default | what |\n|---|---|---|\n{rows}\n"


def _settings(place: str, kind: type[Section]) -> Iterator[tuple[str, FieldInfo]]:
    """Yields a section's settings with their places; those of a list's entries behind `[]`."""
    for key, field in kind.model_fields.items():
        yield f"{place}.{key}", field
        for inner in typing.get_args(field.annotation):
            if isinstance(inner, type) and issubclass(inner, Section):
                yield from _settings(f"{place}.{key}[]", inner)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True)
    if value is None:
        return "unset"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, (tuple, dict)) and not value:
        return "none"
    return f"`{', '.join(map(str, value)) if isinstance(value, tuple) else value}`"  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]  # a default of any type


def main(arguments: list[str]) -> int:
    """Writes the page, or compares it."""
    return tell("settings", keep(PAGE, page(), arguments, "docs/SETTINGS.md is not what the settings give; run `make settings`"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
