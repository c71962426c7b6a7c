"""A growing Markdown text is cut only between finished blocks, and a conversation keeps no half answers but their text."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time

import pytest
from rich.console import Console

from antiphon.cli.answers import settled_length, show_rendered
from antiphon.cli.conversation import Conversation
from antiphon_client import Client, Completion, Message, Part, Role, ToolCall, contract
from tests.unit.client.fake_server import FakeServer, completed, events, text_part


@pytest.mark.parametrize(
    ("settled", "growing"),
    [
        ("", "one line"),
        ("", "one\ntwo"),
        ("one\n\n", "two"),
        ("one\n\ntwo\n\n", ""),
        ("one\n\n", "```\na\n\nb"),
        ("one\n\n```\na\n\nb\n```\n\n", "two"),
        ("", "~~~\na\n\nb"),
        ("a ``` b\n\n", "c"),
    ],
)
def test_only_whole_blocks_are_settled(settled: str, growing: str) -> None:
    assert len(settled) == settled_length(settled + growing)


def test_the_reading_thread_alone_draws(server: FakeServer) -> None:
    """A second thread that draws erases lines above the answer, as it writes between a print and its cursor movements."""
    seen: set[int] = set()

    class Watched(io.StringIO):
        def write(self, text: str) -> int:
            seen.add(threading.get_ident())
            time.sleep(0.05)
            return super().write(text)

    server.will("StreamComplete", events(*text_part(*["one\n\n"] * 10), completed()))
    with Client(server.target) as client:
        show_rendered(client.completions.stream(model="m", messages="Hi"), Console(file=Watched(), force_terminal=True, width=80))
    assert {threading.get_ident()} == seen


def answer(*parts: Part) -> Completion:
    return Completion(contract.core.Completion(message=Message(role=Role.ASSISTANT, parts=list(parts))))


def test_a_stopped_answer_keeps_its_text_alone() -> None:
    conversation = Conversation("m")
    conversation.note("Hi", answer(Part(text="Half"), Part(tool_call=ToolCall(call_id="c", name="t", arguments='{"a'))), whole=False)
    assert ["Hi", "Half"] == [message.parts[0].text for message in conversation.turns]
    assert 1 == len(conversation.turns[1].parts)


@pytest.mark.parametrize("parts", [[], [Part(text="")]])
def test_a_question_without_an_answer_is_not_kept(parts: list[Part]) -> None:
    conversation = Conversation("m")
    conversation.note("Hi", answer(*parts), whole=False)
    assert [] == conversation.turns


@pytest.mark.parametrize(
    ("module", "libraries"),
    [
        ("main", ["antiphon_client", "betterproto2", "grpc", "prompt_toolkit", "rich"]),
        ("serve", ["antiphon_client", "betterproto2", "prompt_toolkit"]),
    ],
)
def test_a_server_carries_none_of_the_chats_libraries(module: str, libraries: list[str]) -> None:
    code = f"import sys, antiphon.cli.{module}; sys.exit(str([name for name in {libraries} if name in sys.modules]))"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=50)
    assert "[]\n" == finished.stderr
