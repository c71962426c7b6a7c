"""The model that runs beside the server, over the same dialect as its remote siblings."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from antiphon.api.model.v1 import model_service_pb2 as model_pb2
from antiphon.egress.configured import EndpointSettings
from antiphon.plugins import ProviderSettings, ProviderTools, ProviderType, hookimpl
from antiphon.ports.chat_model import TokenCount
from antiphon.ports.embedded_model import EnginePhase
from antiphon.wire.openai.dialect import Dialect
from antiphon.wire.openai.exchange import ChatExchange

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from antiphon.api.core.v1.completion_pb2 import CompletionSpec
    from antiphon.api.core.v1.event_pb2 import Event
    from antiphon.egress.configured import Endpoint
    from antiphon.ports.call import CallContext
    from antiphon.ports.chat_model import Delivery
    from antiphon.ports.embedded_model import EngineAddress

CAPABILITIES: Final = (
    model_pb2.CAPABILITY_TOOLS,
    model_pb2.CAPABILITY_JSON_OBJECT,
    model_pb2.CAPABILITY_JSON_SCHEMA,
    model_pb2.CAPABILITY_TEMPERATURE,
    model_pb2.CAPABILITY_TOP_P,
    model_pb2.CAPABILITY_TOP_K,
    model_pb2.CAPABILITY_STOP,
    model_pb2.CAPABILITY_SEED,
    model_pb2.CAPABILITY_FREQUENCY_PENALTY,
    model_pb2.CAPABILITY_PRESENCE_PENALTY,
    model_pb2.CAPABILITY_LOG_PROBABILITIES,
    model_pb2.CAPABILITY_EXACT_TOKEN_COUNT,
)
_STATUSES = {
    EnginePhase.IDLE: model_pb2.MODEL_STATUS_NOT_LOADED,
    EnginePhase.STARTING: model_pb2.MODEL_STATUS_LOADING,
    EnginePhase.READY: model_pb2.MODEL_STATUS_READY,
    EnginePhase.FAILED: model_pb2.MODEL_STATUS_UNAVAILABLE,
}
# Loopback answers at once or not at all.
_CONNECT_TIMEOUT_S = 2.0


class LocalSettings(ProviderSettings):
    """Nothing yet: the engine's own settings are the composition root's."""


class LocalChatModel:
    """The embedded model; implements `ChatModel`. The engine starts at the first use and anew after a crash."""

    def __init__(self, provider: str, tools: ProviderTools) -> None:
        self._provider = provider
        self._engine = tools.embedded_model
        self._open_endpoint = tools.open_endpoint
        self._dialect = Dialect(provider, "max_tokens")
        self._address: EngineAddress | None = None
        self._endpoint: Endpoint | None = None

    @property
    def provider(self) -> str:
        """The provider's configured name."""
        return self._provider

    def describe(self, model_id: str) -> model_pb2.Model | None:
        """Describes the one model there is."""
        if model_id != self._engine.model_id:
            return None
        return model_pb2.Model(
            name=f"{self._provider}/{model_id}",
            provider=self._provider,
            capabilities=CAPABILITIES,
            context_window_tokens=self._engine.context_window_tokens,
            status=_STATUSES[self._engine.phase],
        )

    async def list_models(self) -> Sequence[model_pb2.Model]:
        """Returns the one model there is."""
        model = self.describe(self._engine.model_id)
        return [model] if model is not None else []

    async def stream(self, spec: CompletionSpec, model_id: str, call: CallContext, delivery: Delivery) -> AsyncGenerator[list[Event], None]:
        """Asks the model and yields what it answers."""
        del call  # whoever holds the generator holds the deadline, and closes it
        exchange = await self._ensure_exchange()
        async with contextlib.aclosing(exchange.stream(spec, model_id, delivery)) as batches:
            async for batch in batches:
                yield batch

    async def count_tokens(self, spec: CompletionSpec, model_id: str, call: CallContext) -> TokenCount:
        """Counts the input tokens with the model's own tokenizer and chat template."""
        del call
        exchange = await self._ensure_exchange()
        return TokenCount(await exchange.count_tokens(spec, model_id), estimated=False, tokenizer=model_id)

    async def ping(self) -> None:
        """Returns while the engine runs or has not been needed yet."""
        await self._engine.ping()

    async def close(self) -> None:
        """Closes all connections; the engine is its owner's to close."""
        if self._endpoint is not None:
            await self._endpoint.close()
            self._endpoint = None
            self._address = None

    async def _ensure_exchange(self) -> ChatExchange:
        address = await self._engine.ensure_running()
        outlived: Endpoint | None = None
        if self._endpoint is None or address != self._address:
            outlived = self._endpoint
            self._address = address
            self._endpoint = self._open_endpoint(
                EndpointSettings(
                    base_url=address.base_url,
                    headers={"Authorization": f"Bearer {address.api_key}"},
                    connect_timeout_s=_CONNECT_TIMEOUT_S,
                )
            )
        exchange = ChatExchange(self._endpoint, self._dialect)
        if outlived is not None:
            # The engine that it led to is gone, and with it every call that was in progress there.
            await outlived.close()
        return exchange


def _build(provider: str, settings: Any, tools: ProviderTools) -> LocalChatModel:
    del settings
    return LocalChatModel(provider, tools)


@hookimpl
def antiphon_provider_type() -> ProviderType:
    """Names the kind of provider that this module adds."""
    return ProviderType(name="local", settings=LocalSettings, build=_build)
