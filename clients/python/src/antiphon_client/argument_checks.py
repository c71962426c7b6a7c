"""Checks of what a caller passes, before anything is sent: each names the parameter, what it takes and what it got."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from enum import IntEnum
from numbers import Integral, Real
from typing import Any, TypeVar, cast

EnumT = TypeVar("EnumT", bound=IntEnum)

# What other clients call it.
_OTHER_NAMES = {
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "max_new_tokens": "max_output_tokens",
    "stop_sequences": "stop",
    "timeout": "timeout_s",
    "max_retries": "retries",
    "logprobs": "top_logprobs",
    "extra_body": "provider_options",
    "extra_headers": "metadata",
    "headers": "metadata",
}
_METADATA_KEY = re.compile(r"[0-9a-z_.-]+")
_PRINTABLE = re.compile(r"[\x20-\x7e]*")


def known_names(given: Collection[str], known: Collection[str]) -> None:
    """Refuses a parameter that does not exist.

    Raises:
        TypeError: There is one; the message says which was probably meant.
    """
    for name in sorted(set(given) - set(known)):
        near = [_OTHER_NAMES.get(name, ""), *difflib.get_close_matches(name, known, n=1)]
        meant = next((one for one in near if one in known), None)
        raise TypeError(f"unknown parameter {name!r}" + (f"; did you mean {meant!r}?" if meant else ""))


def string(name: str, value: object) -> str:
    """A string.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(value, str):
        raise _wrong_type(name, "a string", value)
    return value


def strings(name: str, value: object) -> list[str]:
    """Strings.

    Raises:
        TypeError: They are none, or one string alone.
    """
    return [string(f"{name}[{index}]", item) for index, item in enumerate(items(name, "strings", value))]


def items(name: str, kind: str, value: object) -> list[Any]:
    """The items of a list, or of anything that can be iterated over but text and mappings.

    Raises:
        TypeError: It is no such thing.
    """
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise _wrong_type(name, f"a list of {kind}", cast("object", value))
    return list(cast("Iterable[Any]", value))


def mapping(name: str, value: object) -> dict[str, Any]:
    """A mapping with strings as keys.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(value, Mapping):
        raise _wrong_type(name, "a mapping", value)
    given = cast("Mapping[object, Any]", value)
    return {string(f"a key of {name}", key): item for key, item in given.items()}


def flag(name: str, value: object) -> bool:
    """True or False.

    Raises:
        TypeError: It is neither.
    """
    if not isinstance(value, bool):
        raise _wrong_type(name, "True or False", value)
    return value


def number(name: str, value: object) -> float:
    """A number.

    Raises:
        TypeError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise _wrong_type(name, "a number", value)
    return float(value)


def integer(name: str, value: object, *, bits: int) -> int:
    """An integer that a field of so many bits holds.

    Raises:
        TypeError: It is none.
        ValueError: It does not fit.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise _wrong_type(name, "an integer", value)
    if not -(2 ** (bits - 1)) <= int(value) < 2 ** (bits - 1):
        raise ValueError(f"{name} is an integer of {bits} bits; {value} does not fit")
    return int(value)


def duration(name: str, value: object) -> timedelta | None:
    """A time in seconds; None stays None.

    Raises:
        TypeError: It is no number.
        ValueError: It is no time.
    """
    if value is None:
        return None
    seconds = number(name, value)
    if not math.isfinite(seconds):
        raise ValueError(f"{name} is a finite number of seconds, not {value!r}")
    return timedelta(seconds=seconds)


def member(name: str, kind: type[EnumT], value: object, *, alternative: str = "") -> EnumT:
    """A member of a contract's enum, by its name in lower case or as it is.

    Args:
        name: The parameter.
        kind: The enum.
        value: What was given.
        alternative: What else the parameter takes, for the message.

    Raises:
        TypeError: It is neither a string nor a member.
        ValueError: No member is called so.
    """
    if isinstance(value, kind):
        return value
    names = [one.lower() for one in kind.__members__ if one != "UNSPECIFIED"]
    told = f"{name} is one of {', '.join(names)}{alternative}; not {value!r}"
    if not isinstance(value, str):
        raise TypeError(told)
    if value not in names:
        raise ValueError(told)
    return kind[value.upper()]


def json_text(name: str, value: object) -> str:
    """The text of a value of JSON.

    Raises:
        TypeError: It has something in it that JSON has not.
    """
    try:
        return json.dumps(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} cannot be written as JSON: {error}") from error


def metadata(value: object) -> tuple[tuple[str, str], ...]:
    """Metadata that gRPC can send, its keys in lower case.

    Raises:
        TypeError: It is no mapping of strings to strings.
        ValueError: gRPC would refuse a key or a value.
    """
    return tuple(_metadata_item(name, item) for name, item in mapping("metadata", value).items())


def _metadata_item(name: str, value: object) -> tuple[str, str]:
    key = name.lower()
    if not _METADATA_KEY.fullmatch(key):
        raise ValueError(f"a key of metadata has letters, digits, '-', '_' and '.' only; {name!r} has others, or none")
    if key.startswith("grpc-"):
        raise ValueError(f"keys of metadata that begin with 'grpc-' are gRPC's own; choose another for {name!r}")
    if key.endswith("-bin"):
        raise ValueError(f"keys of metadata that end with '-bin' hold bytes, which this client does not send; choose another for {name!r}")
    return key, printable(f"metadata[{name!r}]", value)


def printable(name: str, value: object) -> str:
    """A string of printable ASCII, which is what a header can carry.

    Raises:
        TypeError: It is no string.
        ValueError: It has other characters. They are not shown: it may be a secret.
    """
    if not _PRINTABLE.fullmatch(string(name, value)):
        raise ValueError(f"{name} is a header's text: printable ASCII characters only, no line's end")
    return string(name, value)


def _wrong_type(name: str, wanted: str, value: object) -> TypeError:
    shown = repr(value)
    return TypeError(f"{name} is {wanted}, not {type(value).__name__} {shown if len(shown) <= 80 else shown[:77] + '...'}")
