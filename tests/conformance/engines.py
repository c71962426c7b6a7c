"""Embedded engines for tests: somewhere else than in a process."""

from __future__ import annotations

from dataclasses import dataclass, field

from antiphon.ports.embedded_model import EngineAddress, EnginePhase


@dataclass
class SteadyEngine:
    """An engine that listens where it is told.

    Attributes:
        address: Where it listens.
        failure: Raised instead of listening.
        starts: How often it was asked to run.
    """

    address: EngineAddress = field(default_factory=lambda: EngineAddress("http://127.0.0.1:1/v1", "engine-key"))
    failure: Exception | None = None
    phase: EnginePhase = EnginePhase.IDLE
    model_id: str = "tiny"
    context_window_tokens: int = 4096
    starts: int = 0

    async def ensure_running(self) -> EngineAddress:
        self.starts += 1
        if self.failure is not None:
            self.phase = EnginePhase.FAILED
            raise self.failure
        self.phase = EnginePhase.READY
        return self.address

    async def ping(self) -> None:
        if self.failure is not None:
            raise self.failure

    async def close(self) -> None:
        self.phase = EnginePhase.IDLE
