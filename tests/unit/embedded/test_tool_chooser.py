"""The tool whose words are nearest to the message is chosen, and none is meant where nothing is near."""

from __future__ import annotations

from typing import TYPE_CHECKING

from antiphon.embedded.model_server.tool_chooser import choose_tool
from antiphon.embedded.model_server.tools import Tool

if TYPE_CHECKING:
    from collections.abc import Sequence

_TOOLS = (
    Tool("get_weather", "Forecast for a place."),
    Tool("sendMail", "Write to somebody."),
    Tool("set.timer", "Count down."),
)


class _WordEmbedder:
    """1 for texts that hold the word, else 0."""

    def __init__(self, word: str) -> None:
        self._word = word
        self.seen: list[str] = []

    def similarities(self, text: str, others: Sequence[str]) -> list[float]:
        self.seen = [text, *others]
        return [float(self._word in other) for other in others]


def test_the_nearest_description_wins() -> None:
    choice = choose_tool(_WordEmbedder("Count down"), "three minutes please", _TOOLS)
    assert ("set.timer", True) == (choice.tool.name, choice.is_meant)


def test_names_are_compared_as_words() -> None:
    embedder = _WordEmbedder("send mail")
    choice = choose_tool(embedder, "tell her", _TOOLS)
    assert "sendMail" == choice.tool.name
    assert {"get weather", "send mail", "set timer"} <= set(embedder.seen)


def test_a_message_nearer_to_small_talk_means_no_tool() -> None:
    choice = choose_tool(_WordEmbedder("joke"), "make me laugh", _TOOLS)
    assert not choice.is_meant


def test_a_word_that_only_one_tool_has_decides_between_equals() -> None:
    choice = choose_tool(_WordEmbedder("nothing has this"), "write a line", _TOOLS)
    assert "sendMail" == choice.tool.name


def test_a_tool_without_a_description_is_known_by_its_name() -> None:
    embedder = _WordEmbedder("look up")
    choice = choose_tool(embedder, "find it", (Tool("other", "Does it."), Tool("look_up", "")))
    assert "look_up" == choice.tool.name
