"""Names resolve to models, what callers make up is remembered within bounds, and a model's state is what its last call showed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from antiphon.api.model.v1.model_service_pb2 import Model, ModelStatus
from antiphon.errors import AntiphonError, InvalidRequestError, NotFoundError, ProviderFailure, Reason, UnavailableError
from antiphon.models import catalog
from antiphon.models.catalog import ModelCatalog
from tests.support.scripted import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import Sequence

READY = ModelStatus.MODEL_STATUS_READY
UNAVAILABLE = ModelStatus.MODEL_STATUS_UNAVAILABLE
UNKNOWN = ModelStatus.MODEL_STATUS_UNSPECIFIED


def built(*providers: ScriptedModel, aliases: dict[str, str] | None = None) -> ModelCatalog:
    return ModelCatalog({one.provider: one for one in providers or (ScriptedModel(),)}, aliases or {})


def test_a_name_and_its_alias_are_the_same_model() -> None:
    found = built(aliases={"default": "scripted/alpha"})
    assert "scripted/alpha" == found.resolve("default").description.name
    assert ("alpha", "scripted/alpha") == (found.resolve("scripted/alpha").model_id, found.resolve("scripted/alpha").description.name)


def test_a_model_id_may_hold_slashes() -> None:
    assert "org/model:free" == built().resolve("scripted/org/model:free").model_id


@pytest.mark.parametrize("name", ["", "/", "alpha", "scripted", "scripted/", "nobody/alpha", "scripted/missing", "👩/x", "/alpha"])
def test_what_is_not_there_is_not_found(name: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        built().resolve(name)
    assert (Reason.ERROR_REASON_MODEL_NOT_FOUND, {"model": name}) == (caught.value.reason, caught.value.metadata)


def test_an_alias_of_an_alias_is_no_model() -> None:
    with pytest.raises(NotFoundError):
        built(aliases={"a": "b", "b": "scripted/alpha"}).resolve("a")


def test_what_callers_make_up_is_remembered_within_bounds() -> None:
    found = built()
    with patch.object(catalog, "_REMEMBERED", 10):
        for number in range(50):
            target = found.resolve(f"scripted/model-{number}")
            found.observe(target, None)
    assert (10, 10) == (len(found._resolved), len(found._status))
    with pytest.raises(NotFoundError):
        found.resolve("scripted/missing")
    assert 10 == len(found._resolved)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, READY),
        (ProviderFailure(Reason.ERROR_REASON_PROVIDER_UNAVAILABLE, "x"), UNAVAILABLE),
        (ProviderFailure(Reason.ERROR_REASON_PROVIDER_PROTOCOL_ERROR, "x"), UNAVAILABLE),
        (ProviderFailure(Reason.ERROR_REASON_PROVIDER_AUTHENTICATION_FAILED, "x"), UNAVAILABLE),
        (ProviderFailure(Reason.ERROR_REASON_PROVIDER_QUOTA_EXHAUSTED, "x"), UNAVAILABLE),
        (ProviderFailure(Reason.ERROR_REASON_FIRST_TOKEN_TIMEOUT, "x"), UNAVAILABLE),
        (ProviderFailure(Reason.ERROR_REASON_IDLE_TIMEOUT, "x"), UNAVAILABLE),
        (UnavailableError(Reason.ERROR_REASON_EMBEDDED_MODEL_UNAVAILABLE, "x"), UNAVAILABLE),
        (ProviderFailure(Reason.ERROR_REASON_PROVIDER_RATE_LIMITED, "x"), UNKNOWN),
        (ProviderFailure(Reason.ERROR_REASON_PROVIDER_REJECTED_REQUEST, "x"), UNKNOWN),
        (ProviderFailure(Reason.ERROR_REASON_PROVIDER_REJECTED_CONTENT, "x"), UNKNOWN),
        (InvalidRequestError(Reason.ERROR_REASON_CONTEXT_LENGTH_EXCEEDED, "x"), UNKNOWN),
        (UnavailableError(Reason.ERROR_REASON_SERVER_DRAINING, "x"), UNKNOWN),
    ],
)
def test_the_state_is_what_the_last_call_showed(error: AntiphonError | None, expected: ModelStatus) -> None:
    found = built()
    found.observe(found.resolve("scripted/alpha"), error)
    assert expected == found.get("scripted/alpha").status


def test_a_model_recovers_with_its_next_good_call() -> None:
    found = built(aliases={"default": "scripted/alpha"})
    found.observe(found.resolve("scripted/alpha"), ProviderFailure(Reason.ERROR_REASON_PROVIDER_UNAVAILABLE, "x"))
    assert (UNAVAILABLE, UNKNOWN) == (found.get("default").status, found.get("scripted/beta").status)
    found.observe(found.resolve("default"), None)
    assert READY == found.get("scripted/alpha").status


def test_what_an_adapter_knows_of_itself_goes_first() -> None:
    class Loading(ScriptedModel):
        def describe(self, model_id: str) -> Model | None:
            model = super().describe(model_id)
            assert model is not None
            model.status = ModelStatus.MODEL_STATUS_LOADING
            return model

    found = built(Loading())
    found.observe(found.resolve("scripted/alpha"), None)
    assert ModelStatus.MODEL_STATUS_LOADING == found.get("scripted/alpha").status


async def test_all_models_are_listed_by_name_with_their_aliases() -> None:
    found = built(ScriptedModel(provider="b"), ScriptedModel(provider="a"), aliases={"z": "a/beta", "default": "a/beta"})
    models = await found.list()
    assert ["a/alpha", "a/beta", "a/gamma", "b/alpha", "b/beta", "b/gamma"] == [model.name for model in models]
    assert ["default", "z"] == list(models[1].aliases)
    assert ["b/alpha", "b/beta", "b/gamma"] == [model.name for model in await found.list("b")]


async def test_an_unknown_provider_cannot_be_listed() -> None:
    with pytest.raises(NotFoundError):
        await built().list("nobody")


async def test_a_provider_that_cannot_be_asked_is_left_out() -> None:
    class Broken(ScriptedModel):
        async def list_models(self) -> Sequence[Model]:
            raise ProviderFailure(Reason.ERROR_REASON_PROVIDER_UNAVAILABLE, "gone")

    class Silent(ScriptedModel):
        async def list_models(self) -> Sequence[Model]:
            await asyncio.sleep(60)
            return []

    with patch.object(catalog, "_LIST_TIMEOUT_S", 0.05):
        models = await built(Broken(provider="a"), Silent(provider="b"), ScriptedModel(provider="c")).list()
    assert ["c/alpha", "c/beta", "c/gamma"] == [model.name for model in models]


async def test_a_description_that_was_given_out_can_be_changed_without_harm() -> None:
    found = built(aliases={"default": "scripted/alpha"})
    found.get("default").name = "changed"
    for model in await found.list():
        model.aliases.append("changed")
    assert ("scripted/alpha", ["default"]) == (found.get("default").name, list(found.get("default").aliases))
