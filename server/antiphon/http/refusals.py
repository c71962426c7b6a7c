"""A status as Connect's clients, browsers and people at a terminal read it."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from connectrpc.code import Code
from connectrpc.errors import ConnectError, ErrorDetail
from google.protobuf import json_format
from google.rpc import code_pb2
from protobuf.wkt import Any as PackedDetail
from protobuf.wkt import Struct

from antiphon.http.asgi import respond

if TYPE_CHECKING:
    from google.protobuf.any_pb2 import Any as AnyMessage
    from google.rpc.status_pb2 import Status

    from antiphon.http.asgi import Headers, Send

JSON: tuple[bytes, bytes] = (b"content-type", b"application/json")
_CODES = {number: Code.CANCELED if name == "CANCELLED" else Code(name.lower()) for name, number in code_pb2.Code.items() if number}
# As the Connect protocol has it.
_HTTP = {
    Code.CANCELED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
    Code.UNAUTHENTICATED: 401,
}


class _Detail(ErrorDetail):
    """A detail of a status, with its content for people beside its bytes."""

    def __init__(self, packed: AnyMessage) -> None:
        super().__init__(PackedDetail(type_url=packed.type_url, value=packed.value))
        self._readable = packed

    def value(self, *_: Any) -> Any:
        """Returns what stands in the `debug` of Connect's JSON."""
        return Struct.from_json(json.dumps(_readable(self._readable)))


def connect_error(status: Status) -> ConnectError:
    """Returns a status as connectrpc raises and writes it, with all its details."""
    return ConnectError(_CODES[status.code], status.message, [_Detail(detail) for detail in status.details])


async def refuse(send: Send, status: Status, http_status: int | None = None, headers: Headers | None = None) -> None:
    """Answers what is no call of a method with a status, in Connect's form of it."""
    code = _CODES[status.code]
    details = [
        {
            "type": detail.type_url.rpartition("/")[2],
            "value": base64.b64encode(detail.value).decode().rstrip("="),
            "debug": _readable(detail),
        }
        for detail in status.details
    ]
    body = json.dumps({"code": code.value, "message": status.message, "details": details}, ensure_ascii=False).encode()
    await respond(send, http_status or _HTTP[code], [JSON, *(headers or [])], body)


def _readable(packed: AnyMessage) -> dict[str, Any]:
    readable = json_format.MessageToDict(packed)
    readable.pop("@type", None)
    return readable
