"""Sends the events of a stream the way its delivery says, up to where it goes wrong."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

from tests.simulators.openai.transport import hang_up, reset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp import web

    from tests.simulators.openai.answers import Delivery
    from tests.simulators.openai.transport import RecordedRequest

_ERROR = {
    "error": {"message": "The server had an error while processing your request.", "type": "server_error", "param": None, "code": None}
}


class StreamSender:
    """Sends one stream."""

    def __init__(self, request: web.Request, response: web.StreamResponse, delivery: Delivery, record: RecordedRequest) -> None:
        self._request = request
        self._response = response
        self._delivery = delivery
        self._record = record
        self._held = bytearray()

    async def send(self, chunks: Iterator[dict[str, Any]]) -> None:
        """Sends the chunks and the stream's end, if it comes to that."""
        delivery = self._delivery
        await asyncio.sleep(delivery.first_token_delay_s)
        for number, chunk in enumerate(chunks):
            if await self._interrupt(number):
                return
            if number and delivery.token_delay_s:
                await asyncio.sleep(delivery.token_delay_s)
            await self._event(json.dumps(chunk, separators=(",", ":")).encode())
        if await self._interrupt(self._record.sent_events):
            return
        if delivery.done:
            await self._event(b"[DONE]", last=True)
        await self._flush()

    async def _interrupt(self, number: int) -> bool:
        """Does what is due after this many events; tells whether the stream ends with it."""
        delivery = self._delivery
        if number == delivery.garbage_after:
            await self._event(b'{"id": "chatcmpl-')
        if number == delivery.huge_after:
            await self._write(b"data: " + b"x" * delivery.huge_bytes + b"\n\n")
        if number == delivery.error_after:
            await self._event(json.dumps(_ERROR).encode())
            await self._flush()
            return True
        if number == delivery.stall_after:
            await self._flush()
            await asyncio.Event().wait()
        if number == delivery.reset_after:
            await self._flush()
            # What was written is on its way before the reset overtakes it.
            await asyncio.sleep(0.05)
            reset(self._request)
            return True
        if number == delivery.hang_up_after:
            await self._flush()
            hang_up(self._request)
            return True
        if number == delivery.truncate_after:
            await self._flush()
            return True
        return False

    async def _event(self, data: bytes, *, last: bool = False) -> None:
        end = self._delivery.line_end.encode()
        comment = b": keep-alive" + end + end if self._delivery.keep_alives else b""
        blank = b"" if last and not self._delivery.final_blank_line else end
        self._record.sent_events += 1
        if self._record.first_event_s is None:
            self._record.first_event_s = time.monotonic()
        text = comment + b"data: " + data + end + blank
        if self._delivery.coalesce:
            self._held += text
        else:
            await self._write(text)

    async def _flush(self) -> None:
        if self._held:
            await self._write(bytes(self._held))
            self._held.clear()

    async def _write(self, text: bytes) -> None:
        size = self._delivery.piece_bytes or len(text)
        for start in range(0, len(text), size):
            await self._response.write(text[start : start + size])
            if self._delivery.piece_bytes:
                # So that the pieces leave in packets of their own.
                await asyncio.sleep(0)
