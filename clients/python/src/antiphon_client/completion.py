"""A finished answer, or what there is of one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from antiphon_client.contract import core

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer. It can stand in the next call's `messages` as it is.

    Attributes:
        proto: The contract's message, with everything that the server sent.
    """

    proto: core.Completion

    @property
    def completion_id(self) -> str:
        """Names this completion in the server's logs."""
        return self.proto.completion_id

    @property
    def model(self) -> str:
        """The model that answered, as `provider/model`."""
        return self.proto.model

    @property
    def create_time(self) -> datetime | None:
        """When the server accepted the call."""
        return self.proto.create_time

    @property
    def message(self) -> core.Message:
        """The answer as a message."""
        return self.proto.message or core.Message(role=core.Role.ASSISTANT)

    @property
    def text(self) -> str:
        """All text of the answer."""
        return "".join(part.text for part in self.message.parts if part.text is not None)

    @property
    def reasoning(self) -> str:
        """All visible reasoning."""
        return "".join(part.reasoning.text for part in self.message.parts if part.reasoning is not None)

    @property
    def tool_calls(self) -> list[core.ToolCall]:
        """The tools that the model asks for."""
        return [part.tool_call for part in self.message.parts if part.tool_call is not None]

    @property
    def citations(self) -> list[core.Citation]:
        """The sources that the answer rests on."""
        return [part.citation for part in self.message.parts if part.citation is not None]

    @property
    def finish_reason(self) -> core.FinishReason:
        """Why the model stopped; UNSPECIFIED while it has not."""
        return self.proto.finish_reason

    @property
    def provider_finish_reason(self) -> str:
        """The same in the provider's own word."""
        return self.proto.provider_finish_reason

    @property
    def usage(self) -> core.Usage:
        """What it used; all zeros where the provider did not count."""
        return self.proto.usage or core.Usage()

    @property
    def ignored_parameters(self) -> list[str]:
        """The parameters that were set and left out under `unsupported_parameters="ignore"`."""
        return self.proto.ignored_parameters

    @property
    def log_probabilities(self) -> list[core.TokenLogProbability]:
        """Log-probabilities of the text's tokens, where they were asked for."""
        return self.proto.log_probabilities

    def json(self) -> Any:
        """The text, read as JSON; for calls with a JSON response format.

        Raises:
            ValueError: The text is no JSON, for example because it was cut off (`finish_reason` LENGTH).
        """
        return json.loads(self.text)
