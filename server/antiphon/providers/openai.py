"""OpenAI's chat completions, and every other server's that speaks their dialect."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from antiphon.api.model.v1 import model_service_pb2 as model_pb2
from antiphon.egress.configured import EndpointSettings
from antiphon.errors import AntiphonError
from antiphon.plugins import ProviderSettings, ProviderTools, ProviderType, hookimpl
from antiphon.ports.chat_model import TokenCount
from antiphon.wire.openai.dialect import CAPABILITIES, Dialect, MaxTokensParameter, ReasoningField
from antiphon.wire.openai.exchange import ChatExchange
from antiphon.wire.openai.failures import Failures
from antiphon.wire.openai.token_estimate import TOKENIZER, estimate_tokens

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from antiphon.api.core.v1.completion_pb2 import CompletionSpec
    from antiphon.api.core.v1.event_pb2 import Event
    from antiphon.egress.configured import Endpoint
    from antiphon.ports.call import CallContext
    from antiphon.ports.chat_model import Delivery

_DISCOVERY_TIMEOUT_S = 10.0
_DISCOVERED_FOR_S = 300.0
# A provider that could not be asked is not asked again at once.
_UNDISCOVERED_FOR_S = 15.0
_PING_TIMEOUT_S = 5.0
_MICROS = 1_000_000
_CAPABILITY_PREFIX = "CAPABILITY_"


def _to_http_url(url: str) -> str:
    if not url.startswith(("https://", "http://")):
        raise ValueError("must begin with https:// or http://")
    return url.rstrip("/")


def _to_known_capability(name: str) -> str:
    known = {_capability_name(capability) for capability in CAPABILITIES}
    if name not in known:
        raise ValueError(f"unknown capability {name!r}; known: {', '.join(sorted(known))}")
    return name


def _capability_name(capability: model_pb2.Capability) -> str:
    return model_pb2.Capability.Name(capability).removeprefix(_CAPABILITY_PREFIX).lower()


class PriceSettings(BaseModel):
    """What a model's tokens cost: amounts for a million tokens, in the currency's unit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    currency: str = Field(default="USD", pattern="^[A-Z]{3}$")
    input_per_million: Decimal = Field(ge=0, decimal_places=6, max_digits=18)
    output_per_million: Decimal = Field(ge=0, decimal_places=6, max_digits=18)
    cache_read_per_million: Decimal | None = Field(default=None, ge=0, decimal_places=6, max_digits=18)
    cache_write_per_million: Decimal | None = Field(default=None, ge=0, decimal_places=6, max_digits=18)
    table_version: str = Field(min_length=1, max_length=64)

    def to_prices(self) -> model_pb2.Prices:
        """Writes them as the contract's."""
        prices = model_pb2.Prices(
            currency_code=self.currency,
            input_micros_per_million=int(self.input_per_million * _MICROS),
            output_micros_per_million=int(self.output_per_million * _MICROS),
            price_table_version=self.table_version,
        )
        if self.cache_read_per_million is not None:
            prices.cache_read_micros_per_million = int(self.cache_read_per_million * _MICROS)
        if self.cache_write_per_million is not None:
            prices.cache_write_micros_per_million = int(self.cache_write_per_million * _MICROS)
        return prices


class ModelSettings(BaseModel):
    """One model that the operator lists.

    `capabilities` are the contract's names in lower case without their prefix, as in `json_schema`; left out, they are all that the dialect knows.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1, max_length=191)
    context_window_tokens: int = Field(default=0, ge=0, le=2**31 - 1)
    max_output_tokens: int = Field(default=0, ge=0, le=2**31 - 1)
    capabilities: tuple[Annotated[str, AfterValidator(_to_known_capability)], ...] | None = None
    prices: PriceSettings | None = None

    def to_model(self, provider: str) -> model_pb2.Model:
        """Writes it as the contract's."""
        model = _unlisted_model(provider, self.id)
        model.context_window_tokens = self.context_window_tokens
        model.max_output_tokens = self.max_output_tokens
        if self.capabilities is not None:
            del model.capabilities[:]
            model.capabilities.extend(capability for capability in CAPABILITIES if _capability_name(capability) in self.capabilities)
        if self.prices is not None:
            model.prices.CopyFrom(self.prices.to_prices())
        return model


