"""The contract's own rules, enforced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import protovalidate

from antiphon.errors import FieldViolation, InvalidRequestError, Reason

if TYPE_CHECKING:
    from antiphon.rpc.call import Handler, IncomingCall, Send

_MOST_VIOLATIONS = 16


class Validation:
    """Holds each request against the `buf.validate` rules of its type."""

    def __init__(self) -> None:
        self._validator = protovalidate.Validator()

    async def __call__(self, call: IncomingCall, send: Send, rest: Handler) -> None:
        """Checks the call's request.

        Raises:
            InvalidRequestError: Fields break rules (INVALID_FIELD); each of the first 16 is named.
        """
        try:
            self._validator.validate(call.request)
        except protovalidate.ValidationError as error:
            raise _refusal(error) from None
        await rest(call, send)


def _refusal(error: protovalidate.ValidationError) -> InvalidRequestError:
    violations = [
        FieldViolation(_path(violation.proto.field), violation.proto.message, violation.proto.rule_id)
        for violation in error.violations[:_MOST_VIOLATIONS]
    ]
    first = violations[0]
    more = f" (and {len(error.violations) - 1} more)" if len(error.violations) > 1 else ""
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
