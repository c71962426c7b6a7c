"""Which models there are, what their names resolve to, and how they did last."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from antiphon.api.model.v1.model_service_pb2 import Model, ModelStatus
from antiphon.errors import AntiphonError, NotFoundError, ProviderFailure, Reason, UnavailableError
from antiphon.models.paging import name_in, page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from antiphon.ports.chat_model import ChatModel

Value = TypeVar("Value")

# Unlisted model names come from callers: what is remembered of them is bounded.
_REMEMBERED = 10_000
_LIST_TIMEOUT_S = 10.0
# A failure with one of these is the provider's own, not the request's.
_OUTAGES = frozenset(
    {
        Reason.ERROR_REASON_PROVIDER_UNAVAILABLE,
        Reason.ERROR_REASON_PROVIDER_PROTOCOL_ERROR,
        Reason.ERROR_REASON_PROVIDER_AUTHENTICATION_FAILED,
        Reason.ERROR_REASON_PROVIDER_QUOTA_EXHAUSTED,
        Reason.ERROR_REASON_FIRST_TOKEN_TIMEOUT,
        Reason.ERROR_REASON_IDLE_TIMEOUT,
        Reason.ERROR_REASON_EMBEDDED_MODEL_UNAVAILABLE,
    }
)


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """What a model's name stands for.

    Attributes:
        chat_model: The provider's port.
        model_id: The provider's own name of the model.
        description: The model, by its full name.
    """

    chat_model: ChatModel
    model_id: str
    description: Model


class ModelCatalog:
    """The models of every configured provider."""

    def __init__(self, providers: Mapping[str, ChatModel], aliases: Mapping[str, str]) -> None:
        self._providers = dict(providers)
        self._aliases = dict(aliases)
        self._resolved: OrderedDict[str, ResolvedModel] = OrderedDict()
        self._status: OrderedDict[str, ModelStatus] = OrderedDict()

    def resolve(self, name: str) -> ResolvedModel:
        """Finds what a name or an alias stands for.

        Raises:
            NotFoundError: There is no such model (MODEL_NOT_FOUND).
        """
        known = self._resolved.get(name)
        if known is not None:
            return known
        full_name = self._aliases.get(name, name)
        provider, _, model_id = full_name.partition("/")
        chat_model = self._providers.get(provider)
        description = chat_model.describe(model_id) if chat_model is not None and model_id else None
        if chat_model is None or description is None:
            raise NotFoundError(
                Reason.ERROR_REASON_MODEL_NOT_FOUND,
                f"there is no model {name[:256]!r}; ListModels names what is there",
                metadata={"model": name[:256]},
            )
        resolved = ResolvedModel(chat_model, model_id, description)
        _remember(self._resolved, name, resolved)
        return resolved

    def observe(self, target: ResolvedModel, error: AntiphonError | None) -> None:
        """Notes how a call to a model ended; None means well."""
        if error is None:
            status = ModelStatus.MODEL_STATUS_READY
        elif isinstance(error, ProviderFailure | UnavailableError) and error.reason in _OUTAGES:
            status = ModelStatus.MODEL_STATUS_UNAVAILABLE
        else:
            return
        _remember(self._status, target.description.name, status)

    def get(self, name: str) -> Model:
        """Describes one model as it is now.

        Raises:
            NotFoundError: There is no such model (MODEL_NOT_FOUND).
        """
        target = self.resolve(name)
        fresh = target.chat_model.describe(target.model_id)
        return self._as_it_is(fresh if fresh is not None else target.description)

    async def page(self, *, provider: str, page_size: int, page_token: str) -> tuple[list[Model], str]:
        """Returns a page of the models, by name, and the next one's token; empty on the last page.

        Raises:
            InvalidRequestError: The token is none of ours (INVALID_FIELD).
            NotFoundError: There is no such provider (PROVIDER_NOT_FOUND).
        """
        after = name_in(page_token)
        return page(await self.list(provider), page_size=page_size, after=after)

    async def list(self, provider: str = "") -> list[Model]:
        """Returns all models that can be named, by name. A provider that cannot be asked in time is left out.

        Raises:
            NotFoundError: There is no such provider (PROVIDER_NOT_FOUND).
        """
        if provider and provider not in self._providers:
            raise NotFoundError(
                Reason.ERROR_REASON_PROVIDER_NOT_FOUND, f"no provider is configured as {provider!r}", metadata={"provider": provider}
            )
        chosen = [model for name, model in self._providers.items() if provider in {"", name}]
        listed = await asyncio.gather(*(_listed(model) for model in chosen))
        return sorted((self._as_it_is(model) for models in listed for model in models), key=lambda model: model.name)

    def _as_it_is(self, model: Model) -> Model:
        shown = Model()
        shown.CopyFrom(model)
        shown.aliases.extend(sorted(alias for alias, target in self._aliases.items() if target == model.name))
        # What an adapter knows of itself goes before what the last call showed.
        if shown.status in {ModelStatus.MODEL_STATUS_UNSPECIFIED, ModelStatus.MODEL_STATUS_READY}:
            shown.status = self._status.get(model.name, shown.status)
        return shown


async def _listed(model: ChatModel) -> list[Model]:
    try:
        async with asyncio.timeout(_LIST_TIMEOUT_S):
            return list(await model.list_models())
    except (AntiphonError, TimeoutError):
        return []


def _remember(memory: OrderedDict[str, Value], key: str, value: Value) -> None:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > _REMEMBERED:
        memory.popitem(last=False)
