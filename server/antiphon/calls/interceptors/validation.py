"""The contract's own rules, enforced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import protovalidate

from antiphon.errors import FieldViolation, InvalidRequestError, Reason
from antiphon.event_loop import beside_loop

if TYPE_CHECKING:
    from antiphon.calls.call import Handler, IncomingCall, Send

_MOST_VIOLATIONS = 16
# Telling of a violation costs far more than finding it, and a request can hold one every two bytes: only a short one is told all its violations.
_ALL_TOLD_BYTES = 2048


class Validation:
    """Holds each request against the `buf.validate` rules of its type."""

    def __init__(self) -> None:
        self._validator = protovalidate.Validator()

    async def __call__(self, call: IncomingCall, send: Send, rest: Handler) -> None:
        """Checks the call's request.

        Raises:
            InvalidRequestError: Fields break rules (INVALID_FIELD); each of the first 16 of a request of at most 2 KiB is named, the first of a
                longer one.
        """
        size_bytes = call.request.ByteSize()
        found = await beside_loop(size_bytes, self._validator.collect_violations, call.request, fail_fast=True)
        if found and size_bytes <= _ALL_TOLD_BYTES:
            found = self._validator.collect_violations(call.request)
        if found:
            raise _refusal(found)
        await rest(call, send)


def _refusal(found: list[protovalidate.Violation]) -> InvalidRequestError:
    violations = [
        FieldViolation(_path(violation.proto.field), violation.proto.message, violation.proto.rule_id)
        for violation in found[:_MOST_VIOLATIONS]
    ]
    first = violations[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return InvalidRequestError(Reason.ERROR_REASON_INVALID_FIELD, f"{first.field}: {first.description}{more}", violations=violations)


def _path(field: Any) -> str:
    """Spells a field path as in `spec.messages[2].role`."""
    steps: list[str] = []
    for element in field.elements if field is not None else ():
        subscript = element.subscript
        if subscript is None:
            steps.append(element.field_name)
        elif isinstance(subscript.value, str):
            steps.append(f'{element.field_name}["{subscript.value}"]')
        else:
            steps.append(f"{element.field_name}[{subscript.value}]")
    return ".".join(steps)
