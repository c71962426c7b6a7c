"""Makes calls on a `grpc.aio` channel: serialization, retries, typed errors."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic

import grpc
import grpc.aio

from antiphon_client.errors import AntiphonError, CallCancelledError, error_from_status
from antiphon_client.methods import CLOSED, Method, RequestT, ResponseT, encoded
from antiphon_client.retry import RetrySchedule
from antiphon_client.spans import untraced

if TYPE_CHECKING:
    from antiphon_client.call_options import CallDefaults, CallOptions
    from antiphon_client.connection import Connection
    from antiphon_client.spans import BeginSpan, Span


class Transport:
    """A lazily opened channel and the calls on it. It belongs to the event loop that first uses it."""

    def __init__(self, connection: Connection, defaults: CallDefaults, begin_span: BeginSpan = untraced) -> None:
        self.defaults = defaults
        self.begin_span = begin_span
        self._connection = connection
        self._channel: grpc.aio.Channel | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    @property
    def channel(self) -> grpc.aio.Channel:
        """The channel; opened at its first use, connected at its first call.

        Raises:
            RuntimeError: The client is closed, or used from another event loop while its own still runs.
        """
        if self._closed:
            raise RuntimeError(CLOSED)
        loop = asyncio.get_running_loop()
        if self._channel is None or self._loop is not loop:
            if self._loop is not None and not self._loop.is_closed():
                raise RuntimeError("an AsyncClient belongs to the event loop that first used it; make one client a loop")
            self._channel, self._loop = _open_channel(self._connection), loop
        return self._channel

    async def unary(self, method: Method[RequestT, ResponseT], request: RequestT, options: CallOptions) -> ResponseT:
        """Makes a unary call, and makes it again where that is safe.

        Raises:
            AntiphonError: The call failed.
            TypeError: The request cannot be encoded; nothing was sent.
            RuntimeError: The client is closed.
        """
        payload = encoded(request)
        with self.begin_span(method.path) as span:
            return await self._repeated(method, payload, options, (*options.metadata, *span.metadata))

    async def _repeated(
        self, method: Method[Any, ResponseT], payload: bytes, options: CallOptions, metadata: tuple[tuple[str, str], ...]
    ) -> ResponseT:
        schedule = _schedule(method, options)
        channel: Any = self.channel
        call = channel.unary_unary(method.path, response_deserializer=method.response_type.parse)
        while True:
            try:
                return await call(payload, timeout=schedule.remaining_s, metadata=metadata)
            except grpc.aio.AioRpcError as failure:
                error = _typed(failure)
            wait_s = schedule.wait_before_retry_s(error)
            if wait_s is None:
                raise error
            await asyncio.sleep(wait_s)

    def stream(self, method: Method[RequestT, ResponseT], request: RequestT, options: CallOptions) -> MessageStream[ResponseT]:
        """Prepares a call that streams; it starts with the first `receive`.

        Raises:
            TypeError: The request cannot be encoded; nothing is sent.
            RuntimeError: The client is closed.
        """
        if self._closed:
            raise RuntimeError(CLOSED)
        return MessageStream(self, method, request, options)

    async def close(self) -> None:
        """Closes the channel; calls that still run are cancelled, and no other can be made."""
        channel, self._channel, self._loop, self._closed = self._channel, None, None, True
        if channel is not None:
            await channel.close()


class MessageStream(Generic[ResponseT]):
    """The messages of one streaming call. The call is made again, where that is safe, until its first message is there; never afterwards."""

    def __init__(self, transport: Transport, method: Method[Any, ResponseT], request: Any, options: CallOptions) -> None:
        self._transport = transport
        self._method = method
        self._payload = encoded(request)
        self._options = options
        self._schedule: RetrySchedule | None = None
        self._call: Any = None
        self._any_received = False
        self._ended = False
        self._failure: AntiphonError | None = None
        self._span: Span | None = None

    async def receive(self) -> ResponseT | None:
        """The next message; None at the end.

        Raises:
            AntiphonError: The call failed, or was cancelled by `cancel`.
        """
        if self._ended:
            return None
        schedule = self._schedule = self._schedule or _schedule(self._method, self._options)
        while self._failure is None:
            try:
                self._call = self._call or self._start(schedule.remaining_s)
                message = await self._call.read()
            except grpc.aio.AioRpcError as failure:
                await self._retry_or_fail(schedule, failure)
            except asyncio.CancelledError:
                # grpc.aio says so for a call that `cancel` ended, too; that is no cancellation of the task that reads.
                task = asyncio.current_task()
                if self._failure is None or (task is not None and task.cancelling()):
                    self.cancel()
                    raise
            else:
                self._any_received = True
                self._ended = message is grpc.aio.EOF
                if self._ended:
                    self._end_span(None)
                return None if self._ended else message
        raise self._failure

    def cancel(self) -> None:
        """Ends the call at once, if it has not ended. Safe to repeat."""
        if self._ended or self._failure is not None:
            return
        self._failure = CallCancelledError(grpc.StatusCode.CANCELLED, "the stream was left before its end")
        self._end_span(self._failure)
        if self._call is not None:
            self._call.cancel()

    def _end_span(self, error: AntiphonError | None) -> None:
        if self._span is not None:
            self._span.end(error)

    def _start(self, timeout_s: float | None) -> Any:
        channel: Any = self._transport.channel
        call = channel.unary_stream(self._method.path, response_deserializer=self._method.response_type.parse)
        self._span = self._span or self._transport.begin_span(self._method.path)
        return call(self._payload, timeout=timeout_s, metadata=(*self._options.metadata, *self._span.metadata))

    async def _retry_or_fail(self, schedule: RetrySchedule, failure: grpc.aio.AioRpcError) -> None:
        error = _typed(failure)
        wait_s = None if self._any_received else schedule.wait_before_retry_s(error)
        if wait_s is None:
            self._failure = self._failure or error
            self._end_span(self._failure)
        else:
            self._call = None
            await asyncio.sleep(wait_s)


def _schedule(method: Method[Any, Any], options: CallOptions) -> RetrySchedule:
    return RetrySchedule(no_side_effects=method.no_side_effects, retries=options.retries, timeout_s=options.timeout_s)


def _typed(failure: grpc.aio.AioRpcError) -> AntiphonError:
    error = error_from_status(failure.code(), failure.details() or "", failure.trailing_metadata() or ())
    error.__cause__ = failure
    return error


def _open_channel(connection: Connection) -> grpc.aio.Channel:
    credentials = connection.credentials()
    if credentials is None:
        return grpc.aio.insecure_channel(connection.target, options=connection.options)
    return grpc.aio.secure_channel(connection.target, credentials, options=connection.options)
