"""Random messages of the contract, from a seed: valid requests, mutated ones, and fillings of any message type."""

from __future__ import annotations

import json
import math
import random
from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor import FieldDescriptor

from antiphon.api.core.v1.completion_pb2 import CompletionSpec, ReasoningEffort
from antiphon.api.core.v1.message_pb2 import Message as Turn
from antiphon.api.core.v1.message_pb2 import Part, Role
from antiphon.api.core.v1.tool_pb2 import Tool, ToolChoiceMode

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

    # Two classes of the runtime, by the way a file was loaded; the stubs keep them apart.
    Field = Any

_TEXTS = (
    "",
    "Hi",
    "naïve café",
    "\u0000",
    "\u202eright to left",
    "👩‍👩‍👧‍👦",
    "e\u0301" * 20,
    "\ufeffmark",
    "\uffff",
    "line\nline\r\n\tend",
    "' OR 1=1 --",
    "a" * 3000,
    "../../etc/passwd",
    "{}",
    "null",
)
_WHOLE_NUMBERS = (0, 1, -1, 2, 127, 128, 2**31 - 1, -(2**31), 2**32 - 1, 2**63 - 1, -(2**63))
_REALS = (0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 2.0000001, 1e308, 5e-324, math.inf, -math.inf, math.nan)
_SCHEMAS = (
    "",
    "{}",
    '{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}',
    '{"type":"object","additionalProperties":false}',
    '{"type":"object","properties":{"n":{"$ref":"#/$defs/n"}},"$defs":{"n":{"type":"integer","minimum":0}}}',
)
_PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)
_DEPTH = 6
_KINDS: dict[int, Callable[[random.Random], Any]] = {
    FieldDescriptor.CPPTYPE_INT32: lambda chance: _whole(chance, 32, signed=True),
    FieldDescriptor.CPPTYPE_INT64: lambda chance: _whole(chance, 64, signed=True),
    FieldDescriptor.CPPTYPE_UINT32: lambda chance: _whole(chance, 32, signed=False),
    FieldDescriptor.CPPTYPE_UINT64: lambda chance: _whole(chance, 64, signed=False),
    FieldDescriptor.CPPTYPE_DOUBLE: lambda chance: chance.choice(_REALS),
    FieldDescriptor.CPPTYPE_FLOAT: lambda chance: chance.choice((0.0, 1.0, -1.0, 0.5, math.inf, math.nan)),
    FieldDescriptor.CPPTYPE_BOOL: lambda chance: chance.random() < 0.5,
    FieldDescriptor.CPPTYPE_ENUM: lambda chance: chance.choice((0, 1, 2, 3, 4, 5, 99, -1, 2**31 - 1)),
}


