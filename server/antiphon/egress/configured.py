"""The HTTP client for endpoints that the operator configured: pooled, hot, closed by cancelling."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import aiohttp
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# One read takes what has arrived, at most this; aiohttp stops reading from the socket at twice as much.
READ_BUFFER_BYTES = 2**13


class EgressError(Exception):
    """The exchange broke before the reply was whole. The message holds no credential and can be shown.

    Attributes:
        connected: Whether a connection had been made, so that the request may have been worked on.
    """

    def __init__(self, message: str, *, connected: bool) -> None:
        super().__init__(message)
        self.connected = connected


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """One endpoint.

    Attributes:
        base_url: What every path is put behind, without a slash at its end.
        headers: Headers of every request, credentials among them; never shown.
        connect_timeout_s: How long making a connection may take.
        max_connections: The most connections at a time; more requests wait.
    """

    base_url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    connect_timeout_s: float = 10.0
    max_connections: int = 1000


class Response:
    """A reply whose head has arrived. Close it, whole or not: an unread body closes its connection."""

    __slots__ = ("_response", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    async def read(self, limit_bytes: int) -> bytes:
        """Returns the whole body.

        Raises:
            EgressError: The body broke off or is larger than the limit.
        """
        try:
            body = await self._response.content.read(limit_bytes + 1)
            while len(body) <= limit_bytes and not self._response.content.at_eof():
                body += await self._response.content.read(limit_bytes + 1 - len(body))
        except (aiohttp.ClientError, OSError) as error:
            raise EgressError("the reply broke off", connected=True) from error
        if len(body) > limit_bytes:
            raise EgressError(f"the reply is larger than {limit_bytes} bytes", connected=True)
        return body

    async def next_chunk(self, window_s: float = 0) -> bytes:
        """Returns all of the body that has arrived since the time before, or waits for more; nothing at its end.

        A coroutine and no generator, because a generator more is paid for with each token.

        Args:
            window_s: How long to leave what arrives unread first, in seconds.

        Raises:
            EgressError: The body broke off.
        """
        try:
            if window_s:
                await self._leave_unread(window_s)
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise EgressError("the reply broke off", connected=True) from error

    async def _leave_unread(self, window_s: float) -> None:
        """Waits without reading from the socket: the kernel gathers what arrives, and the next read costs once for all of it.

        Waits end on common ticks of the loop's clock, so that the streams of one window wake together and share the loop's and the transport's
        own work. A wait is never longer than the window.
        """
        connection = self._response.connection
        protocol = connection.protocol if connection is not None else None
        if protocol is None:
            return  # the reply is whole: nothing more can arrive
        protocol.pause_reading()
        try:
            await asyncio.sleep(window_s - asyncio.get_running_loop().time() % window_s)
        finally:
            protocol.resume_reading()

    def close(self) -> None:
        """Releases the connection: back to the pool when the body was read to its end, closed otherwise."""
        self._response.close()


class Endpoint:
    """One endpoint's client."""

    def __init__(self, settings: EndpointSettings, context_headers: Callable[[], Mapping[str, str]] | None = None) -> None:
        """Makes the client; nothing is connected yet.

        Args:
            settings: The endpoint.
            context_headers: Makes the headers by which a request continues the current trace; None where nothing is traced.
        """
        self._settings = settings
        self._context_headers = context_headers
        self._session: aiohttp.ClientSession | None = None
        self._urls: dict[str, URL] = {}  # a few fixed paths; reading one costs more than asking for it

    async def post(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> Response:
        """Sends JSON and returns when the reply's head has arrived.

        Raises:
            EgressError: No reply came.
        """
        return await self._request("POST", path, body, {"Content-Type": "application/json", **(headers or {})})

    async def get(self, path: str) -> Response:
        """Asks and returns when the reply's head has arrived.

        Raises:
            EgressError: No reply came.
        """
        return await self._request("GET", path, None, {})

    async def close(self) -> None:
        """Closes all connections; calls in progress break off."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _request(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Response:
        url = self._urls.get(path)
        if url is None:
            url = self._urls[path] = URL(self._settings.base_url + path, encoded=True)
        if self._context_headers is not None:
            headers = {**headers, **self._context_headers()}
        try:
            response = await self._open().request(method, url, data=body, headers=headers, allow_redirects=False)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise EgressError(_connect_message(error), connected=False) from error
        except (aiohttp.ClientError, OSError) as error:
            raise EgressError("the connection broke before a reply", connected=True) from error
        return Response(response)

    def _open(self) -> aiohttp.ClientSession:
        # Made at first use, because a session belongs to the loop that runs then.
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers=self._settings.headers,
                connector=aiohttp.TCPConnector(limit=self._settings.max_connections, keepalive_timeout=60),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._settings.connect_timeout_s),
                read_bufsize=READ_BUFFER_BYTES,
                auto_decompress=True,
                skip_auto_headers=("User-Agent",),
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


class EndpointFactory(Protocol):
    """Makes the client of an endpoint."""

    def __call__(self, settings: EndpointSettings) -> Endpoint:
        """Makes it; nothing is connected yet."""
        ...


def _connect_message(error: Exception) -> str:
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return "the connection was not made in time"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the host's name could not be resolved"
    if isinstance(error, (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError, ssl.SSLError)):
        return "the TLS handshake failed"
    if isinstance(error, aiohttp.InvalidURL):
        return "the configured address is not valid"
    return "the connection was refused"
