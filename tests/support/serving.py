"""A whole server in the test's own loop, on ports of its own."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import grpc
import yaml
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from antiphon.api.completion.v1 import completion_service_pb2 as completion_pb
from antiphon.api.core.v1.error_pb2 import ProviderError
from antiphon.app import Application
from antiphon.config import load
from antiphon.plugins import load_provider_types

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from antiphon.api.core.v1.event_pb2 import Event
    from antiphon.plugins import ProviderType

Response = TypeVar("Response", bound=Message)
# Found once, before any event loop runs: looking for packages blocks.
INSTALLED = load_provider_types()
COMPLETION = "/antiphon.api.completion.v1.CompletionService"


@dataclass(frozen=True)
class Failure:
    """A call's closing status, details unpacked."""

    code: grpc.StatusCode
    message: str
    reason: str
    metadata: dict[str, str]
    fields: list[str]
    retry_after_s: float | None
    provider_error: ProviderError | None


def failure_of(error: grpc.aio.AioRpcError) -> Failure:
    """Unpacks a failed call's status."""
    trailer = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    return failure(error.code(), error.details() or "", Status.FromString(cast("bytes", trailer)))


def failure(code: grpc.StatusCode, message: str, status: Status) -> Failure:
    """Unpacks a status's details."""
    info, bad_request, retry, provider = ErrorInfo(), BadRequest(), RetryInfo(), ProviderError()
    found = {
        type(one): detail.Unpack(one)
        for detail in status.details
        for one in (info, bad_request, retry, provider)
        if detail.Is(one.DESCRIPTOR)  # pyright: ignore[reportArgumentType]  # the stubs keep two classes of descriptors apart
    }
    return Failure(
        code=code,
        message=message,
        reason=info.reason,
        metadata=dict(info.metadata),
        fields=[violation.field for violation in bad_request.field_violations],
        retry_after_s=retry.retry_delay.ToTimedelta().total_seconds() if RetryInfo in found else None,
        provider_error=provider if ProviderError in found else None,
    )


class ServerUnderTest:
    """A running server and a channel to it."""

    def __init__(self, application: Application, channel: grpc.aio.Channel) -> None:
        self.application = application
        self.channel = channel
        self.target = f"127.0.0.1:{application.rpc.port}"
        self.http_url = f"http://127.0.0.1:{application.http.port}"

    async def unary(self, method: str, request: Message | bytes, response: type[Response], *, timeout_s: float | None = 20) -> Response:
        """Calls a unary method."""
        call = self.channel.unary_unary(method, request_serializer=_to_bytes, response_deserializer=response.FromString)
        return await call(request, timeout=timeout_s)

    async def raw(self, method: str, body: bytes, metadata: Sequence[tuple[str, str | bytes]] = ()) -> bytes:
        """Calls a unary method with metadata; bytes in, bytes out."""
        call = cast("Any", self.channel).unary_unary(method)
        return await call(body, metadata=tuple(metadata), timeout=20)

    def stream(self, method: str, request: Message | bytes, response: type[Response], *, timeout_s: float | None = 20) -> Any:
        """Calls a server-streaming method; the call can be iterated and cancelled."""
        call = self.channel.unary_stream(method, request_serializer=_to_bytes, response_deserializer=response.FromString)
        return cast("AsyncIterator[Response]", call(request, timeout=timeout_s))

    async def complete(self, request: completion_pb.CompleteRequest, *, timeout_s: float | None = 20) -> completion_pb.CompleteResponse:
        """Calls CompletionService.Complete."""
        return await self.unary(f"{COMPLETION}/Complete", request, completion_pb.CompleteResponse, timeout_s=timeout_s)

    async def events(self, request: completion_pb.StreamCompleteRequest, *, timeout_s: float | None = 20) -> list[Event]:
        """Calls CompletionService.StreamComplete and returns all its events."""
        call = self.stream(f"{COMPLETION}/StreamComplete", request, completion_pb.StreamCompleteResponse, timeout_s=timeout_s)
        return [response.event async for response in call]

    async def refused(self, method: str, request: Message | bytes, *, timeout_s: float | None = 20) -> Failure:
        """Calls a method that must fail; returns how."""
        call = cast("Any", self.channel).unary_stream(method, request_serializer=_to_bytes, response_deserializer=None)
        try:
            async for _ in call(request, timeout=timeout_s):
                pass
        except grpc.aio.AioRpcError as error:
            return failure_of(error)
        raise AssertionError("the call went well")


@asynccontextmanager
async def serving(
    folder: Path, settings: Mapping[str, Any], kinds: Mapping[str, ProviderType] | None = None
) -> AsyncGenerator[ServerUnderTest, None]:
    """Runs a server with the settings, on free ports."""
    document = {**settings, "server": {"grpc_port": 0, "http_port": 0, "drain_grace_s": 2, **settings.get("server", {})}}
    document.setdefault("log", {"level": "error", "access": False})
    file = folder / "antiphon.yaml"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    kinds = INSTALLED if kinds is None else kinds
    application = Application(load(kinds, file=file, environment={}), kinds)
    await application.start()
    try:
        options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{application.rpc.port}", options=options) as channel:
            yield ServerUnderTest(application, channel)
    finally:
        await application.close()


def _to_bytes(request: Message | bytes) -> bytes:
    return request if isinstance(request, bytes) else request.SerializeToString()
