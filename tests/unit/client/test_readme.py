"""Every Python example of the client's README runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from antiphon.api.completion.v1.completion_service_pb2 import CompleteResponse
from antiphon.api.core.v1.completion_pb2 import Completion
from antiphon.api.core.v1.message_pb2 import Message, Part, Role, ToolCall

if TYPE_CHECKING:
    from tests.unit.client.fake_server import FakeServer

README = Path(__file__).parents[3] / "clients" / "python" / "README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_there_are_examples() -> None:
    assert 3 == len(EXAMPLES)


@pytest.mark.parametrize("example", EXAMPLES)
def test_example(server: FakeServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], example: str) -> None:
    monkeypatch.setenv("ANTIPHON_TARGET", server.target)
    if "Tool" in example:
        call = Part(tool_call=ToolCall(call_id="c1", name="weather", arguments='{"city": "Ghent"}'))
        server.will("Complete", CompleteResponse(completion=Completion(message=Message(role=Role.ROLE_ASSISTANT, parts=[call]))))
    exec(compile(example, str(README), "exec"), {"__name__": "example"})  # noqa: S102  # our own text
    assert "Hello there" in capsys.readouterr().out
    if "Tool" in example:
        result = server.requests("Complete")[1].spec.messages[-1].parts[0].tool_result
        assert ("c1", "18 degrees in Ghent") == (result.call_id, result.parts[0].text)
