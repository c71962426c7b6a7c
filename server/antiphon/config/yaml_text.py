"""YAML text as plain values, bounded in number; what is wrong with it is told in one line, with its place."""

from __future__ import annotations

import re
from typing import Any, cast

import yaml

# A text can name a value many times over: what is written in a few lines must not take the memory of millions.
_MOST_VALUES = 100_000
# What the YAML library raises where a value is not what its tag says, as in `!!bool maybe`.
_CONSTRUCTION_ERRORS = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)
# What a message quotes of the text, other than single characters and names of tokens.
_QUOTED = re.compile(r""" (['"])(?![<\\])[^'"]{2,}\1""")


class YamlTextError(ValueError):
    """The text cannot be used; the message is one line and holds no value of the text."""


class _Loader(yaml.SafeLoader):
    """Tells the place of a value that cannot be made, and refuses a key that stands twice; the library does neither."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, "here is a key a second time in its section", key.start_mark)
                seen.add(key.value)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002  # the library's signature
        try:
            return super().construct_object(node, deep)  # pyright: ignore[reportUnknownMemberType]  # untyped in the library's stubs
        except _CONSTRUCTION_ERRORS as error:
            problem = "here is a value that its own tag or form does not allow, such as a date that is none"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error


def parse(text: str) -> object:
    """Returns what a text holds; None where it holds nothing.

    Raises:
        YamlTextError: It is no YAML, is nested too deep or grows too large.
    """
    try:
        loader = _Loader(text)
        try:
            value = cast("object", loader.get_single_data())
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise YamlTextError(f"is no YAML{_told(error, text)}") from None
    except RecursionError:
        raise YamlTextError("is nested too deep") from None
    if not _is_bounded(value):
        raise YamlTextError(f"holds more than {_MOST_VALUES} values, what it refers to by `*` included")
    return value


def _told(error: yaml.YAMLError, text: str) -> str:
    """Says where and why; a quoted piece of the text is left out, because it can be a secret that begins with `*` or `!`."""
    if isinstance(error, yaml.reader.ReaderError):
        lines = text[: error.position].split("\n")
        return f" at line {len(lines)}, column {len(lines[-1]) + 1}: the character U+{error.character:04X}: {error.reason}"
    if not isinstance(error, yaml.MarkedYAMLError):
        return ""
    begun = f" that begins at {_place(error.context_mark)}" if error.context_mark else ""
    told = ", ".join(part for part in (f"{error.context or ''}{begun}", error.problem or "") if part)
    mark = error.problem_mark or error.context_mark
    return f"{f' at {_place(mark)}' if mark else ''}: {_QUOTED.sub('', told)}"


def _place(mark: yaml.Mark) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}"


def _is_bounded(document: object) -> bool:
    """Says whether a document is small enough to look at; one that holds itself never is."""
    count = 0
    waiting: list[object] = [document]
    while waiting:
        value = waiting.pop()
        count += 1
        if count > _MOST_VALUES:
            return False
        if isinstance(value, dict):
            waiting += cast("dict[Any, Any]", value).values()
        elif isinstance(value, list):
            waiting += cast("list[Any]", value)
    return True
