"""What the command line said of a chat, and how a question is asked by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from antiphon.cli.conversation import Conversation
from antiphon.cli.failures import say

if TYPE_CHECKING:
    from pathlib import Path

    from antiphon_client import Client, CompletionStream


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatSettings:
    """What the command line said.

    Attributes:
        model: The model; None for the server's default.
        system: Instructions for it.
        temperature: Randomness; None for the provider's own.
        max_tokens: The most tokens of an answer; None for no limit of ours.
        as_json: Whether events are printed as JSON.
        state_home: Where programs keep their state.
    """

    model: str | None
    system: str
    temperature: float | None
    max_tokens: int | None
    as_json: bool
    state_home: Path

    def open_conversation(self, client: Client) -> Conversation | None:
        """A conversation with the model that was named, else with what the server calls `default`, else with its first; None where it has none."""
        if self.model is not None:
            return Conversation(self.model, self.system)
        found = list(client.models.list())
        if not found:
            say("the server has no model; `antiphon doctor` says why")
            return None
        chosen = next((one for one in found if "default" in one.aliases), found[0])
        conversation = Conversation(chosen.name, self.system)
        conversation.choose(chosen)
        return conversation

    def ask(self, client: Client, conversation: Conversation, question: str) -> CompletionStream:
        """Starts an answer."""
        parameters: Any = {"temperature": self.temperature, "max_output_tokens": self.max_tokens}
        return client.completions.stream(model=conversation.model, messages=conversation.asking(question), **parameters)
