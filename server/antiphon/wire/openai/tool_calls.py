"""Tool calls put together from their deltas.

Servers of this dialect differ: the id may be missing, or be a new one in each delta; the name may come in pieces or again in each delta; the index may
be missing or 0 for all. A call is one call here whatever its server does, and two calls are two.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, cast

import orjson

from antiphon.wire.openai import provider_state
from antiphon.wire.openai.malformed import JsonObject, MalformedReplyError, as_object, as_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from antiphon.wire.openai.answer import AnswerEvents

# What the contract takes back on the next turn.
_LONGEST_CALL_ID = 256


class _Call:
    __slots__ = ("call_id", "fields", "has_arguments", "name", "provider_id", "started")

    def __init__(self) -> None:
        self.call_id = ""
        self.provider_id = ""
        self.name = ""
        self.started = False
        self.has_arguments = False
        self.fields: JsonObject = {}


class ToolCallAssembler:
    """The calls of one answer."""

    def __init__(
        self, answer: AnswerEvents, provider: str, tool_names: Iterable[str], earlier_call_ids: Callable[[], Iterable[str]]
    ) -> None:
        self._answer = answer
        self._provider = provider
        self._tool_names = frozenset(tool_names)
        self._earlier_call_ids = earlier_call_ids
        self._taken_ids: set[str] | None = None
        self._calls: list[_Call] = []
        self._by_key: dict[int | str, _Call] = {}

    def __bool__(self) -> bool:
        """Whether there is a call."""
        return bool(self._calls)

    def add(self, entry: JsonObject, position: int | None = None) -> None:
        """Takes one entry of `tool_calls`.

        Args:
            entry: The call, or a delta of it.
            position: Its place in the list where the list is whole: there, entries have no index.

        Raises:
            MalformedReplyError: It is no function call.
        """
        if entry.get("type") not in {None, "", "function"}:
            raise MalformedReplyError("a tool call is no function call")
        function = as_object(entry.get("function"), "tool_calls.function")
        provider_id = as_text(entry.get("id"), "tool_calls.id")
        name = as_text(function.get("name"), "tool_calls.function.name")
        call = self._find(entry.get("index", position), provider_id, name)
        call.provider_id = call.provider_id or provider_id
        if len(entry) > 2 or len(function) > 1:
            _merge(call.fields, provider_state.opaque_fields(entry))
        if name and not call.started:
            self._add_name(call, name)
        arguments = _arguments(function.get("arguments"))
        if arguments:
            if not call.started:
                self._start(call)
            call.has_arguments = True
            self._answer.append_arguments(call.call_id, arguments)

    def end(self, *, cut_off: bool) -> None:
        """Ends all calls.

        Args:
            cut_off: Whether the answer stopped at the token limit, so that arguments may be missing. A call that is whole and has none gets an
                empty object: the contract's arguments are always an object.
        """
        for call in self._calls:
            if cut_off and not call.name:
                continue
            if not call.started:
                self._start(call)
            if not call.has_arguments and not cut_off:
                self._answer.append_arguments(call.call_id, "{}")
            self._answer.end_call(call.call_id, provider_state.encode(self._provider, call.fields))

    def _find(self, index: Any, provider_id: str, name: str) -> _Call:
        if isinstance(index, int):
            key: int | str = index
        elif provider_id:
            key = provider_id
        elif self._calls and not name:
            return self._calls[-1]
        else:
            key = f"#{len(self._calls)}"
        call = self._by_key.get(key)
        if call is None or (name and _is_another(call, provider_id, name)):
            call = self._by_key[key] = _Call()
            self._calls.append(call)
        return call

    def _add_name(self, call: _Call, piece: str) -> None:
        if piece != call.name or call.name + piece in self._tool_names:
            call.name += piece
        # A name that is a tool's and the beginning of no other is whole: the call need not wait for its first argument to be told.
        if call.name in self._tool_names and not any(other != call.name and other.startswith(call.name) for other in self._tool_names):
            self._start(call)

    def _start(self, call: _Call) -> None:
        if not call.name:
            raise MalformedReplyError("a tool call has no name")
        if self._taken_ids is None:
            self._taken_ids = set(self._earlier_call_ids())
        call_id = call.provider_id
        # Some servers count their calls anew in each answer; the contract needs ids that are unique in the conversation.
        if not call_id or len(call_id) > _LONGEST_CALL_ID or call_id in self._taken_ids:
            call_id = f"call_{uuid.uuid4().hex}"
        self._taken_ids.add(call_id)
        call.call_id = call_id
        call.started = True
        self._answer.start_call(call_id, call.name)


def _is_another(call: _Call, provider_id: str, name: str) -> bool:
    # Only a delta with a name can begin a call: servers are known that give each delta of one call an id of its own.
    if provider_id and call.provider_id and provider_id != call.provider_id:
        return True
    return call.has_arguments and name != call.name


def _arguments(value: Any) -> str:
    # Some servers give the object itself in place of its text.
    return orjson.dumps(value).decode() if isinstance(value, dict) else as_text(value, "tool_calls.function.arguments")


def _merge(fields: JsonObject, more: JsonObject) -> None:
    for key, value in more.items():
        present: Any = fields.get(key)
        if isinstance(present, dict) and isinstance(value, dict):
            _merge(cast("JsonObject", present), cast("JsonObject", value))
        else:
            fields[key] = value
