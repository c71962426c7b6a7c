"""What has been said in a chat, and how it is kept in a file."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from antiphon_client import Completion, Message, Role, assistant, system, user
from antiphon_client.contract import model

if TYPE_CHECKING:
    from pathlib import Path

_WAITING = "…"
_SPEAKERS = {Role.SYSTEM: "System", Role.USER: "You", Role.ASSISTANT: "Model"}


@dataclass(slots=True)
class Conversation:
    """A chat's turns.

    Attributes:
        model: The model that is asked.
        system: Instructions for it; empty for none.
        turns: What was said, oldest first, without the instructions.
        waiting: What to show until the next answer begins.
    """

    model: str
    system: str = ""
    turns: list[Message] = field(default_factory=list[Message])
    waiting: str = _WAITING

    def choose(self, chosen: model.Model) -> None:
        """Goes on with this model."""
        self.model = chosen.name
        self.waiting = "starting the model …" if chosen.status == model.ModelStatus.NOT_LOADED else _WAITING

    def asking(self, question: str) -> list[Message]:
        """The messages to send with the next question."""
        return [*([system(self.system)] if self.system else []), *self.turns, user(question)]

    def note(self, question: str, answer: Completion, *, whole: bool) -> None:
        """Keeps a question and its answer.

        Of an answer that was stopped only the text is kept, for its other parts may be cut off; without any text, neither is: no turn stays unanswered.
        """
        if whole or answer.text:
            self.waiting = _WAITING
        message = answer.message if whole else assistant(answer.text)
        if any(part.text or part.tool_call for part in message.parts):
            self.turns += [user(question), message]

    def save(self, path: Path) -> None:
        """Writes the conversation, as Markdown or as JSON by the file's suffix.

        Raises:
            ValueError: The suffix is neither.
            OSError: The file cannot be written.
        """
        writers = {".md": self._as_markdown, ".markdown": self._as_markdown, ".json": self._as_json}
        writer = writers.get(path.suffix.lower())
        if writer is None:
            raise ValueError(f"{path.name!r} says neither Markdown (.md) nor JSON (.json)")
        path.write_text(writer(), encoding="utf-8")

    def _messages(self) -> list[Message]:
        return [*([system(self.system)] if self.system else []), *self.turns]

    def _as_markdown(self) -> str:
        sections = [f"# Conversation with {self.model}"]
        for message in self._messages():
            content = "".join(part.text for part in message.parts if part.text is not None)
            sections.append(f"## {_SPEAKERS.get(message.role, str(message.role))}\n\n{content}")
        return "\n\n".join(sections) + "\n"

    def _as_json(self) -> str:
        document = {"model": self.model, "messages": [message.to_dict() for message in self._messages()]}
        return json.dumps(document, ensure_ascii=False, indent=2) + "\n"