class MessageFaker:
    """Makes random messages. The same seed makes the same messages in the same order."""

    def __init__(self, seed: int | random.Random) -> None:
        self.chance = seed if isinstance(seed, random.Random) else random.Random(seed)

    def text(self) -> str:
        """Returns a text of the unusual kind."""
        return self.chance.choice(_TEXTS)

    def schema(self) -> str:
        """Returns a good JSON Schema of an object, or none."""
        return self.chance.choice(_SCHEMAS)

    def bytes(self, most: int = 200) -> bytes:
        """Returns random bytes, at most so many."""
        return self.chance.randbytes(self.chance.randint(0, most))

    def spec(self, model: str = "scripted/alpha") -> CompletionSpec:
        """Returns a valid request that a model of every capability can take."""
        spec = CompletionSpec(model=model)
        for _ in range(self.chance.randint(0, 2)):
            spec.messages.append(Turn(role=Role.ROLE_SYSTEM, parts=self._texts()))
        for number in range(self.chance.randint(0, 3)):
            spec.messages.append(Turn(role=Role.ROLE_USER, parts=self._user_parts()))
            spec.messages.extend(self._assistant_turn(number))
        if not spec.messages or spec.messages[-1].role != Role.ROLE_TOOL or self.chance.random() < 0.5:
            spec.messages.append(Turn(role=Role.ROLE_USER, parts=self._user_parts()))
        self._tools(spec)
        self._sampling(spec)
        match self.chance.randint(0, 5):
            case 0:
                spec.response_format.text.SetInParent()
            case 1:
                spec.response_format.json_object.SetInParent()
            case 2:
                spec.response_format.json_schema.schema = self.schema() or "{}"
            case _:
                pass
        if self.chance.random() < 0.3:
            spec.reasoning.effort = self.chance.choice([number for number in ReasoningEffort.values() if number])  # pyright: ignore[reportAttributeAccessIssue]  # any of the enum's numbers
        if self.chance.random() < 0.3:
            spec.labels["team.a-b_c"] = self.text()[:255]
        if self.chance.random() < 0.3:
            spec.provider_options["scripted"].update({"number": 1.5, "list": [None, True, "x"], "inner": {"": {}}})
        return spec

    def mutated(self, message: Message, most: int = 4) -> None:
        """Changes up to so many places of a message, in place: fields cleared, overwritten with edge values, repeated, filled at random."""
        for _ in range(self.chance.randint(1, most)):
            place = self._somewhere(message)
            fields = list(place.DESCRIPTOR.fields)
            if not fields:
                continue
            field = self.chance.choice(fields)
            if self.chance.random() < 0.25:
                place.ClearField(field.name)
            elif field.is_repeated and not _is_map(field) and len(getattr(place, field.name)) and self.chance.random() < 0.4:
                items = getattr(place, field.name)
                items.extend(list(items))
            else:
                self._set(place, field, _DEPTH - 2)

    def mutated_bytes(self, data: bytes) -> bytes:
        """Returns bytes with a few of them changed, cut out or put in."""
        changed = bytearray(data)
        for _ in range(self.chance.randint(1, 4)):
            at = self.chance.randint(0, len(changed))
            match self.chance.randint(0, 3):
                case 0 if at < len(changed):
                    changed[at] = self.chance.randrange(256)
                case 1:
                    del changed[at : at + self.chance.randint(1, 8)]
                case 2:
                    changed[at:at] = self.bytes(8)
                case _:
                    del changed[at:]
        return bytes(changed)

    def filled(self, message: Message, depth: int = 0) -> None:
        """Fills a message of any type with random values, rules or no rules."""
        for field in message.DESCRIPTOR.fields:
            if self.chance.random() < 0.5:
                self._set(message, field, depth)

    def _set(self, message: Message, field: Field, depth: int) -> None:
        if _is_map(field):
            self._put(message, field, depth)
        elif field.is_repeated:
            for _ in range(self.chance.randint(0, 3)):
                if field.message_type is not None:
                    added = getattr(message, field.name).add()
                    if depth < _DEPTH:
                        self.filled(added, depth + 1)
                else:
                    getattr(message, field.name).append(self._scalar(field))
        elif field.message_type is not None:
            inner = getattr(message, field.name)
            inner.SetInParent()
            if depth < _DEPTH:
                self.filled(inner, depth + 1)
        else:
            setattr(message, field.name, self._scalar(field))

    def _put(self, message: Message, field: Field, depth: int) -> None:
        key = self.text()[:100]
        value = field.message_type.fields_by_name["value"]
        entries = getattr(message, field.name)
        if value.message_type is None:
            entries[key] = self._scalar(value)
        elif depth < _DEPTH:
            self.filled(entries[key], depth + 1)

    def _scalar(self, field: Field) -> Any:
        if field.type == FieldDescriptor.TYPE_BYTES:
            return self.bytes()
        return _KINDS.get(field.cpp_type, lambda _: self.text())(self.chance)

    def _somewhere(self, message: Message) -> Message:
        """Walks down to a random message inside."""
        here = message
        while True:
            inner: list[Message] = []
            for field, value in here.ListFields():
                if field.message_type is None or _is_map(field):
                    continue
                inner += list(value) if field.is_repeated else [value]
            if not inner or self.chance.random() < 0.3:
                return here
            here = self.chance.choice(inner)

    def _texts(self) -> list[Part]:
        return [Part(text=self.text()) for _ in range(self.chance.randint(1, 3))]

    def _user_parts(self) -> list[Part]:
        parts = self._texts()
        if self.chance.random() < 0.3:
            part = Part()
            part.blob.media_type, part.blob.data = "image/png", _PNG
            parts.append(part)
        if self.chance.random() < 0.2:
            part = Part()
            part.uri.uri = "https://example.com/a%20b?c=d#e"
            parts.append(part)
        return parts

    def _assistant_turn(self, number: int) -> list[Turn]:
        said = Turn(role=Role.ROLE_ASSISTANT, parts=self._texts())
        if self.chance.random() < 0.3:
            part = Part(provider_state=self.bytes())
            part.reasoning.text = self.text()
            said.parts.append(part)
        calls = [f"call-{number}-{index}" for index in range(self.chance.choice((0, 0, 1, 2)))]
        for call_id in calls:
            part = Part()
            part.tool_call.call_id, part.tool_call.name = call_id, "weather"
            part.tool_call.arguments = json.dumps({"text": self.text()})
            said.parts.append(part)
        if not calls:
            return [said]
        results = Turn(role=Role.ROLE_TOOL)
        for call_id in calls:
            part = Part()
            part.tool_result.call_id = call_id
            part.tool_result.parts.extend(self._texts())
            results.parts.append(part)
        return [said, results]

    def _tools(self, spec: CompletionSpec) -> None:
        for number in range(self.chance.choice((0, 0, 1, 3))):
            spec.tools.append(Tool(name=f"tool_{number}", description=self.text(), input_schema=self.schema()))
        if spec.tools and self.chance.random() < 0.5:
            spec.tool_choice.mode = ToolChoiceMode.TOOL_CHOICE_MODE_REQUIRED
            spec.tool_choice.allowed_tool_names.append("tool_0")
            spec.parallel_tool_calls = self.chance.random() < 0.5

    def _sampling(self, spec: CompletionSpec) -> None:
        if self.chance.random() < 0.5:
            spec.sampling.temperature = self.chance.choice((0.0, 0.7, 2.0))
            spec.sampling.top_p = self.chance.choice((5e-324, 0.5, 1.0))
            spec.sampling.max_output_tokens = self.chance.choice((1, 1000))
            spec.sampling.stop.extend(["\n", "👩‍👩‍👧‍👦"])
            spec.sampling.seed = self.chance.choice((0, -(2**63), 2**63 - 1))


def _whole(chance: random.Random, bits: int, *, signed: bool) -> int:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return chance.choice([number for number in _WHOLE_NUMBERS if low <= number <= high])


def _is_map(field: Field) -> bool:
    return bool(field.message_type is not None and field.message_type.GetOptions().map_entry)
