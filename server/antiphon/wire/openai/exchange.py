"""The calls to one endpoint of the dialect, from the specification to the events."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import orjson

from antiphon.egress.configured import EgressError
from antiphon.errors import AntiphonError
from antiphon.event_loop import beside_loop
from antiphon.wire.openai.decoder import ReplyDecoder
from antiphon.wire.openai.error_body import ErrorBody, parse_error_body
from antiphon.wire.openai.failures import Failures
from antiphon.wire.openai.malformed import MalformedReplyError, as_list, as_object, as_text
from antiphon.wire.openai.reply import ReportedError
from antiphon.wire.openai.request import to_body
from antiphon.wire.sse import EventTooLargeError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine

    from antiphon.api.core.v1.completion_pb2 import CompletionSpec
    from antiphon.api.core.v1.event_pb2 import Event
    from antiphon.egress.configured import Endpoint, Response
    from antiphon.ports.chat_model import Delivery
    from antiphon.wire.openai.dialect import Dialect

COMPLETIONS_PATH = "/chat/completions"
TOKENS_PATH = "/chat/completions/tokens"
MODELS_PATH = "/models"

WHOLE_REPLY_LIMIT_BYTES = 2**26
ERROR_BODY_LIMIT_BYTES = 2**16
# Between the end of an answer and the end of its reply; a reply that was read to its end gives its connection back to the pool.
_DRAIN_TIMEOUT_S = 0.1

_EVENT_STREAM = "text/event-stream"
_JSON = "application/json"
_REQUEST_ID_HEADERS = ("x-request-id", "request-id")
# What an exchange can break with. Anything else is a fault of this server and is not disguised as the provider's.
_BREAKS = (EgressError, EventTooLargeError, MalformedReplyError, ReportedError, orjson.JSONDecodeError, AntiphonError)


class ChatExchange:
    """The calls to one endpoint, which stays its owner's to close.

    Cancelling a call, or closing its generator, closes the reply and with it the connection.
    """

    def __init__(self, endpoint: Endpoint, dialect: Dialect) -> None:
        self._endpoint = endpoint
        self._dialect = dialect

    async def stream(self, spec: CompletionSpec, model_id: str, delivery: Delivery) -> AsyncGenerator[list[Event], None]:
        """Asks for a completion and yields its events, as `ChatModel.stream` wants them.

        Raises:
            AntiphonError: It failed; what had arrived before has been yielded.
        """
        body = await beside_loop(spec.ByteSize(), to_body, spec, model_id, self._dialect, stream=delivery.incremental)
        decoder = ReplyDecoder(spec, self._dialect)
        failures = Failures(self._dialect.provider, model_id)
        response: Response | None = None
        try:
            response = await self._endpoint.post(COMPLETIONS_PATH, body)
            await _check(response, _EVENT_STREAM if delivery.incremental else _JSON, failures)
            if not delivery.incremental:
                yield decoder.whole(await response.read(WHOLE_REPLY_LIMIT_BYTES))
                return
            window_s = 0.0  # until the first delta
            while read := await response.next_chunk(window_s):
                events = decoder.feed(read)
                if decoder.ended:
                    break
                if events:
                    yield events
                    window_s = delivery.merge_window_s
            else:
                events = decoder.finish()
            yield events
            await _drain(response)
        except _BREAKS as error:
            if arrived := decoder.salvage():
                yield arrived
            raise _to_failure(error, failures) from error
        finally:
            if response is not None:
                response.close()

    async def count_tokens(self, spec: CompletionSpec, model_id: str) -> int:
        """Asks for the input tokens of a completion, which only the embedded model's server can tell.

        Raises:
            AntiphonError: It failed.
        """
        body = await beside_loop(spec.ByteSize(), to_body, spec, model_id, self._dialect, stream=False)
        failures = Failures(self._dialect.provider, model_id)
        reply = await self._ask(self._endpoint.post(TOKENS_PATH, body), failures)
        tokens = reply.get("input_tokens")
        if not isinstance(tokens, int):
            raise failures.malformed("its token count is no number")
        return tokens

    async def model_ids(self) -> list[str]:
        """Asks which models there are.

        Raises:
            AntiphonError: It failed.
        """
        failures = Failures(self._dialect.provider)
        reply = await self._ask(self._endpoint.get(MODELS_PATH), failures)
        try:
            models = [as_object(model, "data") for model in as_list(reply.get("data"), "data")]
            return [model_id for model in models if (model_id := as_text(model.get("id"), "id"))]
        except MalformedReplyError as error:
            raise failures.malformed(f"in its list of models, {error}") from error

    async def _ask(self, request: Coroutine[Any, Any, Response], failures: Failures) -> dict[str, Any]:
        response: Response | None = None
        try:
            response = await request
            await _check(response, _JSON, failures)
            return as_object(orjson.loads(await response.read(WHOLE_REPLY_LIMIT_BYTES)), "the reply")
        except _BREAKS as error:
            raise _to_failure(error, failures) from error
        finally:
            if response is not None:
                response.close()


async def _check(response: Response, media_type: str, failures: Failures) -> None:
    """Raises unless the reply says that it is what was asked for."""
    headers = response.headers
    failures.http_status = response.status
    failures.request_id = next((value for name in _REQUEST_ID_HEADERS if (value := headers.get(name))), "")
    if response.status != 200:
        try:
            error = parse_error_body(await response.read(ERROR_BODY_LIMIT_BYTES))
        except EgressError:
            error = ErrorBody()  # the status says enough
        raise failures.answered(error, headers)
    # A server that names no type is taken at its bytes.
    answered = headers.get("content-type", media_type).partition(";")[0].strip().lower()
    if answered != media_type:
        raise failures.malformed(f"it answered with the type {answered!r} where {media_type!r} was due")


def _to_failure(error: Exception, failures: Failures) -> AntiphonError:
    if isinstance(error, AntiphonError):
        return error
    if isinstance(error, EgressError):
        return failures.broken(error)
    if isinstance(error, ReportedError):
        return failures.reported(error.body)
    if isinstance(error, orjson.JSONDecodeError):
        return failures.malformed("it sent something that is not JSON")
    return failures.malformed(str(error))


async def _drain(response: Response) -> None:
    with contextlib.suppress(EgressError, TimeoutError):
        async with asyncio.timeout(_DRAIN_TIMEOUT_S):
            while await response.next_chunk():
                pass
