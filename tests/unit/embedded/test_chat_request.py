"""A request is read completely: what cannot be honoured is an error that names the field."""

from __future__ import annotations

from typing import Any

import pytest

from antiphon.embedded.model_server.chat_request import ChatRequest, parse_chat_request
from antiphon.embedded.model_server.conversation import as_prompt, parse_messages
from antiphon.embedded.model_server.engine import PromptMessage, Sampling
from antiphon.embedded.model_server.errors import BadRequestError, ModelNotFoundError

_HELLO: Any = [{"role": "user", "content": "hello"}]


def _function(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **fields}}


_TOOLS = [_function("one", description="The first."), _function("two", parameters={"properties": {}})]


def _parse(**body: Any) -> ChatRequest:
    return parse_chat_request({"model": "m", "messages": _HELLO, **body}, "m", default_max_tokens=77)


def test_sampling_is_read() -> None:
    request = _parse(
        temperature=0,
        top_p=0.5,
        top_k=3,
        max_tokens=9,
        stop="x",
        seed=4,
        frequency_penalty=0.1,
        presence_penalty=-1,
        logprobs=True,
        top_logprobs=2,
    )
    expected = Sampling(
        temperature=0,
        top_p=0.5,
        top_k=3,
        max_tokens=9,
        stop=("x",),
        seed=4,
        frequency_penalty=0.1,
        presence_penalty=-1,
        logprobs=True,
        top_logprobs=2,
    )
    assert expected == request.sampling


def test_defaults() -> None:
    request = _parse()
    assert (Sampling(max_tokens=77), False, False, None, "none") == (
        request.sampling,
        request.stream,
        request.include_usage,
        request.constraint,
        request.tool_choice.mode,
    )


def test_max_completion_tokens_goes_before_max_tokens() -> None:
    assert 5 == _parse(max_completion_tokens=5, max_tokens=9).sampling.max_tokens


_REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("messages", {"messages": []}),
    ("messages[0].role", {"messages": [{"role": "wizard", "content": "x"}]}),
    ("messages[0].content", {"messages": [{"role": "user"}]}),
    ("messages[0].content[0]", {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
    ("messages[0].tool_call_id", {"messages": [{"role": "tool", "content": "x"}]}),
    ("temperature", {"temperature": 3}),
    ("temperature", {"temperature": True}),
    ("top_p", {"top_p": "high"}),
    ("max_tokens", {"max_tokens": 0}),
    ("seed", {"seed": 1.5}),
    ("stop", {"stop": ["a", "b", "c", "d", "e"]}),
    ("stop", {"stop": "a", "response_format": {"type": "json_object"}}),
    ("top_logprobs", {"top_logprobs": 2}),
    ("n", {"n": 2}),
    ("stream", {"stream": "yes"}),
    ("logit_bias", {"logit_bias": {"1": 2}}),
    ("response_format.type", {"response_format": {"type": "xml"}}),
    ("response_format.json_schema.schema", {"response_format": {"type": "json_schema"}}),
    ("tools", {"tools": {}}),
    ("tools", {"tools": [_function("one"), _function("one")]}),
    ("tools[0].type", {"tools": [{"type": "web_search"}]}),
    ("tools[0].function.name", {"tools": [{"type": "function", "function": {}}]}),
    ("tools[0].function.parameters", {"tools": [_function("one", parameters="none")]}),
    ("tool_choice", {"tool_choice": "required"}),
    ("tool_choice", {"tools": _TOOLS, "tool_choice": _function("three")}),
    ("tool_choice", {"tools": _TOOLS, "tool_choice": "maybe"}),
    (
        "tool_choice.allowed_tools",
        {"tools": _TOOLS, "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "none"}}},
    ),
]


@pytest.mark.parametrize(("param", "body"), _REFUSED)
def test_a_field_that_cannot_be_honoured_is_refused_by_name(param: str, body: dict[str, Any]) -> None:
    with pytest.raises(BadRequestError) as refused:
        _parse(**body)
    assert param == refused.value.param


def test_another_model_is_not_found() -> None:
    with pytest.raises(ModelNotFoundError) as refused:
        _parse(model="other")
    assert "model_not_found" == refused.value.code


@pytest.mark.parametrize(
    ("choice", "mode", "names"),
    [
        (None, "auto", ["one", "two"]),
        ("auto", "auto", ["one", "two"]),
        ("none", "none", ["one", "two"]),
        ("required", "required", ["one", "two"]),
        (_function("two"), "required", ["two"]),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [_function("two")]}},
            "auto",
            ["two"],
        ),
    ],
)
def test_every_form_of_tool_choice_is_read(choice: Any, mode: str, names: list[str]) -> None:
    tool_choice = _parse(tools=_TOOLS, tool_choice=choice).tool_choice
    assert (mode, names) == (tool_choice.mode, [tool.name for tool in tool_choice.tools])


def test_calls_and_results_are_put_in_roles_that_the_template_knows() -> None:
    messages = parse_messages(
        [
            {"role": "user", "content": [{"type": "text", "text": "Weather"}, {"type": "text", "text": "in Oslo?"}]},
            {"role": "system", "content": "Be short."},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "c", **_function("w", arguments="{}")}]},
            {"role": "tool", "tool_call_id": "c", "content": "rain"},
        ]
    )
    expected = (
        PromptMessage("system", "Be short."),
        PromptMessage("user", "Weather\nin Oslo?"),
        PromptMessage("assistant", "I call w with {}."),
        PromptMessage("user", "w returned this result: rain\nAnswer my question with this result."),
    )
    assert expected == as_prompt(messages)
