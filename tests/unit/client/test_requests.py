"""Strings, dictionaries and builders become exactly the contract's messages, and what cannot be read is refused, never dropped."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from antiphon.api.core.v1 import completion_pb2, message_pb2, tool_pb2
from antiphon_client import (
    Completion,
    Message,
    Part,
    Role,
    Tool,
    ToolCall,
    assistant,
    audio,
    completion_spec,
    contract,
    document,
    image,
    media,
    system,
    text,
    tool_call,
    tool_result,
    user,
)

if TYPE_CHECKING:
    from pathlib import Path

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 8


def spec_of(messages: Any = "Hi", **parameters: Any) -> completion_pb2.CompletionSpec:
    """The request as the server reads it."""
    return completion_pb2.CompletionSpec.FromString(bytes(completion_spec("acme/large", messages, parameters)))  # pyright: ignore[reportArgumentType]


def test_a_string_is_what_the_user_says() -> None:
    expected = message_pb2.Message(role=message_pb2.Role.ROLE_USER, parts=[message_pb2.Part(text="Hi")])
    assert [expected] == list(spec_of("Hi").messages)


def test_dictionaries_and_builders_say_the_same() -> None:
    built = [
        system("Be brief."),
        user("What is this?", image(PNG)),
        assistant("I look.", tool_call("c1", "look", {"depth": 2})),
        tool_result("c1", "a cat", is_error=False),
        "Thanks",
    ]
    mapped = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": ["What is this?", image(PNG)]},
        {"role": "assistant", "content": "I look.", "tool_calls": [{"call_id": "c1", "name": "look", "arguments": {"depth": 2}}]},
        {"role": "tool", "call_id": "c1", "content": "a cat"},
        {"role": "user", "content": "Thanks"},
    ]
    assert spec_of(built) == spec_of(mapped)
    assert ["text", "blob"] == [part.WhichOneof("content") for part in spec_of(built).messages[1].parts]


def test_a_completion_goes_back_as_it_came_and_an_empty_one_is_left_out() -> None:
    part = Part(text="Hm", provider_state=b"signature")
    answer = Completion(contract.core.Completion(message=Message(role=Role.ASSISTANT, parts=[part])))
    nothing = Completion(contract.core.Completion(message=Message(role=Role.ASSISTANT)))
    messages = spec_of(["Hi", nothing, "Hello?", answer, "Go on"]).messages
    assert ["Hi", "Hello?", "Hm", "Go on"] == [message.parts[0].text for message in messages]
    assert b"signature" == messages[2].parts[0].provider_state


@pytest.mark.parametrize(
    "message",
    [
        {"role": "robot", "content": "x"},
        {"content": "x"},
        {"role": "user", "text": "x"},
        {"role": "user", "content": "x", "tool_calls": []},
    ],
)
def test_a_dictionary_that_cannot_be_read_is_refused(message: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="message"):
        spec_of([message])


def test_all_parameters_reach_their_fields() -> None:
    spec = spec_of(
        tools=[Tool("look", "Looks.", {"type": "object"}, strict=True)],
        tool_choice="required",
        parallel_tool_calls=False,
        max_output_tokens=10,
        temperature=0,
        top_p=0.5,
        top_k=3,
        stop="END",
        seed=-1,
        frequency_penalty=0.1,
        presence_penalty=-0.1,
        top_logprobs=0,
        response_format={"type": "object"},
        reasoning_effort="low",
        provider_options={"acme": {"a": [1, {"b": None}], "c": ("x", True)}},
        unsupported_parameters="ignore",
        labels={"team": "blue"},
    )
    expected = completion_pb2.CompletionSpec(
        model="acme/large",
        messages=spec.messages,
        tools=[tool_pb2.Tool(name="look", description="Looks.", input_schema='{"type": "object"}', strict=True)],
        tool_choice=tool_pb2.ToolChoice(mode=tool_pb2.ToolChoiceMode.TOOL_CHOICE_MODE_REQUIRED),
        parallel_tool_calls=False,
        sampling=completion_pb2.SamplingParameters(
            max_output_tokens=10,
            temperature=0,
            top_p=0.5,
            top_k=3,
            stop=["END"],
            seed=-1,
            frequency_penalty=0.1,
            presence_penalty=-0.1,
            top_logprobs=0,
        ),
        response_format=completion_pb2.ResponseFormat(json_schema=completion_pb2.JsonSchemaFormat(schema='{"type": "object"}')),
        reasoning=completion_pb2.ReasoningOptions(effort=completion_pb2.ReasoningEffort.REASONING_EFFORT_LOW),
        unsupported_parameter_policy=completion_pb2.UnsupportedParameterPolicy.UNSUPPORTED_PARAMETER_POLICY_IGNORE,
        labels={"team": "blue"},
    )
    expected.provider_options["acme"].update({"a": [1, {"b": None}], "c": ["x", True]})
    assert expected == spec


def test_what_is_not_set_is_not_sent() -> None:
    assert {"model", "messages"} == {field.name for field, _ in spec_of(temperature=None).ListFields()}


@pytest.mark.parametrize(("form", "case"), [("text", "text"), ("json", "json_object"), ({"type": "object"}, "json_schema")])
def test_response_formats(form: Any, case: str) -> None:
    assert case == spec_of(response_format=form).response_format.WhichOneof("format")


def test_a_tool_as_choice_means_that_one() -> None:
    choice = spec_of(tools=[Tool("look")], tool_choice=Tool("look")).tool_choice
    assert (tool_pb2.ToolChoiceMode.TOOL_CHOICE_MODE_REQUIRED, ["look"]) == (choice.mode, list(choice.allowed_tool_names))


def test_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(TypeError, match="max_tokens"):
        spec_of(max_tokens=3)


def test_tool_results_name_their_call() -> None:
    message = tool_result(ToolCall(call_id="c9", name="look", arguments="{}"), text("no"), is_error=True)
    result = message.parts[0].tool_result
    assert result is not None
    assert ("c9", True, "no") == (result.call_id, result.is_error, result.parts[0].text)


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"RIFF\0\0\0\0WAVEfmt ", "audio/wav"),
        (b"%PDF-1.7", "application/pdf"),
    ],
)
def test_the_media_type_is_told_from_the_signature(data: bytes, media_type: str) -> None:
    blob = media(data).blob
    assert blob is not None
    assert (media_type, data) == (blob.media_type, blob.data)


def test_a_file_gives_its_bytes_its_name_and_its_type(tmp_path: Path) -> None:
    file = tmp_path / "notes.csv"
    file.write_bytes(b"a,b")
    blob = document(file).blob
    assert blob is not None
    assert ("text/csv", b"a,b", "notes.csv") == (blob.media_type, blob.data, blob.filename)


def test_an_address_is_passed_on() -> None:
    uri = image("https://example.org/cat.jpg").uri
    assert uri is not None
    assert ("https://example.org/cat.jpg", "") == (uri.uri, uri.media_type)


def test_no_text_can_name_a_file() -> None:
    with pytest.raises(ValueError, match=r"pathlib\.Path"):
        image("/etc/passwd")


def test_media_of_the_wrong_kind_or_of_none_are_refused() -> None:
    with pytest.raises(ValueError, match="audio"):
        audio(PNG)
    with pytest.raises(ValueError, match="media_type"):
        media(b"who knows")


def test_json_answers_are_read() -> None:
    answer = Completion(contract.core.Completion(message=assistant(json.dumps({"a": 1}))))
    assert {"a": 1} == answer.json()
