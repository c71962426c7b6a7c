"""What the head of a request says about the call in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from antiphon.calls.call import Encoding
from antiphon.errors import InvalidRequestError, NotFoundError, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from antiphon.calls.call import RpcMethod
    from antiphon.errors import AntiphonError
    from antiphon.http.asgi import Scope


class Wire(Enum):
    """How a call and its answers are written."""

    CONNECT_UNARY = "connect"
    CONNECT_STREAM = "connect stream"
    GRPC_WEB = "grpc-web"
    # The same in base64, for browsers that give a page nothing but text.
    GRPC_WEB_TEXT = "grpc-web-text"

    @property
    def is_web(self) -> bool:
        """Whether it is gRPC-Web, in whichever of its forms."""
        return self in {Wire.GRPC_WEB, Wire.GRPC_WEB_TEXT}


_COMPRESSION = {
    Wire.CONNECT_UNARY: "content-encoding",
    Wire.CONNECT_STREAM: "connect-content-encoding",
    Wire.GRPC_WEB: "grpc-encoding",
    Wire.GRPC_WEB_TEXT: "grpc-encoding",
}
_CONTENT_TYPES = {
    "application/proto": (Wire.CONNECT_UNARY, Encoding.PROTO),
    "application/json": (Wire.CONNECT_UNARY, Encoding.JSON),
    "application/connect+proto": (Wire.CONNECT_STREAM, Encoding.PROTO),
    "application/connect+json": (Wire.CONNECT_STREAM, Encoding.JSON),
    "application/grpc-web": (Wire.GRPC_WEB, Encoding.PROTO),
    "application/grpc-web+proto": (Wire.GRPC_WEB, Encoding.PROTO),
    "application/grpc-web+json": (Wire.GRPC_WEB, Encoding.JSON),
    "application/grpc-web-text": (Wire.GRPC_WEB_TEXT, Encoding.PROTO),
    "application/grpc-web-text+proto": (Wire.GRPC_WEB_TEXT, Encoding.PROTO),
}
_UNARY_TYPES = "application/json or application/proto"
_STREAM_TYPES = "application/connect+json or application/connect+proto"
_MILLISECONDS = re.compile(r"[0-9]{1,10}", re.ASCII)
_GRPC_TIMEOUT = re.compile(r"([0-9]{1,8})([HMSmun])", re.ASCII)
_UNITS_S = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_SHOWN = 64


@dataclass(frozen=True, slots=True)
class Head:
    """A request's head, as far as it concerns a call.

    Attributes:
        wire: How the call is written.
        encoding: How its messages are.
        metadata: All headers; the values of one that came more than once are joined by commas.
        time_left_s: What is left of the caller's deadline, in seconds; None means no deadline.
        compressed: Whether the request may be compressed, by gzip.
        content_length: What the head says of the body's size in bytes; None where it says nothing.
        problem: Why the call is refused; None where nothing is wrong.
        http_status: The status of an answer by Connect's unary protocol; None where the problem's code says it.
    """

    wire: Wire
    encoding: Encoding
    metadata: Mapping[str, str]
    time_left_s: float | None = None
    compressed: bool = False
    content_length: int | None = None
    problem: AntiphonError | None = None
    http_status: int | None = None


def read_head(scope: Scope, method: RpcMethod, *, known: bool) -> Head:
    """Reads a head. What is wrong with it is told in its `problem`, because it is told to nobody who may not call.

    Args:
        scope: The request.
        method: What is called.
        known: Whether there is such a method.
    """
    metadata = joined(scope["headers"])
    content_type = metadata.get("content-type", "").partition(";")[0].strip().lower()
    found = _CONTENT_TYPES.get(content_type)
    problem, http_status = None, None if known else 404
    if scope["method"] != "POST" and known:
        problem, http_status = _wrong_method(scope["method"]), 405
    elif found is None or (known and _misplaced(found[0], method)):
        problem, http_status = _wrong_type(content_type, method), 415 if known else 404
        # An answer in a form that the caller asked for where it cannot be had would not be read.
        found = None
    wire, encoding = found or (Wire.CONNECT_UNARY, Encoding.JSON)
    time_left_s = None
    compressed = False
    try:
        time_left_s = _time_left_s(wire, metadata)
        compressed = _is_compressed(wire, metadata)
    except InvalidRequestError as error:
        problem = problem or error
    length = metadata.get("content-length", "")
    content_length = int(length) if length.isascii() and length.isdigit() and len(length) < 20 else None
    return Head(wire, encoding, metadata, time_left_s, compressed, content_length, problem, http_status)


def joined(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Returns headers as text; the values of one that came more than once are joined by commas, as HTTP has it."""
    texts: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        texts[name] = f"{texts[name]}, {value}" if name in texts else value
    return texts


def _misplaced(wire: Wire, method: RpcMethod) -> bool:
    return (wire is Wire.CONNECT_UNARY and method.server_streaming) or (wire is Wire.CONNECT_STREAM and not method.server_streaming)


def _wrong_method(http_method: str) -> NotFoundError:
    return NotFoundError(Reason.ERROR_REASON_METHOD_NOT_FOUND, f"methods are called by POST, not by {http_method[:_SHOWN]!r}")


def _wrong_type(content_type: str, method: RpcMethod) -> InvalidRequestError:
    taken = _STREAM_TYPES if method.server_streaming else _UNARY_TYPES
    told = f"the content type is {content_type[:_SHOWN]!r}" if content_type else "there is no content type"
    return _malformed(f"{told}; this method takes {taken}, or application/grpc-web+proto. gRPC is spoken at the gRPC port")


def _time_left_s(wire: Wire, metadata: Mapping[str, str]) -> float | None:
    if wire.is_web:
        if (text := metadata.get("grpc-timeout")) is None:
            return None
        if found := _GRPC_TIMEOUT.fullmatch(text):
            return int(found[1]) * _UNITS_S[found[2]]
        raise _malformed(f"grpc-timeout is {text[:_SHOWN]!r}; at most eight digits and a unit of H, M, S, m, u, n are taken")
    if metadata.get("connect-protocol-version", "1") != "1":
        raise _malformed(f"connect-protocol-version is {metadata['connect-protocol-version'][:_SHOWN]!r}; only '1' is spoken")
    if (text := metadata.get("connect-timeout-ms")) is None:
        return None
    if _MILLISECONDS.fullmatch(text):
        return int(text) / 1000
    raise _malformed(f"connect-timeout-ms is {text[:_SHOWN]!r}; at most ten digits are taken")


def _is_compressed(wire: Wire, metadata: Mapping[str, str]) -> bool:
    named = _COMPRESSION[wire]
    for header in {named, "content-encoding"}:
        compression = metadata.get(header) or "identity"
        if compression != "identity" and not (compression == "gzip" and header == named):
            raise _malformed(f"{header} is {compression[:_SHOWN]!r}; a request may be compressed by gzip, as {named} says, or not at all")
    return metadata.get(named) == "gzip"


def _malformed(message: str) -> InvalidRequestError:
    return InvalidRequestError(Reason.ERROR_REASON_UNDECODABLE_REQUEST, message)
