"""The port to whatever computes tokens, and the values that cross it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from antiphon.embedded.model_server.json_types import JsonObject


@dataclass(frozen=True, slots=True)
class PromptMessage:
    """A message as the chat template takes it; `role` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. None leaves the engine's default.

    Attributes:
        logprobs: Whether the log probabilities of the drawn tokens are wanted.
        top_logprobs: How many alternatives of each token are wanted with them.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logprobs: bool = False
    top_logprobs: int = 0

    @property
    def must_repeat(self) -> bool:
        """Whether the same request must give the same text again."""
        return self.temperature == 0 or self.seed is not None


@dataclass(frozen=True, slots=True)
class Generation:
    """What the engine is asked to generate; `grammar` constrains it (llguidance's Lark dialect)."""

    messages: tuple[PromptMessage, ...]
    sampling: Sampling
    grammar: str | None = None


@dataclass(frozen=True, slots=True)
class TextDelta:
    """Generated text, with the OpenAI `logprobs.content` entries of its tokens when they were asked for."""

    text: str
    logprobs: tuple[JsonObject, ...] = ()


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of a generation; `reason` is "stop" or "length"."""

    reason: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0


class Engine(Protocol):
    """Computes tokens of one loaded model."""

    def generate(self, generation: Generation) -> AsyncGenerator[TextDelta | Finished, None]:
        """Generate; the last event is Finished. Closing the generator stops the computation and frees its slot.

        Raises:
            ApiError: The engine refuses or fails.
        """
        ...

    async def count_prompt_tokens(self, messages: tuple[PromptMessage, ...]) -> int:
        """The tokens of the messages after the chat template was applied."""
        ...
