"""The adapter of OpenAI's chat completions is a `ChatModel`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from antiphon.egress.configured import Endpoint
from antiphon.plugins import ProviderTools
from antiphon.providers.openai import OpenAIChatModel, OpenAISettings
from tests.conformance.chat_model import ChatModelSuite
from tests.conformance.engines import SteadyEngine
from tests.conformance.simulated import SimulatedSubject
from tests.simulators.openai import OpenAISimulator

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class TestOpenAI(ChatModelSuite):
    """The suite over the simulator."""

    @pytest.fixture
    async def subject(self) -> AsyncGenerator[SimulatedSubject, None]:
        async with OpenAISimulator(api_key="secret") as simulator:
            settings = OpenAISettings(base_url=simulator.base_url, api_key=SecretStr("secret"))
            chat_model = OpenAIChatModel("openai", settings, ProviderTools(Endpoint, SteadyEngine()))
            yield SimulatedSubject(chat_model, "sim-1", simulator)
            await chat_model.close()
