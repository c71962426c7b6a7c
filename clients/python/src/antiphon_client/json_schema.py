"""JSON Schema (draft 2020-12) of Python annotations, and values of those annotations from JSON.

Known are: str, int, float, bool, None, Any, list, tuple of one type, dict with string keys, unions, Literal, Enum, dataclasses, TypedDicts, and
`Annotated[..., "what it is"]`, whose string becomes the description. Anything else is an error, never a guess.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired, Required, Union, cast, get_args, get_origin, get_type_hints, is_typeddict

Schema = dict[str, Any]

_PRIMITIVES: dict[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    Any: {},
    list: {"type": "array"},
    dict: {"type": "object"},
}
_WORDS = {
    "": "any value",
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
    "array": "an array",
    "object": "an object",
}
_JSON_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def schema_of(annotation: Any) -> Schema:
    """The JSON Schema of what an annotation admits.

    Raises:
        TypeError: The annotation has no JSON Schema here.
    """
    if annotation in (None, *_PRIMITIVES):
        return dict(_PRIMITIVES[type(None) if annotation is None else annotation])
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        notes = [note for note in arguments[1:] if isinstance(note, str)]
        return schema_of(arguments[0]) | ({"description": " ".join(notes)} if notes else {})
    if origin in (Required, NotRequired):
        return schema_of(arguments[0])
    if origin is Literal:
        return _choice(arguments)
    if origin in (Union, types.UnionType):
        return {"anyOf": [schema_of(one) for one in arguments]}
    if origin in (list, Sequence) or (origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis):
        return {"type": "array", "items": schema_of(arguments[0])}
    if origin in (dict, Mapping) and arguments[0] is str:
        return {"type": "object", "additionalProperties": schema_of(arguments[1])}
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return _choice(member.value for member in annotation)
    if fields := fields_of(annotation):
        return object_schema(fields)
    raise TypeError(f"{annotation!r} has no JSON Schema here; give the tool an explicit input_schema")


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """A named value: a parameter of a function, a field of a dataclass or a key of a TypedDict."""

    annotation: Any
    required: bool
    default: Any = None


def object_schema(fields: Mapping[str, Field]) -> Schema:
    """The schema of an object with these fields and no others, as strict providers want it."""
    properties = {name: schema_of(field.annotation) for name, field in fields.items()}
    for name, field in fields.items():
        if not field.required and isinstance(field.default, (str, int, float, bool)) and not isinstance(field.default, enum.Enum):
            properties[name]["default"] = field.default
    required = [name for name, field in fields.items() if field.required]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def fields_of(annotation: Any) -> dict[str, Field]:
    """The fields of a dataclass or TypedDict; empty for anything else."""
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        hints = get_type_hints(annotation, include_extras=True)
        missing = dataclasses.MISSING
        return {
            field.name: Field(hints[field.name], field.default is missing and field.default_factory is missing, field.default)
            for field in dataclasses.fields(annotation)
            if field.init
        }
    if is_typeddict(annotation):
        keys = cast("frozenset[str]", getattr(annotation, "__required_keys__", frozenset[str]()))
        # Where annotations are strings, `__required_keys__` does not see `NotRequired`; the evaluated hints do.
        marked = {NotRequired: False, Required: True}
        hints = get_type_hints(annotation, include_extras=True)
        return {name: Field(hint, marked.get(get_origin(hint), name in keys)) for name, hint in hints.items()}
    return {}


def value_of(annotation: Any, value: Any, path: str = "value") -> Any:
    """A Python value of an annotation from decoded JSON that follows its schema.

    Args:
        annotation: The annotation.
        value: The decoded JSON.
        path: Where it stands, as in `place.tags[0]`, for the error's text.

    Raises:
        ValueError: The JSON does not follow it; a model wrote it, so nothing is taken on trust. The text is for the model to read.
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is Any:
        return value
    if origin in (Annotated, Required, NotRequired):
        return value_of(arguments[0], value, path)
    if origin in (Union, types.UnionType):
        return _value_of_union(annotation, value, path)
    if origin is Literal:
        return _one_of(annotation, arguments, value, path)
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return annotation(_one_of(annotation, [member.value for member in annotation], value, path))
    if isinstance(value, list):
        return _value_of_array(annotation, cast("list[Any]", value), path)
    if isinstance(value, dict):
        return _value_of_object(annotation, cast("dict[str, Any]", value), path)
    # JSON has one kind of number, and a Python bool is an int.
    if annotation is float and type(value) is int:
        return float(value)
    if type(value) is (type(None) if annotation is None else annotation):
        return value
    raise _unfit(annotation, value, path)


