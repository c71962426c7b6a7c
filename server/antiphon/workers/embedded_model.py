"""The embedded model as a worker has it: the supervisor owns the one process, and says where it listens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from antiphon.errors import Reason, UnavailableError
from antiphon.ports.embedded_model import EngineAddress, EnginePhase
from antiphon.workers.channel import ChannelAnswerError, ChannelClosedError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from antiphon.config import EmbeddedModelSection
    from antiphon.ports.embedded_model import EmbeddedModel
    from antiphon.workers.channel import Channel

ENSURE_RUNNING = "embedded_model.ensure_running"
PING = "embedded_model.ping"
PHASE = "embedded_model.phase"


class SharedEmbeddedModel:
    """Implements the port `EmbeddedModel` by asking the supervisor."""

    def __init__(self, section: EmbeddedModelSection, channel: Channel, phase: EnginePhase) -> None:
        self._section = section
        self._channel = channel
        self.phase = phase

    @property
    def model_id(self) -> str:
        """The model's name."""
        return self._section.name

    @property
    def context_window_tokens(self) -> int:
        """The most tokens of input and output together for one call."""
        return self._section.context_tokens

    async def ensure_running(self) -> EngineAddress:
        """Has the supervisor start the engine unless it runs, and returns where it listens.

        Raises:
            UnavailableError: It cannot run here (EMBEDDED_MODEL_UNAVAILABLE).
        """
        address = await self._asked(ENSURE_RUNNING)
        return EngineAddress(address["base_url"], address["api_key"])

    async def ping(self) -> None:
        """Returns while the engine runs or would start at the next call.

        Raises:
            UnavailableError: It cannot run here (EMBEDDED_MODEL_UNAVAILABLE).
        """
        await self._asked(PING)

    async def close(self) -> None:
        """Does nothing: the process is the supervisor's, and other workers use it."""

    async def _asked(self, name: str) -> Any:
        try:
            answer = await self._channel.ask(name)
        except (ChannelClosedError, ChannelAnswerError) as error:
            raise UnavailableError(
                Reason.ERROR_REASON_EMBEDDED_MODEL_UNAVAILABLE,
                "the process that runs the embedded model is gone; the server is shutting down",
                retry_after_s=1.0,
            ) from error
        if refused := answer.get("refused"):
            raise UnavailableError(
                Reason.ERROR_REASON_EMBEDDED_MODEL_UNAVAILABLE, refused["message"], retry_after_s=refused["retry_after_s"]
            )
        return answer


async def answer_for(engine: EmbeddedModel, name: str) -> dict[str, Any]:
    """Answers what a worker's `SharedEmbeddedModel` asks. The key leaves by no other way than the private socket."""
    if name == ENSURE_RUNNING:
        return await _told(_address_of(engine))
    return await _told(_pinged(engine))


async def _told(answer: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    try:
        return await answer
    except UnavailableError as error:
        return {"refused": {"message": error.message, "retry_after_s": error.retry_after_s}}


async def _address_of(engine: EmbeddedModel) -> dict[str, Any]:
    address = await engine.ensure_running()
    return {"base_url": address.base_url, "api_key": address.api_key}


async def _pinged(engine: EmbeddedModel) -> dict[str, Any]:
    await engine.ping()
    return {}
