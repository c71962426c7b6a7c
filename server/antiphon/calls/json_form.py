"""Requests written as JSON, by protobuf's own mapping: for browsers and curl."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from google.protobuf import json_format

from antiphon.errors import InvalidRequestError, Reason

if TYPE_CHECKING:
    from google.protobuf.message import Message

_MOST_DEPTH = 64
_LONGEST_COMPLAINT = 300
# One pass from left to right: a text, of which what it holds does not count, or what begins or parts a value. A text that never ends takes all that is left,
# or each quotation mark in it would be tried as a beginning.
_TOKENS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|([,\[{])', re.DOTALL)
# What the runtime's parser raises at one thing or another that a caller may write, beside the error it has for that.
_COMPLAINTS = (json_format.ParseError, ValueError, TypeError, AttributeError, KeyError, OverflowError, RecursionError)


def elements_beyond(body: bytes, most: int) -> bool:
    """Says whether a JSON text has more values than so many, those inside others included.

    It is asked before anything is made of the text: a value takes two bytes of it and some hundred once it is read.
    """
    if body.count(b",") + body.count(b"[") + body.count(b"{") <= most:
        return False
    count = 0
    for token in _TOKENS.finditer(body):
        count += token.lastindex is not None
        if count > most:
            return True
    return False


def parse(body: bytes, request_type: type[Message]) -> Message:
    """Makes a request of a JSON text.

    Raises:
        InvalidRequestError: It is no JSON, or no request (UNDECODABLE_REQUEST), or holds a field that nobody knows (UNKNOWN_FIELD).
    """
    request = request_type()
    # The parser takes an empty list or text for a message without fields.
    if not body.lstrip().startswith(b"{"):
        raise _undecodable(request, "it begins with no `{`")
    try:
        json_format.Parse(body.decode(), request, ignore_unknown_fields=False, max_recursion_depth=_MOST_DEPTH)
        # What the parser lets pass and no message can hold shows here.
        request.SerializeToString()
    except UnicodeDecodeError:
        raise _undecodable(request, "the text is not in UTF-8") from None
    except RecursionError:
        raise _undecodable(request, "it is nested too deep") from None
    except _COMPLAINTS as error:
        # The rest of it lists all fields that there are.
        complaint = str(error).partition("\n")[0][:_LONGEST_COMPLAINT]
        if "has no field named" in complaint:
            raise InvalidRequestError(
                Reason.ERROR_REASON_UNKNOWN_FIELD, f"the request holds a field that this server does not know: {complaint}"
            ) from None
        raise _undecodable(request, complaint) from None
    return request


def _undecodable(request: Message, why: str) -> InvalidRequestError:
    return InvalidRequestError(Reason.ERROR_REASON_UNDECODABLE_REQUEST, f"the text is no {request.DESCRIPTOR.full_name} in JSON; {why}")