def keyword_arguments(fields: Mapping[str, Field], value: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Typed values of an object's fields.

    Raises:
        ValueError: A field is missing, unknown or of another type.
    """
    prefix = f"{path}." if path else ""
    for name in value:
        if name not in fields:
            raise ValueError(f"`{prefix}{name}`: is not known; known are {_listed(fields)}")
    for name, field in fields.items():
        if field.required and name not in value:
            raise ValueError(f"`{prefix}{name}`: is missing, and must be {_expected(field.annotation)}")
    return {name: value_of(fields[name].annotation, item, f"{prefix}{name}") for name, item in value.items()}


def _value_of_array(annotation: Any, value: list[Any], path: str) -> Any:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is not list and origin not in (list, Sequence, tuple):
        raise _unfit(annotation, value, path)
    items = [value_of(arguments[0] if arguments else Any, item, f"{path}[{index}]") for index, item in enumerate(value)]
    return tuple(items) if origin is tuple else items


def _value_of_object(annotation: Any, value: dict[str, Any], path: str) -> Any:
    if annotation is dict:
        return value
    if get_origin(annotation) in (dict, Mapping):
        return {key: value_of(get_args(annotation)[1], item, f"{path}.{key}") for key, item in value.items()}
    if fields := fields_of(annotation):
        return annotation(**keyword_arguments(fields, value, path))
    raise _unfit(annotation, value, path)


def _value_of_union(annotation: Any, value: Any, path: str) -> Any:
    members = get_args(annotation)
    for member in members:
        try:
            return value_of(member, value, path)
        except ValueError:
            continue
    alternatives = [member for member in members if member not in (None, type(None))]
    if len(alternatives) == 1 and isinstance(value, (dict, list)):
        # Only one of them can have been meant: its own words say where inside the fault is.
        return value_of(alternatives[0], value, path)
    raise _unfit(annotation, value, path)


def _one_of(annotation: Any, choices: Sequence[Any], value: Any, path: str) -> Any:
    for choice in choices:
        if type(choice) is type(value) and choice == value:
            return choice
    raise _unfit(annotation, value, path)


def _unfit(annotation: Any, value: Any, path: str) -> ValueError:
    shown = json.dumps(value, ensure_ascii=False)
    return ValueError(f"`{path}`: must be {_expected(annotation)}, not {shown if len(shown) <= 80 else shown[:77] + '...'}")


def _expected(annotation: Any) -> str:
    """What an annotation admits, in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Annotated, Required, NotRequired):
        return _expected(arguments[0])
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_expected(member) for member in arguments))
    if origin is Literal:
        return f"one of {_listed(arguments)}"
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return f"one of {_listed(member.value for member in annotation)}"
    return _WORDS[schema_of(annotation).get("type", "")]


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(json.dumps(value, ensure_ascii=False) for value in values)


def _choice(values: Any) -> Schema:
    choices = list(values)
    kinds = {_JSON_TYPES.get(cast("type[Any]", type(value))) for value in choices}
    if None in kinds:
        raise TypeError(f"{choices!r} are not all JSON values")
    return {"enum": choices} | ({"type": kinds.pop()} if len(kinds) == 1 else {})