class OpenAISettings(ProviderSettings):
    """Where and how a server of the dialect is asked.

    `max_tokens_parameter` and `reasoning_field` are those of `antiphon.wire.openai.dialect.Dialect`. `headers` are sent with each request and may
    hold credentials.
    """

    base_url: Annotated[str, AfterValidator(_to_http_url)] = "https://api.openai.com/v1"
    api_key: SecretStr | None = None
    organization: str | None = None
    project: str | None = None
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    max_tokens_parameter: MaxTokensParameter = "max_completion_tokens"
    reasoning_field: ReasoningField | None = None
    connect_timeout_s: float = Field(default=10.0, gt=0, le=300)
    max_connections: int = Field(default=1000, ge=1)
    models: tuple[ModelSettings, ...] = ()
    accept_unlisted: bool = True

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        if "@" in urlsplit(self.base_url).netloc and (self.api_key is not None or "authorization" in map(str.lower, self.headers)):
            raise ValueError("base_url holds a user, and a key is set beside it; both would be the header Authorization")
        return self

    @model_validator(mode="after")
    def _models_differ(self) -> Self:
        if len({model.id for model in self.models}) != len(self.models):
            raise ValueError("two models have the same id")
        return self

    def to_endpoint_settings(self) -> EndpointSettings:
        """Writes the endpoint's settings, credentials among the headers."""
        headers = {name: value.get_secret_value() for name, value in self.headers.items()}
        if self.api_key is not None:
            headers["Authorization"] = f"Bearer {self.api_key.get_secret_value()}"
        if self.organization is not None:
            headers["OpenAI-Organization"] = self.organization
        if self.project is not None:
            headers["OpenAI-Project"] = self.project
        return EndpointSettings(
            base_url=self.base_url, headers=headers, connect_timeout_s=self.connect_timeout_s, max_connections=self.max_connections
        )


class OpenAIChatModel:
    """The chat models of one endpoint; implements `ChatModel`."""

    def __init__(self, provider: str, settings: OpenAISettings, tools: ProviderTools) -> None:
        self._provider = provider
        self._accept_unlisted = settings.accept_unlisted
        self._listed = {model.id: model.to_model(provider) for model in settings.models}
        self._endpoint: Endpoint = tools.open_endpoint(settings.to_endpoint_settings())
        dialect = Dialect(provider, settings.max_tokens_parameter, settings.reasoning_field)
        self._exchange = ChatExchange(self._endpoint, dialect)
        self._discovered: list[str] = []
        self._discover_after_s = 0.0
        self._discovering = asyncio.Lock()

    @property
    def provider(self) -> str:
        """The provider's configured name."""
        return self._provider

    def describe(self, model_id: str) -> model_pb2.Model | None:
        """Describes a model; one that is not listed is taken to know all that the dialect knows."""
        if listed := self._listed.get(model_id):
            model = model_pb2.Model()
            model.CopyFrom(listed)
            return model
        return _unlisted_model(self._provider, model_id) if self._accept_unlisted else None

    async def list_models(self) -> Sequence[model_pb2.Model]:
        """Returns the listed models and, where unlisted ones can be asked, those that the provider names: of every kind, for it does not tell which chat.

        A provider that cannot be asked adds nothing.
        """
        model_ids = dict.fromkeys(self._listed)
        if self._accept_unlisted:
            model_ids |= dict.fromkeys(await self._discover())
        return [model for model_id in model_ids if (model := self.describe(model_id)) is not None]

    def stream(self, spec: CompletionSpec, model_id: str, call: CallContext, delivery: Delivery) -> AsyncGenerator[list[Event], None]:
        """Asks a model and yields what it answers."""
        del call  # whoever holds the generator holds the deadline, and closes it
        return self._exchange.stream(spec, model_id, delivery)

    async def count_tokens(self, spec: CompletionSpec, model_id: str, call: CallContext) -> TokenCount:
        """Estimates the input tokens with a tokenizer that may not be the model's own."""
        del model_id, call
        return TokenCount(await estimate_tokens(spec), estimated=True, tokenizer=TOKENIZER)

    async def ping(self) -> None:
        """Asks for the list of models, which costs nothing."""
        await self._model_ids(_PING_TIMEOUT_S)

    async def close(self) -> None:
        """Closes all connections."""
        await self._endpoint.close()

    async def _discover(self) -> list[str]:
        loop = asyncio.get_running_loop()
        async with self._discovering:
            if loop.time() >= self._discover_after_s:
                try:
                    self._discovered = await self._model_ids(_DISCOVERY_TIMEOUT_S)
                    self._discover_after_s = loop.time() + _DISCOVERED_FOR_S
                except AntiphonError:
                    self._discover_after_s = loop.time() + _UNDISCOVERED_FOR_S
            return self._discovered

    async def _model_ids(self, timeout_s: float) -> list[str]:
        try:
            async with asyncio.timeout(timeout_s):
                return await self._exchange.model_ids()
        except TimeoutError as error:
            raise Failures(self._provider).silent(timeout_s) from error


def _unlisted_model(provider: str, model_id: str) -> model_pb2.Model:
    return model_pb2.Model(name=f"{provider}/{model_id}", provider=provider, capabilities=CAPABILITIES)


def _build(provider: str, settings: Any, tools: ProviderTools) -> OpenAIChatModel:
    return OpenAIChatModel(provider, settings, tools)


@hookimpl
def antiphon_provider_type() -> ProviderType:
    """Names the kind of provider that this module adds."""
    return ProviderType(name="openai", settings=OpenAISettings, build=_build)
