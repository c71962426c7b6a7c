"""An engine that says what a test tells it to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from antiphon.embedded.model_server.engine import Finished, TextDelta

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from antiphon.embedded.model_server.engine import Generation, PromptMessage


class FakeEngine:
    """Implements `Engine`: answers call after call with the given texts, a character a delta."""

    def __init__(self, *answers: str, reason: str = "stop", stall: bool = False) -> None:
        self._answers = list(answers)
        self._reason = reason
        self._stall = stall
        self.asked: list[Generation] = []
        self.stopped = 0

    async def generate(self, generation: Generation) -> AsyncGenerator[TextDelta | Finished, None]:
        self.asked.append(generation)
        answer = self._answers.pop(0)
        try:
            for character in answer:
                yield TextDelta(character)
            if self._stall:
                await asyncio.Event().wait()
            yield Finished(self._reason, prompt_tokens=5, completion_tokens=len(answer))
        finally:
            self.stopped += 1

    async def count_prompt_tokens(self, messages: tuple[PromptMessage, ...]) -> int:
        return sum(len(message.content.split()) for message in messages)


class FakeEmbedder:
    """Implements `TextEmbedder`: 1 for texts that hold the given word, else 0."""

    def __init__(self, word: str) -> None:
        self._word = word

    def similarities(self, text: str, others: Sequence[str]) -> list[float]:  # noqa: ARG002 - the port has it
        return [float(self._word in other) for other in others]
