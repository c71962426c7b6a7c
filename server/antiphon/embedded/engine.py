"""The embedded model as the core's port knows it: the supervisor, its failures told in the contract's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from antiphon.embedded.model_config import EmbeddedModelConfig
from antiphon.embedded.model_errors import EmbeddedModelBackingOff, EmbeddedModelCrashed, EmbeddedModelError, EmbeddedModelUnavailable
from antiphon.embedded.model_supervisor import EmbeddedModelSupervisor, StartProgress
from antiphon.errors import Reason, UnavailableError
from antiphon.ports.embedded_model import EngineAddress, EnginePhase
from antiphon.telemetry.logs import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from antiphon.config import EmbeddedModelSection

_RETRY_AFTER_S = 1.0


class EmbeddedModelEngine:
    """Implements the port `EmbeddedModel` over the supervisor."""

    def __init__(self, config: EmbeddedModelConfig, on_phase: Callable[[EnginePhase], None] = lambda _: None) -> None:
        """Take the configuration; nothing is started before the first use.

        Args:
            config: How the process is run.
            on_phase: Called on the event loop whenever the phase changes.
        """
        self._config = config
        self._on_phase = on_phase
        self._log = logger("antiphon.embedded")
        self._phase = EnginePhase.IDLE
        self._supervisor = EmbeddedModelSupervisor(config, on_progress=self._progressed, on_line=self._printed)

    @property
    def model_id(self) -> str:
        """The model's name."""
        return self._config.model_name

    @property
    def context_window_tokens(self) -> int:
        """The most tokens of input and output together for one call."""
        return self._config.context_tokens

    @property
    def phase(self) -> EnginePhase:
        """Where the engine is now."""
        return self._phase

    async def ensure_running(self) -> EngineAddress:
        """Starts the engine unless it runs, and returns where it listens.

        Raises:
            UnavailableError: It cannot run here (EMBEDDED_MODEL_UNAVAILABLE).
        """
        try:
            endpoint = await self._supervisor.ensure_running()
        except EmbeddedModelError as error:
            self._enter(EnginePhase.FAILED)
            raise _told(error) from error
        return EngineAddress(endpoint.base_url, endpoint.api_key)

    async def ping(self) -> None:
        """Returns while the engine runs, or would start at the next call: a process that died says nothing against the next one.

        Raises:
            UnavailableError: It cannot run here (EMBEDDED_MODEL_UNAVAILABLE).
        """
        try:
            await self._supervisor.ping()
        except EmbeddedModelError as error:
            if not (self._phase is EnginePhase.IDLE and isinstance(error, EmbeddedModelCrashed)):
                raise _told(error) from error

    async def close(self) -> None:
        """Ends the process and waits for it."""
        await self._supervisor.close()

    def _progressed(self, progress: StartProgress) -> None:
        if progress.phase == "ended":
            self._enter(EnginePhase.IDLE)
            self._log.warning("embedded model ended by itself", lived_s=round(progress.elapsed_s, 2))
            return
        self._enter(EnginePhase.READY if progress.phase == "ready" else EnginePhase.STARTING)
        self._log.info("embedded model", phase=progress.phase, elapsed_s=round(progress.elapsed_s, 2))

    def _enter(self, phase: EnginePhase) -> None:
        if phase is not self._phase:
            self._phase = phase
            self._on_phase(phase)

    def _printed(self, line: str) -> None:
        self._log.debug("embedded model says", line=line)


def engine_of(section: EmbeddedModelSection, on_phase: Callable[[EnginePhase], None] = lambda _: None) -> EmbeddedModelEngine:
    """Makes the engine that the configuration describes; nothing is started before its first use."""
    return EmbeddedModelEngine(
        EmbeddedModelConfig(
            gguf_path=section.weights,
            model_name=section.name,
            threads=section.threads,
            parallel_slots=section.slots,
            context_tokens=section.context_tokens,
            start_timeout_s=section.start_timeout_s,
        ),
        on_phase,
    )


def _told(error: EmbeddedModelError) -> UnavailableError:
    """A missing package stays missing: only what may pass invites a retry. What the process printed stays in the log."""
    if isinstance(error, EmbeddedModelUnavailable):
        return UnavailableError(Reason.ERROR_REASON_EMBEDDED_MODEL_UNAVAILABLE, str(error))
    retry_after_s = error.retry_after_s if isinstance(error, EmbeddedModelBackingOff) else _RETRY_AFTER_S
    return UnavailableError(
        Reason.ERROR_REASON_EMBEDDED_MODEL_UNAVAILABLE,
        "the embedded model's process is not running; it is started again at the next call",
        retry_after_s=retry_after_s,
    )
