"""The embedded model's adapter follows its engine: to where it listens now, through crashes and restarts."""

from __future__ import annotations

import pytest

from antiphon.api.core.v1.completion_pb2 import CompletionSpec
from antiphon.api.model.v1 import model_service_pb2 as model_pb2
from antiphon.egress.configured import Endpoint
from antiphon.errors import AntiphonError, Reason, UnavailableError
from antiphon.plugins import ProviderTools, load_provider_types
from antiphon.ports.call import CallContext
from antiphon.ports.chat_model import Delivery, TokenCount
from antiphon.ports.embedded_model import EngineAddress, EnginePhase
from antiphon.providers.local import LocalChatModel
from tests.conformance.answers import Answer, collect
from tests.conformance.engines import SteadyEngine
from tests.simulators.openai import OpenAISimulator, RecordedRequest

CALL = CallContext(call_id="call", method="/test")


def adapter(engine: SteadyEngine) -> LocalChatModel:
    return LocalChatModel("local", ProviderTools(Endpoint, engine))


def asked() -> CompletionSpec:
    spec = CompletionSpec()
    spec.messages.add(role="ROLE_USER").parts.add(text="Hi")
    return spec


async def ask(chat_model: LocalChatModel, spec: CompletionSpec | None = None) -> Answer:
    batches = chat_model.stream(spec or asked(), "tiny", CALL, Delivery(incremental=True))
    return collect([event async for batch in batches for event in batch])


async def test_a_restarted_engine_is_followed() -> None:
    engine = SteadyEngine()
    chat_model = adapter(engine)
    for key in ("first", "second"):
        async with OpenAISimulator(api_key=key, models=["tiny"]) as simulator:
            engine.address = EngineAddress(simulator.base_url, key)
            assert "You said: Hi" == (await ask(chat_model)).text
            assert "You said: Hi" == (await ask(chat_model)).text
            assert 1 == simulator.open_connections
    await chat_model.close()


async def test_a_crash_is_unavailable_for_a_moment() -> None:
    chat_model = adapter(SteadyEngine())

    with pytest.raises(AntiphonError) as caught:
        await ask(chat_model)
    await chat_model.close()

    assert (Reason.ERROR_REASON_PROVIDER_UNAVAILABLE, 1.0) == (caught.value.reason, caught.value.retry_after_s)


async def test_an_engine_that_cannot_run_says_why() -> None:
    failure = UnavailableError(Reason.ERROR_REASON_EMBEDDED_MODEL_UNAVAILABLE, "install it")
    chat_model = adapter(SteadyEngine(failure=failure))

    for calling in (ask(chat_model), chat_model.count_tokens(asked(), "tiny", CALL), chat_model.ping()):
        with pytest.raises(UnavailableError, match="install it"):
            await calling


async def test_parameters_of_the_engine_are_plain_fields() -> None:
    async with OpenAISimulator(api_key="key", models=["tiny"], extra_parameters=["top_k"]) as simulator:
        chat_model = adapter(SteadyEngine(EngineAddress(simulator.base_url, "key")))
        spec = asked()
        spec.sampling.top_k = 3
        spec.sampling.max_output_tokens = 2
        await ask(chat_model, spec)
        await chat_model.close()

        body = simulator.requests[0].body
        assert (3, 2) == (body["top_k"], body["max_tokens"])


async def test_tokens_are_counted_by_the_engine() -> None:
    counted: list[RecordedRequest] = []

    def count(record: RecordedRequest) -> dict[str, int]:
        counted.append(record)
        return {"input_tokens": 42}

    async with OpenAISimulator(api_key="key", extra_routes={"/v1/chat/completions/tokens": count}) as simulator:
        chat_model = adapter(SteadyEngine(EngineAddress(simulator.base_url, "key")))
        assert TokenCount(42, estimated=False, tokenizer="tiny") == await chat_model.count_tokens(asked(), "tiny", CALL)
        await chat_model.close()

    assert {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}]} == counted[0].body


async def test_a_count_that_is_no_number_is_a_protocol_error() -> None:
    def count(_: RecordedRequest) -> dict[str, str]:
        return {"input_tokens": "many"}

    async with OpenAISimulator(api_key="key", extra_routes={"/v1/chat/completions/tokens": count}) as simulator:
        chat_model = adapter(SteadyEngine(EngineAddress(simulator.base_url, "key")))
        with pytest.raises(AntiphonError) as caught:
            await chat_model.count_tokens(asked(), "tiny", CALL)
        await chat_model.close()

    assert Reason.ERROR_REASON_PROVIDER_PROTOCOL_ERROR == caught.value.reason


PHASES = [
    (EnginePhase.IDLE, model_pb2.MODEL_STATUS_NOT_LOADED),
    (EnginePhase.STARTING, model_pb2.MODEL_STATUS_LOADING),
    (EnginePhase.READY, model_pb2.MODEL_STATUS_READY),
    (EnginePhase.FAILED, model_pb2.MODEL_STATUS_UNAVAILABLE),
]


@pytest.mark.parametrize(("phase", "status"), PHASES)
def test_the_models_status_is_the_engines_phase(phase: EnginePhase, status: model_pb2.ModelStatus) -> None:
    model = adapter(SteadyEngine(phase=phase)).describe("tiny")

    assert model is not None
    assert (status, 4096) == (model.status, model.context_window_tokens)
    assert model_pb2.CAPABILITY_EXACT_TOKEN_COUNT in model.capabilities
    assert not model.HasField("prices")


def test_there_is_one_model() -> None:
    assert adapter(SteadyEngine()).describe("other") is None


async def test_asking_what_there_is_starts_nothing() -> None:
    engine = SteadyEngine()
    chat_model = adapter(engine)

    assert ["local/tiny"] == [model.name for model in await chat_model.list_models()]
    await chat_model.ping()

    assert 0 == engine.starts


def test_the_kind_is_found_as_a_plugin() -> None:
    kind = load_provider_types()["local"]

    assert "local" == kind.build("local", kind.settings(), ProviderTools(Endpoint, SteadyEngine())).provider
