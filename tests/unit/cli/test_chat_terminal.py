"""In a terminal the chat answers, Ctrl-C stops an answer and nothing else, and commands do what /help says."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo

from antiphon.api.core.v1.completion_pb2 import FinishReason
from antiphon.api.model.v1.model_service_pb2 import ListModelsResponse, ModelStatus
from tests.unit.cli.terminal import CTRL_C, CTRL_D, CTRL_U, READY, Terminal
from tests.unit.client.fake_server import Failure, FakeServer, Hang, completed, events, model, text_part

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def chat(server: FakeServer, open_terminal: Callable[..., Terminal]) -> Terminal:
    del server
    return open_terminal("chat").see("Antiphon · local/tiny · /help").see(READY)


def asked(server: FakeServer) -> list[list[str]]:
    return [[message.parts[0].text for message in request.spec.messages] for request in server.requests("StreamComplete")]


def test_questions_are_answered_and_remembered(server: FakeServer, chat: Terminal) -> None:
    chat.say("Hi").see("Hello there").see("3 tokens in, 2 out · first token after").see(READY)
    chat.say("And then?").see("Hello there").see(READY).type(CTRL_D)
    assert 0 == chat.exit_code()
    assert [["Hi"], ["Hi", "Hello there", "And then?"]] == asked(server)


def test_markdown_is_rendered(server: FakeServer, chat: Terminal) -> None:
    server.will(
        "StreamComplete",
        events(*text_part("# Fruit\n\n", "- **ap", "ple**\n- pear\n\n", "```\na = 1\n\nb = 2\n``", "`\n\nEnd"), completed()),
    )
    chat.say("Hi").see("tokens in")
    assert "**" not in chat.shown
    assert "```" not in chat.shown
    for expected in ("Fruit", "• apple", "• pear", "a = 1", "b = 2", "End"):
        assert expected in chat.shown


def test_ctrl_c_stops_the_answer_and_the_next_question_works(server: FakeServer, chat: Terminal) -> None:
    server.will("StreamComplete", [*events(*text_part("Once upon")), Hang()])
    chat.say("A story").see("Once upon").type(CTRL_C).see("stopped").see(READY)
    assert server.cancelled.wait(10)
    chat.say("Shorter").see("Hello there").see(READY).type(CTRL_D)
    assert 0 == chat.exit_code()
    assert ["A story", "Once upon", "Shorter"] == asked(server)[1]


def test_ctrl_c_before_the_first_token_takes_the_question_back(server: FakeServer, chat: Terminal) -> None:
    server.will("StreamComplete", [*events(), Hang()])
    chat.say("A story").see("…")
    while not server.requests("StreamComplete"):
        time.sleep(0.01)
    chat.type(CTRL_C).see("stopped").see(READY)
    chat.say("Hi").see("Hello there").see(READY).say("/quit")
    assert 0 == chat.exit_code()
    assert ["Hi"] == asked(server)[1]


def test_ctrl_c_at_the_prompt_empties_the_line(server: FakeServer, chat: Terminal) -> None:
    chat.type("never mi").see("never mi").type(CTRL_C).see(READY)
    chat.say("Hi").see("Hello there").see(READY).type(CTRL_D)
    assert 0 == chat.exit_code()
    assert [["Hi"]] == asked(server)


def test_a_failure_is_a_line_and_the_chat_goes_on(server: FakeServer, chat: Terminal) -> None:
    info = ErrorInfo(reason="PROVIDER_UNAVAILABLE", domain="antiphon.api")
    server.will("StreamComplete", [*events(*text_part("Half")), Failure(grpc.StatusCode.UNAVAILABLE, "it went away", [info])])
    chat.say("Hi").see("Half").see("PROVIDER_UNAVAILABLE: it went away").see(READY)
    chat.say("Again").see("Hello there").see(READY).type(CTRL_D)
    assert 0 == chat.exit_code()
    assert "Traceback" not in chat.shown


def test_what_is_typed_while_an_answer_is_drawn_is_neither_shown_nor_kept(server: FakeServer, chat: Terminal) -> None:
    server.will("StreamComplete", [*events(*text_part("Once upon")), Hang()])
    chat.say("A story").see("Once upon").type("typed ahead\r")
    time.sleep(0.2)
    chat.type(CTRL_C).see("stopped").see(READY)
    chat.say("Next").see("Hello there").see(READY).type(CTRL_D)
    assert 0 == chat.exit_code()
    assert "^C" not in chat.shown
    assert "typed ahead" not in chat.shown
    assert "Next" == asked(server)[1][-1]


def test_a_cut_off_answer_says_so(server: FakeServer, chat: Terminal) -> None:
    server.will("StreamComplete", events(*text_part("Hel"), completed(FinishReason.FINISH_REASON_LENGTH)))
    chat.say("Hi").see("cut off at the token limit")


def test_commands(server: FakeServer, chat: Terminal, tmp_path: Path) -> None:
    chat.say("/help").see("/models").see("/save FILE").see(READY)
    chat.say("/models").see("acme/large").see("local/tiny").see("8,192").see(READY)
    chat.say("/model acme/large").see("model: acme/large").see(READY)
    missing = ErrorInfo(reason="MODEL_NOT_FOUND", domain="antiphon.api", metadata={"model": "acme/nope"})
    server.will("GetModel", Failure(grpc.StatusCode.NOT_FOUND, "no such model", [missing]))
    chat.say("/model acme/nope").see("there is no model 'acme/nope'").see(READY)
    chat.say("/system Be brief.").see("instructions: Be brief.").see(READY)
    chat.say("Hi").see("Hello there").see(READY)
    chat.say("/save chat.md").see("saved to chat.md").see(READY)
    chat.say("/save chat.json").see("saved to chat.json").see(READY)
    chat.say("/save chat.txt").see("neither Markdown (.md) nor JSON (.json)").see(READY)
    chat.say("/save no/such/folder/chat.md").see("cannot be written").see(READY)
    chat.say("/clear").see("a new conversation begins").see(READY)
    chat.say("/nonsense").see("there is no command /nonsense").see(READY)
    chat.say("Anew").see("Hello there").see(READY).say("/quit")
    assert 0 == chat.exit_code()
    assert ["acme/large"] * 2 == [request.spec.model for request in server.requests("StreamComplete")]
    assert [["Be brief.", "Hi"], ["Be brief.", "Anew"]] == asked(server)
    markdown = "# Conversation with acme/large\n\n## System\n\nBe brief.\n\n## You\n\nHi\n\n## Model\n\nHello there\n"
    assert markdown == (tmp_path / "chat.md").read_text(encoding="utf-8")
    document = json.loads((tmp_path / "chat.json").read_text(encoding="utf-8"))
    assert ("acme/large", ["ROLE_SYSTEM", "ROLE_USER", "ROLE_ASSISTANT"]) == (
        document["model"],
        [one["role"] for one in document["messages"]],
    )


def test_questions_of_earlier_chats_come_back_and_are_private(
    chat: Terminal, open_terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    chat.say("Remember me").see("Hello there").see(READY).type(CTRL_D)
    assert 0 == chat.exit_code()
    later = open_terminal("chat").see(READY).type("\x1b[A").see("Remember me").type(CTRL_U + CTRL_D)
    assert 0 == later.exit_code()
    assert 0o600 == (tmp_path / "state" / "antiphon" / "chat_history").stat().st_mode & 0o777


def test_a_prompt_in_a_terminal_is_answered_once(server: FakeServer, open_terminal: Callable[..., Terminal]) -> None:
    terminal = open_terminal("chat", "--model", "acme/large", "--temperature", "0", "Hi").see("Hello there").see("first token after")
    assert 0 == terminal.exit_code()
    spec = server.requests("StreamComplete")[0].spec
    assert ("acme/large", 0.0, True) == (spec.model, spec.sampling.temperature, spec.sampling.HasField("temperature"))


def test_ctrl_c_ends_a_prompt_in_a_terminal_with_130(server: FakeServer, open_terminal: Callable[..., Terminal]) -> None:
    server.will("StreamComplete", [*events(*text_part("Once upon")), Hang()])
    terminal = open_terminal("chat", "A story").see("Once upon").type(CTRL_C).see("stopped")
    assert 130 == terminal.exit_code()


def test_a_model_that_is_not_loaded_is_said_to_start(server: FakeServer, open_terminal: Callable[..., Terminal]) -> None:
    idle = model("local/tiny", "default")
    idle.status = ModelStatus.MODEL_STATUS_NOT_LOADED
    server.will("ListModels", ListModelsResponse(models=[idle]))
    server.will("StreamComplete", [*events(), Hang()])
    terminal = open_terminal("chat").see(READY).say("Hi").see("starting the model")
    while not server.requests("StreamComplete"):
        time.sleep(0.01)
    terminal.type(CTRL_C).see("stopped").see(READY)
    terminal.say("Hi").see("Hello there").see(READY).type(CTRL_D)
    assert 0 == terminal.exit_code()


def test_no_server_is_a_line(open_terminal: Callable[..., Terminal]) -> None:
    terminal = open_terminal("chat", "--target", "127.0.0.1:1").see("no server answers at 127.0.0.1:1; start one with `antiphon serve`")
    assert 4 == terminal.exit_code()
    assert "Traceback" not in terminal.shown
