"""The kinds of calls of a soak: what each does, and how it may end."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import aiohttp
import grpc
import grpc.aio

from antiphon.api.completion.v1 import completion_service_pb2 as pb
from antiphon.api.core.v1.completion_pb2 import CompletionSpec
from antiphon.api.core.v1.message_pb2 import Message, Part, Role
from antiphon.api.model.v1 import model_service_pb2 as model_pb

if TYPE_CHECKING:
    import random
    import ssl
    from collections.abc import Awaitable, Callable

    from bench.pairing.servers import Running

COMPLETE = "/antiphon.api.completion.v1.CompletionService/Complete"
STREAM = "/antiphon.api.completion.v1.CompletionService/StreamComplete"
LIST_MODELS = "/antiphon.api.model.v1.ModelService/ListModels"
CHANNELS = 4
_PATIENCE_S = 30.0
# The workloads of the mock upstream: at once, after a while, and at the pace of a model.
_QUICK, _SLOW, _PACED = "bench/mock-t20-r0", "bench/mock-t20-r0-d400", "bench/mock-t40-r60"
_FRAME = struct.Struct(">BI")
_LAST_FRAME = 2


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of call.

    Attributes:
        name: What it is called in the report.
        share: How often it is made, in relation to the others.
        expected: The codes that it may end with.
        call: Makes it; returns the code that it ended with.
    """

    name: str
    share: float
    expected: frozenset[str]
    call: Callable[[random.Random], Awaitable[str]]


