"""The adapter of the embedded model is a `ChatModel`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from antiphon.egress.configured import Endpoint
from antiphon.plugins import ProviderTools
from antiphon.ports.embedded_model import EngineAddress
from antiphon.providers.local import LocalChatModel
from tests.conformance.chat_model import ChatModelSuite
from tests.conformance.engines import SteadyEngine
from tests.conformance.simulated import SimulatedSubject
from tests.simulators.openai import OpenAISimulator, RecordedRequest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


def count(_: RecordedRequest) -> dict[str, Any]:
    return {"input_tokens": 5}


class TestLocal(ChatModelSuite):
    """The suite over the simulator in the place of the engine."""

    @pytest.fixture
    async def subject(self) -> AsyncGenerator[SimulatedSubject, None]:
        async with OpenAISimulator(
            api_key="engine-key", models=["tiny"], extra_parameters=["top_k"], extra_routes={"/v1/chat/completions/tokens": count}
        ) as simulator:
            engine = SteadyEngine(EngineAddress(simulator.base_url, "engine-key"))
            chat_model = LocalChatModel("local", ProviderTools(Endpoint, engine))
            yield SimulatedSubject(chat_model, "tiny", simulator)
            await chat_model.close()
