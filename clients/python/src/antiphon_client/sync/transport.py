"""Makes calls on a synchronous `grpc` channel: serialization, retries, typed errors.

Why synchronous gRPC, and not the asynchronous face in a private loop thread: `grpc.aio` polls for one event loop per process (grpc#42357), so a private
loop would fight with an application's own; a blocked call here notices Ctrl-C within 0.1 s, because gRPC cuts its waits short to run signal handlers,
whereas a wait on another thread's future leaves the call running; and gRPC's fork handlers, which know nothing of `grpc.aio`, give a forked child a
connection of its own (unless GRPC_ENABLE_FORK_SUPPORT=0: then open the client after the fork), so that a pre-forking web server or multiprocessing works.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Generic

import grpc

from antiphon_client.errors import AntiphonError, CallCancelledError, error_from_status
from antiphon_client.methods import CLOSED, Method, RequestT, ResponseT, encoded
from antiphon_client.retry import RetrySchedule
from antiphon_client.spans import untraced

if TYPE_CHECKING:
    from antiphon_client.call_options import CallDefaults, CallOptions
    from antiphon_client.connection import Connection
    from antiphon_client.spans import BeginSpan, Span


class Transport:
    """A lazily opened channel and the calls on it. Threads may share it."""

    def __init__(self, connection: Connection, defaults: CallDefaults, begin_span: BeginSpan = untraced) -> None:
        self.defaults = defaults
        self.begin_span = begin_span
        self._connection = connection
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None
        self._closed = False

    @property
    def channel(self) -> grpc.Channel:
        """The channel; opened at its first use, connected at its first call.

        Raises:
            RuntimeError: The client is closed.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError(CLOSED)
            if self._channel is None:
                self._channel = _open_channel(self._connection)
            return self._channel

    def unary(self, method: Method[RequestT, ResponseT], request: RequestT, options: CallOptions) -> ResponseT:
        """Makes a unary call, and makes it again where that is safe.

        Raises:
            AntiphonError: The call failed.
            TypeError: The request cannot be encoded; nothing was sent.
            RuntimeError: The client is closed.
        """
        payload = encoded(request)
        with self.begin_span(method.path) as span:
            return self._repeated(method, payload, options, (*options.metadata, *span.metadata))

    def _repeated(
        self, method: Method[Any, ResponseT], payload: bytes, options: CallOptions, metadata: tuple[tuple[str, str], ...]
    ) -> ResponseT:
        schedule = _schedule(method, options)
        channel: Any = self.channel
        call = channel.unary_unary(method.path, response_deserializer=method.response_type.parse)
        while True:
            try:
                return _completed(call.future(payload, timeout=schedule.remaining_s, metadata=metadata))
            except grpc.RpcError as failure:
                error = _typed(failure)
            wait_s = schedule.wait_before_retry_s(error)
            if wait_s is None:
                raise error
            time.sleep(wait_s)

    def stream(self, method: Method[RequestT, ResponseT], request: RequestT, options: CallOptions) -> MessageStream[ResponseT]:
        """Prepares a call that streams; it starts with the first `receive`.

        Raises:
            TypeError: The request cannot be encoded; nothing is sent.
            RuntimeError: The client is closed.
        """
        if self._closed:
            raise RuntimeError(CLOSED)
        return MessageStream(self, method, request, options)

    def close(self) -> None:
        """Closes the channel; calls that still run are cancelled, and no other can be made."""
        with self._lock:
            channel, self._channel, self._closed = self._channel, None, True
        if channel is not None:
            channel.close()


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

    def receive(self) -> ResponseT | None:
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
                self._heed_cancel()
                message = next(self._call)
            except StopIteration:
                self._ended = True
                self._end_span(None)
                return None
            except grpc.RpcError as failure:
                self._retry_or_fail(schedule, failure)
            except BaseException:  # Ctrl-C
                self.cancel()
                raise
            else:
                self._any_received = True
                return message
        raise self._failure

    def cancel(self) -> None:
        """Ends the call at once, if it has not ended. Safe to repeat, and from another thread."""
        if self._ended or self._failure is not None:
            return
        self._failure = CallCancelledError(grpc.StatusCode.CANCELLED, "the stream was left before its end")
        self._end_span(self._failure)
        if self._call is not None:
            self._call.cancel()

    def _end_span(self, error: AntiphonError | None) -> None:
        if self._span is not None:
            self._span.end(error)

    def _heed_cancel(self) -> None:
        # Another thread may have cancelled while the call was made, and found none to cancel.
        if self._failure is not None:
            self._call.cancel()

    def _start(self, timeout_s: float | None) -> Any:
        channel: Any = self._transport.channel
        call = channel.unary_stream(self._method.path, response_deserializer=self._method.response_type.parse)
        self._span = self._span or self._transport.begin_span(self._method.path)
        return call(self._payload, timeout=timeout_s, metadata=(*self._options.metadata, *self._span.metadata))

    def _retry_or_fail(self, schedule: RetrySchedule, failure: grpc.RpcError) -> None:
        error = _typed(failure)
        wait_s = None if self._any_received else schedule.wait_before_retry_s(error)
        if wait_s is None:
            self._failure = self._failure or error
            self._end_span(self._failure)
        else:
            self._call = None
            time.sleep(wait_s)


def _schedule(method: Method[Any, Any], options: CallOptions) -> RetrySchedule:
    return RetrySchedule(no_side_effects=method.no_side_effects, retries=options.retries, timeout_s=options.timeout_s)


def _completed(pending: Any) -> Any:
    # Not the plain blocking call: interrupted by Ctrl-C, that one never gives its two descriptors back (seen with grpcio 1.85).
    try:
        return pending.result()
    except BaseException:
        pending.cancel()
        raise


def _typed(failure: Any) -> AntiphonError:
    # What synchronous gRPC raises is the call itself, which its type does not say.
    error = error_from_status(failure.code(), failure.details() or "", failure.trailing_metadata() or ())
    error.__cause__ = failure
    return error


def _open_channel(connection: Connection) -> grpc.Channel:
    credentials = connection.credentials()
    if credentials is None:
        return grpc.insecure_channel(connection.target, options=connection.options)
    return grpc.secure_channel(connection.target, credentials, options=connection.options)
