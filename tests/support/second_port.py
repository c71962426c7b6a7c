"""A client of the second port that writes its requests and reads its answers by hand: what it sees is what is on the wire."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import grpc
from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.status_pb2 import Status

from antiphon.api.completion.v1 import completion_service_pb2
from antiphon.api.health.v1 import health_service_pb2
from antiphon.api.model.v1 import model_service_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiohttp
    from google.protobuf.message import Message

CONNECT_PROTO, CONNECT_JSON, GRPC_WEB = "connect proto", "connect JSON", "grpc-web"
FORMS = (CONNECT_PROTO, CONNECT_JSON, GRPC_WEB)
STREAMING = frozenset(
    f"/{service.full_name}/{method.name}"
    for file in (completion_service_pb2, health_service_pb2, model_service_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
    if method.server_streaming
)
CODES = {("canceled" if code is grpc.StatusCode.CANCELLED else code.name.lower()): code for code in grpc.StatusCode}
_BY_NUMBER = {code.value[0]: code for code in grpc.StatusCode}


class CannotBeWrittenError(Exception):
    """A request that this form has no way to write."""


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        http_status: The response's.
        headers: The response's, in lower case.
        messages: The answers, as bytes.
        code: How the call ended.
        status: The same with its details; its code is 0 where it went well.
    """

    http_status: int
    headers: Mapping[str, str]
    messages: list[bytes]
    code: grpc.StatusCode
    status: Status


class SecondPort:
    """Calls methods in one of the forms."""

    def __init__(self, session: aiohttp.ClientSession, url: str, form: str) -> None:
        self._session = session
        self._url = url
        self._form = form

    def written(self, request: Message | bytes) -> bytes:
        """Returns a request as this form writes it, without its envelope."""
        if isinstance(request, bytes):
            return request
        if self._form != CONNECT_JSON:
            return request.SerializeToString()
        try:
            return json_format.MessageToJson(request, indent=None, ensure_ascii=False).encode()
        except json_format.Error as error:
            raise CannotBeWrittenError(str(error)) from error

    async def call(
        self, method: str, request: Message | bytes, *, timeout_s: float | None = 20, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Calls a method and reads all that comes back."""
        streams = method in STREAMING
        body = self.written(request)
        sent = {"content-type": content_type(self._form, streams=streams), **timeout(self._form, timeout_s), **(headers or {})}
        if self._form == GRPC_WEB or streams:
            body = envelope(body)
        async with self._session.post(self._url + method, data=io.BytesIO(body), headers=sent) as response:
            received = await response.read()
            return read_answer(response.status, {key.lower(): value for key, value in response.headers.items()}, received)


def content_type(form: str, *, streams: bool) -> str:
    """Returns the content type of a call in this form."""
    if form == GRPC_WEB:
        return "application/grpc-web+proto"
    encoding = "json" if form == CONNECT_JSON else "proto"
    return f"application/connect+{encoding}" if streams else f"application/{encoding}"


def timeout(form: str, timeout_s: float | None) -> dict[str, str]:
    """Returns the header that tells a deadline."""
    if timeout_s is None:
        return {}
    return {"grpc-timeout": f"{round(timeout_s * 1000)}m"} if form == GRPC_WEB else {"connect-timeout-ms": str(round(timeout_s * 1000))}


def envelope(message: bytes, flags: int = 0) -> bytes:
    """Puts a message behind its flags and length."""
    return bytes([flags]) + len(message).to_bytes(4, "big") + message


def opened(body: bytes) -> list[tuple[int, bytes]]:
    """Returns the flags and the content of each envelope."""
    found: list[tuple[int, bytes]] = []
    while body:
        size = int.from_bytes(body[1:5], "big")
        assert len(body) >= 5 + size, "the body ends within an envelope"
        found.append((body[0], body[5 : 5 + size]))
        body = body[5 + size :]
    return found


def read_answer(http_status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    """Reads a response of any of the forms, by its content type."""
    kind = headers.get("content-type", "")
    if kind.startswith("application/grpc-web-text"):
        body = b"".join(base64.b64decode(part + b"=" * (-len(part) % 4)) for part in body.replace(b"=", b"= ").split() if part != b"=")
    if kind.startswith("application/grpc-web"):
        messages = [content for flags, content in opened(body) if not flags & 0x80]
        trailers = dict(
            line.split(": ", 1) for flags, content in opened(body) if flags & 0x80 for line in content.decode().split("\r\n") if line
        )
        status = Status.FromString(base64.b64decode(trailers.get("grpc-status-details-bin", "") + "==="))
        code = _BY_NUMBER[int(trailers["grpc-status"])]
        assert status.code == code.value[0]
        assert status.message == unquote(trailers.get("grpc-message", ""))
        return Answer(http_status, headers, messages, code, status)
    if kind.startswith("application/connect+"):
        *messages, (flags, end) = opened(body)
        assert flags == 2
        code, status = read_error(json.loads(end).get("error"))
        return Answer(http_status, headers, [content for _, content in messages], code, status)
    if http_status != 200:
        code, status = read_error(json.loads(body))
        return Answer(http_status, headers, [], code, status)
    return Answer(http_status, headers, [body], grpc.StatusCode.OK, Status())


def read_error(error: dict[str, Any] | None) -> tuple[grpc.StatusCode, Status]:
    """Reads an error as Connect writes it."""
    if error is None:
        return grpc.StatusCode.OK, Status()
    code = CODES[error["code"]]
    status = Status(code=code.value[0], message=error.get("message", ""))
    for detail in error.get("details", []):
        status.details.append(AnyMessage(type_url=f"type.googleapis.com/{detail['type']}", value=base64.b64decode(detail["value"] + "===")))
    return code, status
