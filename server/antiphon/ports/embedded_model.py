"""The port to the model that runs beside the server."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol


class EnginePhase(Enum):
    """Where the engine is."""

    IDLE = "idle"
    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class EngineAddress:
    """Where the engine listens.

    Attributes:
        base_url: Its OpenAI-compatible address on loopback, as in `http://127.0.0.1:41234/v1`.
        api_key: The key it asks for; made anew at each start.
    """

    base_url: str
    api_key: str = field(repr=False)


class EmbeddedModel(Protocol):
    """A model engine in a process of its own, which speaks the OpenAI wire format on loopback."""

    @property
    def model_id(self) -> str:
        """The model's name, as in `smollm2-135m-instruct`."""
        ...

    @property
    def context_window_tokens(self) -> int:
        """The most tokens of input and output together for one call."""
        ...

    @property
    def phase(self) -> EnginePhase:
        """Where the engine is now."""
        ...

    async def ensure_running(self) -> EngineAddress:
        """Starts the engine unless it runs, and returns where it listens.

        Concurrent callers share one start. A crashed engine is started anew.

        Raises:
            UnavailableError: It cannot run here (EMBEDDED_MODEL_UNAVAILABLE); the message says how to mend it.
        """
        ...

    async def ping(self) -> None:
        """Returns while the engine runs or has not been needed yet; raises the last failure otherwise."""
        ...

    async def close(self) -> None:
        """Ends the process and waits for it."""
        ...
