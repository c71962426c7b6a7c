"""Replies below the API: what goes wrong on the wire; and what was received."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

# `struct linger` with no time left: closing then sends RST and forgets what was not sent.
_LINGER_NOT = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Raw:
    """A reply of these bytes and this type, whatever was asked."""

    body: bytes
    content_type: str | None = "text/event-stream"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Silence:
    """No reply at all while the client waits."""


@dataclass(frozen=True, slots=True)
class HangUp:
    """The connection ends in the place of a reply.

    Attributes:
        bytes_before: Sent first, as they are, below HTTP.
        reset: Whether it ends by RST, which may overtake those bytes; otherwise by FIN.
    """

    bytes_before: bytes = b""
    reset: bool = True


@dataclass(slots=True)
class RecordedRequest:
    """One request, and what became of its connection.

    Attributes:
        received_s: When its body had arrived, on the monotonic clock.
        first_event_s: When the first event of a stream was written; None before.
        disconnected_s: When the client was seen to have gone away before the reply was whole; None where it stayed.
        sent_events: How many events of a stream were written.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    raw_body: bytes
    received_s: float = field(default_factory=time.monotonic)
    first_event_s: float | None = None
    disconnected_s: float | None = None
    sent_events: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    @property
    def body(self) -> dict[str, Any]:
        """The body as JSON."""
        return json.loads(self.raw_body)

    def mark_disconnected(self) -> None:
        """Keeps the time."""
        if self.disconnected_s is None:
            self.disconnected_s = time.monotonic()
            self.gone.set()


def hang_up(request: web.Request) -> None:
    """Ends the connection as if the process had ended: what was written arrives, the rest of the reply never does."""
    if request.transport is not None:
        request.transport.close()


def reset(request: web.Request) -> None:
    """Resets the connection."""
    transport = request.transport
    if transport is None:
        return
    client: socket.socket | None = transport.get_extra_info("socket")
    if client is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    transport.abort()