class Callers:
    """Both ports' clients, and the kinds of calls that they make.

    Attributes:
        kinds: What is called; those of the second port only where it answers.
    """

    def __init__(self, server: Running, trust: ssl.SSLContext | None) -> None:
        self._server = server
        self._trust = trust
        self._metadata = (("authorization", f"Bearer {server.key}"),) if server.key else ()
        self._channels = [self._channel() for _ in range(CHANNELS)]
        self._next = itertools.count()
        self._http = self._session()
        self._url = f"{'https' if server.authority else 'http'}://{server.http_address}"
        self.kinds = self._of_first_port()

    async def find_second_port(self) -> bool:
        """Adds the second port's kinds if it serves calls, and says so."""
        code = await self._json_unary(_QUICK)
        if code == "OK":
            self.kinds += self._of_second_port()
        return code == "OK"

    async def metrics(self) -> str:
        """Reads the server's metrics."""
        async with self._http.get(f"{self._url}/metrics", headers=dict(self._metadata)) as reply:
            return await reply.text()

    async def renew(self) -> None:
        """Replaces the oldest channel; calls on it may go on for a while."""
        oldest = self._channels.pop(0)
        self._channels.append(self._channel())
        await oldest.close(grace=5)

    async def rest(self) -> None:
        """Closes every idle connection of the second port, so that what the server holds can be compared."""
        await self._http.close()
        self._http = self._session()

    async def close(self) -> None:
        """Closes everything."""
        await asyncio.gather(self._http.close(), *(channel.close() for channel in self._channels))

    def _channel(self) -> grpc.aio.Channel:
        options = (("grpc.use_local_subchannel_pool", 1),)
        if self._server.authority is None:
            return grpc.aio.insecure_channel(self._server.address, options=options)
        credentials = grpc.ssl_channel_credentials(self._server.authority.read_bytes())
        return grpc.aio.secure_channel(self._server.address, credentials, options=options)

    def _session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=0) if self._trust is None else aiohttp.TCPConnector(limit=0, ssl=self._trust)
        return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=_PATIENCE_S))

    def _of_first_port(self) -> list[Kind]:
        ended, cancelled, late = frozenset({"OK"}), frozenset({"OK", "CANCELLED"}), frozenset({"DEADLINE_EXCEEDED"})
        kinds = [
            Kind("unary", 25, ended, lambda _: self._unary(_QUICK)),
            Kind("stream", 18, ended, lambda _: self._stream(_PACED)),
            Kind("stream with a merge window", 5, ended, lambda chance: self._stream(_PACED, window_ms=chance.randrange(10, 200))),
            Kind("models", 4, ended, lambda _: self._models()),
            Kind("unary, cancelled", 7, cancelled, lambda chance: self._cancelled(self._unary(_SLOW), chance.uniform(0, 0.5))),
            Kind("stream, cancelled", 9, cancelled, lambda chance: self._cancelled(self._stream(_PACED), chance.uniform(0, 0.7))),
            Kind("unary, too late", 3, late, lambda chance: self._unary(_SLOW, timeout_s=chance.uniform(0.05, 0.2))),
            Kind("stream, too late", 3, late, lambda chance: self._stream(_PACED, timeout_s=chance.uniform(0.1, 0.3))),
            Kind("no messages", 2, frozenset({"INVALID_ARGUMENT"}), lambda _: self._raw(pb.CompleteRequest().SerializeToString())),
            Kind("no request", 2, frozenset({"INVALID_ARGUMENT"}), lambda chance: self._raw(b"\xff" + chance.randbytes(20))),
            Kind("no such model", 2, frozenset({"NOT_FOUND"}), lambda _: self._unary("nowhere/none")),
        ]
        if self._metadata:
            refused = frozenset({"UNAUTHENTICATED"})
            kinds += [
                Kind("no credentials", 2, refused, lambda _: self._raw(b"", metadata=())),
                Kind("wrong credentials", 2, refused, lambda chance: self._raw(b"", metadata=(self._wrong(chance),))),
            ]
        return kinds

    def _of_second_port(self) -> list[Kind]:
        ended, cancelled = frozenset({"OK"}), frozenset({"OK", "CANCELLED"})
        kinds = [
            Kind("JSON unary", 6, ended, lambda _: self._json_unary(_QUICK)),
            Kind("JSON stream", 4, ended, lambda _: self._json_stream(_PACED)),
            Kind("JSON unary, cancelled", 2, cancelled, lambda chance: self._cancelled(self._json_unary(_SLOW), chance.uniform(0, 0.5))),
            Kind("JSON stream, cancelled", 3, cancelled, lambda chance: self._cancelled(self._json_stream(_PACED), chance.uniform(0, 0.7))),
            Kind("JSON without messages", 1, frozenset({"INVALID_ARGUMENT"}), lambda _: self._json_unary("bench/x", messages=[])),
        ]
        if self._metadata:
            refused = frozenset({"UNAUTHENTICATED"})
            kinds.append(
                Kind("JSON, wrong credentials", 1, refused, lambda chance: self._json_unary(_QUICK, headers=(self._wrong(chance),)))
            )
        return kinds

    def _wrong(self, chance: random.Random) -> tuple[str, str]:
        key = list(self._server.key)
        at = chance.randrange(len(key) - 20, len(key))
        key[at] = "A" if key[at] != "A" else "B"
        return "authorization", "Bearer " + "".join(key)

    def _on(self) -> grpc.aio.Channel:
        return self._channels[next(self._next) % len(self._channels)]

    async def _unary(self, model: str, timeout_s: float = _PATIENCE_S) -> str:
        request = pb.CompleteRequest(spec=_spec(model))
        return await self._raw(request.SerializeToString(), timeout_s=timeout_s, metadata=self._metadata)

    async def _raw(
        self, body: bytes, *, method: str = COMPLETE, timeout_s: float = _PATIENCE_S, metadata: tuple[tuple[str, str], ...] | None = None
    ) -> str:
        call = cast("Any", self._on()).unary_unary(method)
        try:
            await call(body, timeout=timeout_s, metadata=self._metadata if metadata is None else metadata)
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return "OK"

    async def _models(self) -> str:
        return await self._raw(model_pb.ListModelsRequest().SerializeToString(), method=LIST_MODELS)

    async def _stream(self, model: str, *, window_ms: int = 0, timeout_s: float = _PATIENCE_S) -> str:
        request = pb.StreamCompleteRequest(spec=_spec(model))
        if window_ms:
            request.merge_window.FromMilliseconds(window_ms)
        opened = cast("Any", self._on()).unary_stream(STREAM, response_deserializer=pb.StreamCompleteResponse.FromString)
        last = None
        call = opened(request.SerializeToString(), timeout=timeout_s, metadata=self._metadata)
        try:
            async for response in call:
                last = response
        except grpc.aio.AioRpcError as error:
            return error.code().name
        finally:
            call.cancel()
        return "OK" if last is not None and last.event.HasField("completed") else "BROKEN_OFF"

    async def _cancelled(self, call: Awaitable[str], after_s: float) -> str:
        task = asyncio.ensure_future(call)
        await asyncio.wait((task,), timeout=after_s)
        if task.cancel():
            with contextlib.suppress(asyncio.CancelledError):
                return await task
            return "CANCELLED"
        return task.result()

    async def _json_unary(
        self, model: str, *, messages: list[Any] | None = None, headers: tuple[tuple[str, str], ...] | None = None
    ) -> str:
        sent = dict(self._metadata if headers is None else headers)
        async with self._http.post(f"{self._url}{COMPLETE}", json={"spec": _json_spec(model, messages)}, headers=sent) as reply:
            body = await reply.read()
        if reply.status == 200:
            return "OK"
        try:
            return str(json.loads(body)["code"]).upper()
        except (ValueError, KeyError, TypeError):
            return f"HTTP_{reply.status}"

    async def _json_stream(self, model: str) -> str:
        body = json.dumps({"spec": _json_spec(model, None)}).encode()
        headers = {**dict(self._metadata), "Content-Type": "application/connect+json"}
        frames = _FRAME.pack(0, len(body)) + body
        async with self._http.post(f"{self._url}{STREAM}", data=frames, headers=headers) as reply:
            if reply.status != 200:
                return f"HTTP_{reply.status}"
            kept = False
            while True:
                flags, size = _FRAME.unpack(await reply.content.readexactly(_FRAME.size))
                message = json.loads(await reply.content.readexactly(size))
                if flags & _LAST_FRAME:
                    break
                kept = "completed" in message["event"]
        if "error" in message:
            return str(message["error"]["code"]).upper()
        return "OK" if kept else "BROKEN_OFF"


def _spec(model: str) -> CompletionSpec:
    return CompletionSpec(
        model=model, messages=[Message(role=Role.ROLE_USER, parts=[Part(text="Tell me how a stream of tokens travels.")])]
    )


def _json_spec(model: str, messages: list[Any] | None) -> dict[str, Any]:
    whole = [{"role": "ROLE_USER", "parts": [{"text": "Tell me how a stream of tokens travels."}]}]
    return {"model": model, "messages": whole if messages is None else messages}
