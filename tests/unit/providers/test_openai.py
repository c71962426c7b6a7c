"""OpenAI's adapter asks with the operator's credentials, and says of its models what the operator said of them."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr, ValidationError

from antiphon.api.core.v1.completion_pb2 import CompletionSpec
from antiphon.api.model.v1 import model_service_pb2 as model_pb2
from antiphon.egress.configured import Endpoint
from antiphon.errors import AntiphonError, Reason
from antiphon.plugins import ProviderTools, load_provider_types
from antiphon.ports.call import CallContext
from antiphon.ports.chat_model import Delivery
from antiphon.providers import openai as openai_module
from antiphon.providers.openai import ModelSettings, OpenAIChatModel, OpenAISettings, PriceSettings
from antiphon.wire.openai.dialect import CAPABILITIES
from tests.conformance.engines import SteadyEngine
from tests.simulators.openai import OpenAISimulator, Silence, internal_error, unauthorized

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

CALL = CallContext(call_id="call", method="/test")
PRICES = PriceSettings(
    input_per_million=Decimal("2.5"), output_per_million=Decimal(10), cache_read_per_million=Decimal("0.000001"), table_version="2026-11"
)
LISTED = (
    ModelSettings(id="sim-1", context_window_tokens=8192, max_output_tokens=1024, capabilities=("tools", "temperature"), prices=PRICES),
    ModelSettings(id="fine-tuned"),
)


@pytest.fixture
async def simulator() -> AsyncGenerator[OpenAISimulator, None]:
    async with OpenAISimulator(api_key="secret") as simulator:
        yield simulator


def adapter(simulator: OpenAISimulator, **settings: Any) -> OpenAIChatModel:
    given: dict[str, Any] = {"base_url": simulator.base_url, "api_key": SecretStr("secret"), **settings}
    return OpenAIChatModel("acme", OpenAISettings(**given), ProviderTools(Endpoint, SteadyEngine()))


async def ask(chat_model: OpenAIChatModel, model_id: str = "sim-1") -> None:
    spec = CompletionSpec()
    spec.messages.add(role="ROLE_USER").parts.add(text="Hi")
    async for _ in chat_model.stream(spec, model_id, CALL, Delivery(incremental=True)):
        pass


async def test_the_operators_headers_are_sent(simulator: OpenAISimulator) -> None:
    chat_model = adapter(simulator, organization="org", project="proj", headers={"X-Extra": SecretStr("extra")})
    await ask(chat_model)
    await chat_model.close()

    headers = simulator.requests[0].headers
    assert ("Bearer secret", "org", "proj", "extra") == tuple(
        headers[name] for name in ("Authorization", "OpenAI-Organization", "OpenAI-Project", "X-Extra")
    )


async def test_no_key_no_credentials() -> None:
    async with OpenAISimulator(api_key=None) as simulator:
        chat_model = adapter(simulator, api_key=None)
        await ask(chat_model)
        await chat_model.close()

        assert "Authorization" not in simulator.requests[0].headers


def test_credentials_are_not_shown() -> None:
    settings = OpenAISettings(api_key=SecretStr("secret"), headers={"X-Extra": SecretStr("hidden")})

    for shown in (repr(settings), str(settings), repr(settings.to_endpoint_settings())):
        assert "secret" not in shown.replace("api_key=SecretStr", "").replace("'**********'", "")
        assert "hidden" not in shown


async def test_a_listed_model_is_what_the_operator_said(simulator: OpenAISimulator) -> None:
    model = adapter(simulator, models=LISTED).describe("sim-1")

    assert model is not None
    assert ("acme/sim-1", "acme", 8192, 1024) == (model.name, model.provider, model.context_window_tokens, model.max_output_tokens)
    assert [model_pb2.CAPABILITY_TOOLS, model_pb2.CAPABILITY_TEMPERATURE] == list(model.capabilities)
    prices = model.prices
    assert ("USD", 2_500_000, 10_000_000, 1, "2026-11") == (
        prices.currency_code,
        prices.input_micros_per_million,
        prices.output_micros_per_million,
        prices.cache_read_micros_per_million,
        prices.price_table_version,
    )
    assert not prices.HasField("cache_write_micros_per_million")


async def test_an_unlisted_model_knows_what_the_dialect_knows(simulator: OpenAISimulator) -> None:
    model = adapter(simulator, models=LISTED).describe("anything")

    assert model is not None
    assert list(CAPABILITIES) == list(model.capabilities)
    assert not model.HasField("prices")


async def test_unlisted_models_can_be_refused(simulator: OpenAISimulator) -> None:
    chat_model = adapter(simulator, models=LISTED, accept_unlisted=False)

    assert chat_model.describe("anything") is None
    assert ["acme/sim-1", "acme/fine-tuned"] == [model.name for model in await chat_model.list_models()]
    assert [] == simulator.requests


async def test_models_are_discovered_once_in_a_while(simulator: OpenAISimulator) -> None:
    chat_model = adapter(simulator, models=LISTED)

    for _ in range(3):
        assert ["acme/sim-1", "acme/fine-tuned", "acme/sim-2"] == [model.name for model in await chat_model.list_models()]
    await chat_model.close()

    assert 1 == len(simulator.requests)


async def test_listed_models_are_there_when_the_provider_is_not(simulator: OpenAISimulator) -> None:
    chat_model = adapter(simulator, models=LISTED)
    simulator.script_models(internal_error())

    for _ in range(2):
        assert ["acme/sim-1", "acme/fine-tuned"] == [model.name for model in await chat_model.list_models()]
    await chat_model.close()

    assert 1 == len(simulator.requests)


async def test_ping_tells_what_is_wrong(simulator: OpenAISimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_module, "_PING_TIMEOUT_S", 0.1)
    chat_model = adapter(simulator)
    reasons: list[int] = []
    for reply in (unauthorized(), Silence()):
        simulator.script_models(reply)
        with pytest.raises(AntiphonError) as caught:
            await chat_model.ping()
        reasons.append(caught.value.reason)
    await chat_model.ping()
    await chat_model.close()

    assert [Reason.ERROR_REASON_PROVIDER_AUTHENTICATION_FAILED, Reason.ERROR_REASON_PROVIDER_UNAVAILABLE] == reasons


async def test_a_count_says_that_it_is_an_estimate(simulator: OpenAISimulator) -> None:
    count = await adapter(simulator).count_tokens(CompletionSpec(), "sim-1", CALL)

    assert (True, "o200k_base") == (count.estimated, count.tokenizer)


WRONG: dict[str, dict[str, Any]] = {
    "no scheme": {"base_url": "api.example.org"},
    "unknown key": {"apikey": "x"},
    "a user in the address, and a key": {"base_url": "https://me:word@api.example.org", "api_key": "k"},
    "a user in the address, and a header": {"base_url": "https://me:word@api.example.org", "headers": {"authorization": "k"}},
    "unknown capability": {"models": [{"id": "a", "capabilities": ["telepathy"]}]},
    "a capability without a form": {"models": [{"id": "a", "capabilities": ["top_k"]}]},
    "the same model twice": {"models": [{"id": "a"}, {"id": "a"}]},
    "a price below a millionth": {
        "models": [{"id": "a", "prices": {"input_per_million": "0.0000001", "output_per_million": 1, "table_version": "1"}}]
    },
    "a price without a version": {"models": [{"id": "a", "prices": {"input_per_million": 1, "output_per_million": 1}}]},
}


@pytest.mark.parametrize("settings", WRONG.values(), ids=WRONG)
def test_wrong_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        OpenAISettings.model_validate(settings)


def test_settings_as_they_stand_in_a_file() -> None:
    settings = OpenAISettings.model_validate(
        {
            "base_url": "http://localhost:8000/v1/",
            "api_key": "secret",
            "models": [{"id": "a", "capabilities": ["tools"]}],
            "max_tokens_parameter": "max_tokens",
        }
    )

    assert ("http://localhost:8000/v1", ("tools",)) == (settings.base_url, settings.models[0].capabilities)


def test_the_kind_is_found_as_a_plugin() -> None:
    kind = load_provider_types()["openai"]

    chat_model = kind.build("acme", kind.settings(), ProviderTools(Endpoint, SteadyEngine()))
    assert "acme" == chat_model.provider
