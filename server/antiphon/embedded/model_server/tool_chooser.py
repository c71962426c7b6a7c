"""Chooses the tool for a message by the similarity of their embeddings.

The small model cannot choose among tools. A tool's score is the cosine similarity of the user's message to the tool's
description, to its name, and to both with its parameters, plus a small share for words that occur in one tool alone.
Whether any tool is meant is decided against sentences that mean none: small talk, general knowledge, writing. Weights
and threshold were set on `bench/tool_choice/calibration.json`, which shares no tool and no sentence with the prompts
that the choice is measured with; see `bench/tool_choice/README.md`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antiphon.embedded.model_server.tools import Tool

_DESCRIPTION_WEIGHT = 0.5
_WHOLE_WEIGHT = 0.3
_NAME_WEIGHT = 0.2
_WORDS_WEIGHT = 0.05
# Of the best tool's score less the similarity to the nearest sentence that means no tool.
_THRESHOLD = -0.08

_NO_TOOL_SENTENCES = (
    "Hello, how are you?",
    "Good morning, nice to meet you.",
    "Thank you very much, goodbye.",
    "Who are you and what is your name?",
    "Tell me a joke.",
    "Tell me a story.",
    "Write a poem.",
    "Explain how something works.",
    "What does this word mean?",
    "What is the difference between two things?",
    "Who was that person in history?",
    "What is the capital of a country?",
    "Why does nature behave like that?",
    "Calculate a sum of two numbers.",
    "Give me advice about life.",
    "Write a program.",
    "Summarise a book.",
)
_STOP_WORDS = frozenset(
    [
        "a",
        "an",
        "the",
        "of",
        "to",
        "in",
        "on",
        "at",
        "for",
        "and",
        "or",
        "is",
        "are",
        "was",
        "be",
        "it",
        "i",
        "me",
        "my",
        "you",
        "your",
        "we",
        "our",
        "do",
        "does",
        "did",
        "how",
        "what",
        "where",
        "when",
        "who",
        "which",
        "that",
        "this",
        "with",
        "from",
        "by",
        "can",
        "could",
        "please",
        "have",
        "has",
        "need",
        "want",
        "would",
        "like",
        "there",
        "one",
        "as",
        "if",
        "not",
        "so",
        "s",
        "t",
        "m",
        "re",
        "ve",
        "ll",
    ]
)
_ENDINGS = ("ations", "ation", "ings", "ing", "ments", "ment", "ers", "er", "ies", "es", "s", "ed", "e", "y")


class TextEmbedder(Protocol):
    """Turns texts into vectors of length 1."""

    def similarities(self, text: str, others: Sequence[str]) -> list[float]:
        """Cosine similarity of `text` to each of `others`; blocks."""
        ...


@dataclass(frozen=True, slots=True)
class Choice:
    """The best tool; `is_meant` says whether the message asks for a tool at all."""

    tool: Tool
    is_meant: bool
    score: float
    margin: float


def choose_tool(embedder: TextEmbedder, message: str, tools: Sequence[Tool]) -> Choice:
    """Choose the tool that fits a user's message; blocks for some milliseconds a new tool.

    Args:
        embedder: Computes the similarities.
        message: What the user said.
        tools: At least one; the first of equally good ones wins.
    """
    names = [_words(tool.name) for tool in tools]
    descriptions = [tool.description or name for tool, name in zip(tools, names, strict=True)]
    wholes = [
        f"{name}: {tool.description} {', '.join(_words(text) for text in tool.parameter_texts)}"
        for tool, name in zip(tools, names, strict=True)
    ]
    similarities = embedder.similarities(message, [*descriptions, *wholes, *names, *_NO_TOOL_SENTENCES])
    count = len(tools)
    shared_words = _rare_word_shares(message, wholes)
    scores = [
        _DESCRIPTION_WEIGHT * similarities[number]
        + _WHOLE_WEIGHT * similarities[count + number]
        + _NAME_WEIGHT * similarities[2 * count + number]
        + _WORDS_WEIGHT * shared_words[number]
        for number in range(count)
    ]
    best = max(range(count), key=scores.__getitem__)
    margin = scores[best] - max(similarities[3 * count :])
    return Choice(tools[best], margin >= _THRESHOLD, scores[best], margin)


def _words(name: str) -> str:
    """`getOrderStatus` and `get_order-status` as "get order status"."""
    return re.sub(r"[_\-.]+", " ", re.sub(r"([a-z])([A-Z])", r"\1 \2", name)).lower()


def _stems(text: str) -> frozenset[str]:
    return frozenset(_stem(word) for word in re.findall(r"[a-z0-9]+", _words(text)) if word not in _STOP_WORDS)


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending)
    return word


def _rare_word_shares(message: str, texts: Sequence[str]) -> list[float]:
    """From 0 to 1 for each text: how many of its words stand in the message, weighed by inverse document frequency."""
    stems_of = [_stems(text) for text in texts]
    spoken = _stems(message)
    count = len(texts)
    full = 2 * math.log((count + 1) / 2) or 1.0

    def weight(stem: str) -> float:
        return math.log((count + 1) / (1 + sum(stem in stems for stems in stems_of)))

    return [min(1.0, sum(weight(stem) for stem in spoken & stems) / full) for stems in stems_of]
