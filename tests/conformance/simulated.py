"""The subject of the suite that is an adapter over the simulator of OpenAI's API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.simulators.openai import Answer, Delivery, OpenAISimulator, Silence, ToolCall, internal_error, rate_limited

if TYPE_CHECKING:
    from antiphon.ports.chat_model import ChatModel


@dataclass
class SimulatedSubject:
    """An adapter and the simulator that it asks."""

    chat_model: ChatModel
    model_id: str
    simulator: OpenAISimulator

    def answers(self, *pieces: str) -> None:
        self.simulator.script(Answer(tokens=pieces))

    def paces(self, delay_s: float, *pieces: str) -> None:
        self.simulator.script(Answer(tokens=pieces, delivery=Delivery(token_delay_s=delay_s)))

    def calls_tools(self, *calls: tuple[str, tuple[str, ...]]) -> None:
        self.simulator.script(Answer(tool_calls=tuple(ToolCall(name, pieces) for name, pieces in calls)))

    def keeps_silent(self) -> None:
        self.simulator.script(Silence())

    # The stream's first event names the role, so that n pieces are over after n + 1 events.

    def stalls(self, *pieces: str) -> None:
        self.simulator.script(Answer(tokens=pieces, delivery=Delivery(stall_after=len(pieces) + 1)))

    def breaks_off(self, *pieces: str) -> None:
        self.simulator.script(Answer(tokens=pieces, delivery=Delivery(reset_after=len(pieces) + 1)))

    def stops_short(self, *pieces: str) -> None:
        self.simulator.script(Answer(tokens=pieces, delivery=Delivery(truncate_after=len(pieces) + 1)))

    def throttles(self, retry_after_s: int) -> None:
        self.simulator.script(rate_limited(retry_after=str(retry_after_s)))

    def fails(self) -> None:
        self.simulator.script(internal_error())

    async def disconnected(self) -> float:
        return await self.simulator.disconnected()
