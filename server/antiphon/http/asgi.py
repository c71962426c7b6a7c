"""What uvicorn and the applications of this port say to each other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

# What a connection notes in the `state` of its requests' scopes: the names in the client's certificate, and how the connection is cut.
CERTIFICATE_NAMES = "certificate_names"
ABORT = "abort"


def certificate_names(scope: Scope) -> tuple[str, ...]:
    """Returns the names in the client's certificate; none without one."""
    return scope.get("state", {}).get(CERTIFICATE_NAMES, ())


async def respond(send: Send, http_status: int, headers: Headers, body: bytes) -> None:
    """Sends a whole response."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": http_status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})
