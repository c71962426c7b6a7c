"""A specification becomes the body that OpenAI's reference describes; what has no form there is an error that names the field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from google.protobuf import json_format

from antiphon.api.core.v1.completion_pb2 import CompletionSpec
from antiphon.errors import InvalidRequestError, Reason
from antiphon.wire.openai import provider_state
from antiphon.wire.openai.dialect import Dialect
from antiphon.wire.openai.request import to_body

if TYPE_CHECKING:
    from antiphon.api.core.v1.error_pb2 import ErrorReason

OPENAI = Dialect("openai")
ASKED = {"role": "ROLE_USER", "parts": [{"text": "Hi"}]}
# "bytes" in protobuf's JSON form, which is base64.
BYTES = "Ynl0ZXM="


def body_of(spec: dict[str, Any], dialect: Dialect = OPENAI, *, stream: bool = False) -> dict[str, Any]:
    message = json_format.ParseDict({"messages": [ASKED], **spec}, CompletionSpec())
    return orjson.loads(to_body(message, "model-1", dialect, stream=stream))


def messages_of(*messages: dict[str, Any], dialect: Dialect = OPENAI) -> list[dict[str, Any]]:
    return body_of({"messages": list(messages)}, dialect)["messages"]


def test_nothing_is_sent_that_was_not_set() -> None:
    assert {"model": "model-1", "messages": [{"role": "user", "content": "Hi"}]} == body_of({"labels": {"team": "a"}})


def test_a_stream_asks_for_usage() -> None:
    body = body_of({}, stream=True)

    assert (True, {"include_usage": True}) == (body["stream"], body["stream_options"])


CALL = {"toolCall": {"callId": "call_1", "name": "weather", "arguments": '{"city":"Bonn"}'}}
WRITTEN_CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Bonn"}'}}

MESSAGES: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "system": ({"role": "ROLE_SYSTEM", "parts": [{"text": "Be brief."}]}, [{"role": "system", "content": "Be brief."}]),
    "system of several parts": (
        {"role": "ROLE_SYSTEM", "parts": [{"text": "a"}, {"text": "b"}]},
        [{"role": "system", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
    ),
    "empty text": ({"role": "ROLE_USER", "parts": [{"text": ""}]}, [{"role": "user", "content": ""}]),
    "image bytes": (
        {"role": "ROLE_USER", "parts": [{"text": "What?"}, {"blob": {"mediaType": "image/png", "data": BYTES}}]},
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What?"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{BYTES}"}},
                ],
            }
        ],
    ),
    "image by address": (
        {"role": "ROLE_USER", "parts": [{"uri": {"uri": "https://example.org/a.png", "mediaType": "image/png"}}]},
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]}],
    ),
    "address of unknown type": (
        {"role": "ROLE_USER", "parts": [{"uri": {"uri": "https://example.org/a"}}]},
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.org/a"}}]}],
    ),
    "wav": (
        {"role": "ROLE_USER", "parts": [{"blob": {"mediaType": "audio/x-wav", "data": BYTES}}]},
        [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": BYTES, "format": "wav"}}]}],
    ),
    "mp3": (
        {"role": "ROLE_USER", "parts": [{"blob": {"mediaType": "audio/mpeg", "data": BYTES}}]},
        [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": BYTES, "format": "mp3"}}]}],
    ),
    "pdf": (
        {"role": "ROLE_USER", "parts": [{"blob": {"mediaType": "application/pdf", "data": BYTES, "filename": "a.pdf"}}]},
        [
            {
                "role": "user",
                "content": [{"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{BYTES}"}}],
            }
        ],
    ),
    "pdf without a name": (
        {"role": "ROLE_USER", "parts": [{"blob": {"mediaType": "application/pdf", "data": BYTES}}]},
        [
            {
                "role": "user",
                "content": [{"type": "file", "file": {"filename": "document.pdf", "file_data": f"data:application/pdf;base64,{BYTES}"}}],
            }
        ],
    ),
    "assistant": (
        {"role": "ROLE_ASSISTANT", "parts": [{"text": "a"}, {"citation": {"uri": "https://example.org/"}}, {"text": "b"}]},
        [{"role": "assistant", "content": "ab"}],
    ),
    "assistant that thought": (
        {"role": "ROLE_ASSISTANT", "parts": [{"reasoning": {"text": "hm"}}, {"text": "a"}]},
        [{"role": "assistant", "content": "a"}],
    ),
    "assistant with a call": (
        {"role": "ROLE_ASSISTANT", "parts": [{"text": "Let me see."}, CALL]},
        [{"role": "assistant", "content": "Let me see.", "tool_calls": [WRITTEN_CALL]}],
    ),
    "a call alone": (
        {"role": "ROLE_ASSISTANT", "parts": [CALL]},
        [{"role": "assistant", "content": None, "tool_calls": [WRITTEN_CALL]}],
    ),
    "tool results": (
        {
            "role": "ROLE_TOOL",
            "parts": [
                {"toolResult": {"callId": "call_1", "parts": [{"text": "sunny"}]}},
                {"toolResult": {"callId": "call_2"}},
                {"toolResult": {"callId": "call_3", "parts": [{"text": "no such city"}], "isError": True}},
                {"toolResult": {"callId": "call_4", "parts": [{"text": "a"}, {"text": "b"}], "isError": True}},
            ],
        },
        [
            {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
            {"role": "tool", "tool_call_id": "call_2", "content": ""},
            {"role": "tool", "tool_call_id": "call_3", "content": "Error: no such city"},
            {
                "role": "tool",
                "tool_call_id": "call_4",
                "content": [{"type": "text", "text": "Error: "}, {"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            },
        ],
    ),
}


@pytest.mark.parametrize(("message", "written"), MESSAGES.values(), ids=MESSAGES)
def test_message(message: dict[str, Any], written: list[dict[str, Any]]) -> None:
    assert written == messages_of(message)


def test_reasoning_is_sent_back_where_the_endpoint_wants_it() -> None:
    dialect = Dialect("deep", reasoning_field="reasoning_content")
    message = {"role": "ROLE_ASSISTANT", "parts": [{"reasoning": {"text": "hm"}}, {"text": "a"}]}

    assert [{"role": "assistant", "content": "a", "reasoning_content": "hm"}] == messages_of(message, dialect=dialect)


UNSUPPORTED: dict[str, tuple[dict[str, Any], str]] = {
    "text file": ({"role": "ROLE_USER", "parts": [{"blob": {"mediaType": "text/plain", "data": BYTES}}]}, "spec.messages[1].parts[0].blob"),
    "ogg": (
        {"role": "ROLE_USER", "parts": [{"text": "a"}, {"blob": {"mediaType": "audio/ogg", "data": BYTES}}]},
        "spec.messages[1].parts[1].blob",
    ),
    "pdf by address": (
        {"role": "ROLE_USER", "parts": [{"uri": {"uri": "https://example.org/a.pdf", "mediaType": "application/pdf"}}]},
        "spec.messages[1].parts[0].uri",
    ),
    "system image": ({"role": "ROLE_SYSTEM", "parts": [{"blob": {"mediaType": "image/png", "data": BYTES}}]}, "spec.messages[1].parts[0]"),
    "assistant image": (
        {"role": "ROLE_ASSISTANT", "parts": [{"blob": {"mediaType": "image/png", "data": BYTES}}]},
        "spec.messages[1].parts[0]",
    ),
    "empty part": ({"role": "ROLE_USER", "parts": [{}]}, "spec.messages[1].parts[0]"),
    "tool image": (
        {
            "role": "ROLE_TOOL",
            "parts": [{"toolResult": {"callId": "c", "parts": [{"text": "a"}, {"blob": {"mediaType": "image/png", "data": BYTES}}]}}],
        },
        "spec.messages[1].parts[0].tool_result.parts[1]",
    ),
    "tool text": ({"role": "ROLE_TOOL", "parts": [{"text": "a"}]}, "spec.messages[1].parts[0]"),
}


@pytest.mark.parametrize(("message", "field"), UNSUPPORTED.values(), ids=UNSUPPORTED)
def test_content_without_a_form(message: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        messages_of(ASKED, message)

    assert Reason.ERROR_REASON_UNSUPPORTED_CONTENT == caught.value.reason
    assert [field] == [violation.field for violation in caught.value.violations]


PARAMETERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "sampling": (
        {
            "sampling": {
                "maxOutputTokens": 5,
                "temperature": 0.0,
                "topP": 0.5,
                "topK": 3,
                "stop": ["a", "b"],
                "seed": "7",
                "frequencyPenalty": -1.0,
                "presencePenalty": 1.0,
            }
        },
        {
            "max_completion_tokens": 5,
            "temperature": 0.0,
            "top_p": 0.5,
            "top_k": 3,
            "stop": ["a", "b"],
            "seed": 7,
            "frequency_penalty": -1.0,
            "presence_penalty": 1.0,
        },
    ),
    "log-probabilities": ({"sampling": {"topLogprobs": 0}}, {"logprobs": True, "top_logprobs": 0}),
    "tool": (
        {"tools": [{"name": "weather", "description": "Tells.", "inputSchema": '{"type": "object"}', "strict": True}]},
        {
            "tools": [
                {
                    "type": "function",
                    "function": {"name": "weather", "description": "Tells.", "parameters": {"type": "object"}, "strict": True},
                }
            ]
        },
    ),
    "tool without arguments": (
        {"tools": [{"name": "now"}]},
        {
            "tools": [
                {
                    "type": "function",
                    "function": {"name": "now", "parameters": {"type": "object", "properties": {}, "additionalProperties": False}},
                }
            ]
        },
    ),
    "parallel calls": ({"parallelToolCalls": False}, {"parallel_tool_calls": False}),
    "text": ({"responseFormat": {"text": {}}}, {}),
    "json object": ({"responseFormat": {"jsonObject": {}}}, {"response_format": {"type": "json_object"}}),
    "json schema": (
        {"responseFormat": {"jsonSchema": {"schema": '{"type":"object"}'}}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "response", "schema": {"type": "object"}}}},
    ),
    "strict json schema": (
        {"responseFormat": {"jsonSchema": {"name": "person", "schema": "{}", "strict": False}}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "person", "schema": {}, "strict": False}}},
    ),
    "no effort": ({"reasoning": {"effort": "REASONING_EFFORT_NONE"}}, {"reasoning_effort": "none"}),
    "much effort": ({"reasoning": {"effort": "REASONING_EFFORT_HIGH"}}, {"reasoning_effort": "high"}),
    "default effort": ({"reasoning": {}}, {}),
    "options": (
        {"providerOptions": {"openai": {"user": "u", "logit_bias": {"5": -100}, "list": [1, 1.5, None, True]}, "other": {"x": 1}}},
        {"user": "u", "logit_bias": {"5": -100}, "list": [1, 1.5, None, True]},
    ),
    "options stand over fields": (
        {"sampling": {"temperature": 0.5}, "providerOptions": {"openai": {"temperature": 1}}},
        {"temperature": 1},
    ),
}


@pytest.mark.parametrize(("spec", "fields"), PARAMETERS.values(), ids=PARAMETERS)
def test_parameters(spec: dict[str, Any], fields: dict[str, Any]) -> None:
    body = body_of(spec)

    assert {"model": "model-1", "messages": [{"role": "user", "content": "Hi"}], **fields} == body


def test_older_servers_have_their_own_name_for_the_token_limit() -> None:
    body = body_of({"sampling": {"maxOutputTokens": 5}}, Dialect("old", max_tokens_parameter="max_tokens"))

    assert (5, False) == (body["max_tokens"], "max_completion_tokens" in body)


CHOICES: dict[str, tuple[dict[str, Any], Any]] = {
    "unset": ({}, "auto"),
    "auto": ({"mode": "TOOL_CHOICE_MODE_AUTO"}, "auto"),
    "none": ({"mode": "TOOL_CHOICE_MODE_NONE"}, "none"),
    "required": ({"mode": "TOOL_CHOICE_MODE_REQUIRED"}, "required"),
    "one tool": (
        {"mode": "TOOL_CHOICE_MODE_REQUIRED", "allowedToolNames": ["a"]},
        {"type": "function", "function": {"name": "a"}},
    ),
    "one of two tools": (
        {"mode": "TOOL_CHOICE_MODE_REQUIRED", "allowedToolNames": ["a", "b"]},
        {
            "type": "allowed_tools",
            "allowed_tools": {
                "mode": "required",
                "tools": [{"type": "function", "function": {"name": "a"}}, {"type": "function", "function": {"name": "b"}}],
            },
        },
    ),
    "perhaps one tool": (
        {"allowedToolNames": ["a"]},
        {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "a"}}]}},
    ),
}


@pytest.mark.parametrize(("choice", "written"), CHOICES.values(), ids=CHOICES)
def test_tool_choice(choice: dict[str, Any], written: Any) -> None:
    assert written == body_of({"tools": [{"name": "a"}, {"name": "b"}], "toolChoice": choice})["tool_choice"]


def test_a_schema_keeps_its_numbers_and_the_order_of_its_keys() -> None:
    schema = '{"b": 1.0, "a": 123456789012345678901234567890}'
    spec = json_format.ParseDict({"messages": [ASKED], "tools": [{"name": "a", "inputSchema": schema}]}, CompletionSpec())

    assert schema.encode() in to_body(spec, "model-1", OPENAI, stream=False)


REFUSED: dict[str, tuple[dict[str, Any], ErrorReason, str]] = {
    "broken schema": (
        {"tools": [{"name": "a"}, {"name": "b", "inputSchema": '{}, "model": "x"'}]},
        Reason.ERROR_REASON_INVALID_JSON_SCHEMA,
        "spec.tools[1].input_schema",
    ),
    "schema that is no object": (
        {"responseFormat": {"jsonSchema": {"schema": "true"}}},
        Reason.ERROR_REASON_INVALID_JSON_SCHEMA,
        "spec.response_format.json_schema.schema",
    ),
    **{
        f"option {key}": (
            {"providerOptions": {"openai": {key: 1}}},
            Reason.ERROR_REASON_INVALID_FIELD,
            f'spec.provider_options["openai"].{key}',
        )
        for key in ("model", "messages", "stream", "stream_options", "n")
    },
}


@pytest.mark.parametrize(("spec", "reason", "field"), REFUSED.values(), ids=REFUSED)
def test_refused(spec: dict[str, Any], reason: ErrorReason, field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        body_of(spec)

    assert (reason, [field]) == (caught.value.reason, [violation.field for violation in caught.value.violations])


def test_an_option_that_is_no_number_is_refused() -> None:
    spec = CompletionSpec()
    spec.provider_options["openai"].update({"deep": {"list": [float("nan")]}})

    with pytest.raises(InvalidRequestError) as caught:
        to_body(spec, "model-1", OPENAI, stream=False)

    assert ['spec.provider_options["openai"].deep.list[0]'] == [violation.field for violation in caught.value.violations]


def test_a_huge_option_stays_a_floating_point_number() -> None:
    spec = CompletionSpec()
    spec.provider_options["openai"].update({"big": 1e300, "small": -3.0})

    body = orjson.loads(to_body(spec, "model-1", OPENAI, stream=False))

    assert (1e300, -3) == (body["big"], body["small"])
    assert isinstance(body["small"], int)


def test_state_goes_back_to_its_provider_alone() -> None:
    state = provider_state.encode("gemini", {"extra_content": {"google": {"thought_signature": "abc"}}, "function": {"hint": 1}})
    spec = CompletionSpec()
    part = json_format.ParseDict(CALL, spec.messages.add(role="ROLE_ASSISTANT").parts.add())
    part.provider_state = state

    (to_gemini,) = orjson.loads(to_body(spec, "m", Dialect("gemini"), stream=False))["messages"]
    (to_openai,) = orjson.loads(to_body(spec, "m", OPENAI, stream=False))["messages"]

    function = {"name": "weather", "arguments": '{"city":"Bonn"}', "hint": 1}
    extra = {"extra_content": {"google": {"thought_signature": "abc"}}}
    assert [{"id": "call_1", "type": "function", "function": function, **extra}] == to_gemini["tool_calls"]
    assert [WRITTEN_CALL] == to_openai["tool_calls"]


@pytest.mark.parametrize(
    "state",
    [
        b"not json",
        b"[]",
        b'{"provider": "openai"}',
        b'{"provider": "openai", "tool_call": 1}',
        b'{"provider": "openai", "tool_call": {"id": "x", "type": "y", "function": {"name": "evil", "arguments": "{}"}}}',
        b'{"provider": "openai", "tool_call": {"function": 1}}',
    ],
)
def test_state_from_the_caller_cannot_stand_over_the_call(state: bytes) -> None:
    spec = CompletionSpec()
    part = json_format.ParseDict(CALL, spec.messages.add(role="ROLE_ASSISTANT").parts.add())
    part.provider_state = state

    (message,) = orjson.loads(to_body(spec, "m", OPENAI, stream=False))["messages"]

    assert [WRITTEN_CALL] == message["tool_calls"]
