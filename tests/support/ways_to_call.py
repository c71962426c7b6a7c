"""The ways in: one call by one protocol, whatever its method, and how it ended."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

import aiohttp
import grpc
from google.rpc.error_details_pb2 import ErrorInfo

from tests.support.serving import failure_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.serving import ServerUnderTest

    Headers = Sequence[tuple[str, str]]

_END_OF_STREAM = 0x02
_TIMEOUT_S = 20


@dataclass(frozen=True)
class Outcome:
    """How a call ended, as far as its caller was told; `OK` once the first message is there.

    Attributes:
        code: The status code's name.
        reason: The contract's reason; empty where none was sent.
        metadata: Facts beside it.
        message: The status message.
    """

    code: str
    reason: str = ""
    metadata: tuple[tuple[str, str], ...] = ()
    message: str = ""

    @property
    def told(self) -> tuple[str, str]:
        """Code and reason."""
        return (self.code, self.reason)


class Way(Protocol):
    """One way to call a server."""

    async def call(self, method: str, headers: Headers, *, streaming: bool) -> Outcome:
        """Calls a method with an empty request; a call that answers is left after its first message.

        Args:
            method: The full name, as in `/antiphon.api.model.v1.ModelService/GetModel`.
            headers: What the call carries.
            streaming: Whether the method answers in a stream.
        """
        ...


class GrpcWay:
    """gRPC, on the first port."""

    def __init__(self, server: ServerUnderTest) -> None:
        self._channel = cast("Any", server.channel)

    async def call(self, method: str, headers: Headers, *, streaming: bool) -> Outcome:
        # On the wire one answer is a stream of one. The request goes out with the head: a client that sends it afterwards, and meets a refusal that came
        # first, is told INTERNAL by its own runtime.
        del streaming
        call = self._channel.unary_stream(method)(b"", metadata=tuple(headers), timeout=_TIMEOUT_S)
        try:
            await call.read()
            if call.done():
                await call.wait_for_connection()
                return Outcome((await call.code()).name)
        except grpc.aio.AioRpcError as error:
            failure = failure_of(error)
            return Outcome(failure.code.name, failure.reason, tuple(failure.metadata.items()), failure.message)
        call.cancel()
        return Outcome("OK")


class ConnectWay:
    """The Connect protocol, on the second port."""

    def __init__(self, server: ServerUnderTest) -> None:
        self._url = server.http_url

    async def call(self, method: str, headers: Headers, *, streaming: bool) -> Outcome:
        kind, body = ("application/connect+proto", bytes(5)) if streaming else ("application/proto", b"")
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        sent = [*headers, ("content-type", kind), ("connect-protocol-version", "1")]
        async with aiohttp.ClientSession(timeout=timeout) as session, session.post(self._url + method, data=body, headers=sent) as response:
            if not streaming:
                return Outcome("OK") if response.status == 200 else _outcome(json.loads(await response.read()))
            assert (200, kind) == (response.status, response.content_type)
            head = await response.content.readexactly(5)
            if not head[0] & _END_OF_STREAM:
                return Outcome("OK")
            end = json.loads(await response.content.readexactly(int.from_bytes(head[1:])))
            return _outcome(end["error"]) if "error" in end else Outcome("OK")


def _outcome(error: dict[str, Any]) -> Outcome:
    """Reads an error as the Connect protocol writes it."""
    info = ErrorInfo()
    for detail in error.get("details", []):
        if detail["type"] == "google.rpc.ErrorInfo":
            value = detail["value"]
            info.ParseFromString(base64.b64decode(value + "=" * (-len(value) % 4)))
    return Outcome(error["code"].upper(), info.reason, tuple(info.metadata.items()), error.get("message", ""))
