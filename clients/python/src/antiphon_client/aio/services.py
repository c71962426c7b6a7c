"""The contract's services, as methods that take Python values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from antiphon_client import argument_checks as checks
from antiphon_client import methods
from antiphon_client.aio.streams import AsyncCompletionStream, AsyncReportStream
from antiphon_client.completion import Completion
from antiphon_client.contract import completion, core, health, model
from antiphon_client.parameters import CallParameters, CompletionParameters, completion_spec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from antiphon_client.aio.transport import Transport
    from antiphon_client.messages import Conversation


class AsyncCompletions:
    """Answers of a model to a conversation."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def create(self, *, model: str, messages: Conversation, **parameters: Unpack[CompletionParameters]) -> Completion:
        """Answers in one message.

        Args:
            model: The model, as `provider/model`, or an alias.
            messages: The conversation; a string is what the user says.
            parameters: See `CompletionParameters`.

        Raises:
            AntiphonError: The call failed.
        """
        request = completion.CompleteRequest(spec=completion_spec(model, messages, parameters))
        response = await self._transport.unary(methods.COMPLETE, request, self._transport.defaults.unary(parameters))
        return Completion(response.completion or core.Completion())

    def stream(
        self, *, model: str, messages: Conversation, merge_window_s: float | None = None, **parameters: Unpack[CompletionParameters]
    ) -> AsyncCompletionStream:
        """Answers in events while the model writes. The stream has no deadline unless `timeout_s` gives it one.

        Args:
            model: The model, as `provider/model`, or an alias.
            messages: The conversation; a string is what the user says.
            merge_window_s: How long a piece of text may wait to be sent with its followers, at most 1; fewer and larger events cost less.
            parameters: See `CompletionParameters`.
        """
        request = completion.StreamCompleteRequest(
            spec=completion_spec(model, messages, parameters),
            merge_window=checks.duration("merge_window_s", merge_window_s),
        )
        return AsyncCompletionStream(self._transport.stream(methods.STREAM_COMPLETE, request, self._transport.defaults.stream(parameters)))

    async def count_tokens(
        self, *, model: str, messages: Conversation, **parameters: Unpack[CompletionParameters]
    ) -> completion.CountTokensResponse:
        """Counts the tokens that a conversation would take as input, tools and response format included.

        Raises:
            AntiphonError: The call failed.
        """
        request = completion.CountTokensRequest(spec=completion_spec(model, messages, parameters))
        return await self._transport.unary(methods.COUNT_TOKENS, request, self._transport.defaults.unary(parameters))


class AsyncModels:
    """What models there are and what they can do."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def list(self, *, provider: str = "", page_size: int = 0, **parameters: Unpack[CallParameters]) -> AsyncIterator[model.Model]:
        """Iterates over the models by name, asking for a page when it needs one.

        Args:
            provider: Only models of this provider.
            page_size: How many to ask for at a time; 0 leaves it to the server.
            parameters: See `CallParameters`; a page is a call.

        Raises:
            AntiphonError: A call failed.
        """
        page_size, provider = checks.integer("page_size", page_size, bits=32), checks.string("provider", provider)
        request = model.ListModelsRequest(page_size=page_size, provider=provider)
        while True:
            response = await self._transport.unary(methods.LIST_MODELS, request, self._transport.defaults.unary(parameters))
            for one in response.models:
                yield one
            if not response.next_page_token:
                return
            request = model.ListModelsRequest(page_size=page_size, provider=provider, page_token=response.next_page_token)

    async def get(self, name: str, **parameters: Unpack[CallParameters]) -> model.Model:
        """Describes one model, by `provider/model` or an alias.

        Raises:
            NotFoundError: There is no such model.
            AntiphonError: The call failed otherwise.
        """
        request = model.GetModelRequest(name=checks.string("name", name))
        response = await self._transport.unary(methods.GET_MODEL, request, self._transport.defaults.unary(parameters))
        return response.model or model.Model()


class AsyncHealth:
    """How each component of the server does."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def check(self, components: Iterable[str] = (), **parameters: Unpack[CallParameters]) -> health.HealthReport:
        """Reports on the named components, or on all.

        Raises:
            AntiphonError: The call failed.
        """
        request = health.CheckHealthRequest(components=checks.strings("components", components))
        response = await self._transport.unary(methods.CHECK_HEALTH, request, self._transport.defaults.unary(parameters))
        return response.report or health.HealthReport()

    def watch(self, *, interval_s: float | None = None, **parameters: Unpack[CallParameters]) -> AsyncReportStream:
        """Sends a report at once, and another whenever a status or a last error changes; ends after the report that the server drains.

        Args:
            interval_s: How often the components are looked at, 1 to 3,600; by default every 5 s.
            parameters: See `CallParameters`.
        """
        request = health.WatchHealthRequest(interval=checks.duration("interval_s", interval_s))
        return AsyncReportStream(self._transport.stream(methods.WATCH_HEALTH, request, self._transport.defaults.stream(parameters)))
