"""Each kind of bad input has its own typed error, and none of it reaches a provider."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from antiphon.api.completion.v1 import completion_service_pb2 as pb
from antiphon.api.core.v1.completion_pb2 import CompletionSpec, UnsupportedParameterPolicy
from antiphon.api.core.v1.message_pb2 import Blob, Message, Part, Reasoning, Role, ToolCall, ToolResult, Uri
from antiphon.api.core.v1.tool_pb2 import Tool, ToolChoice, ToolChoiceMode
from antiphon.api.health.v1 import health_service_pb2 as health_api
from antiphon.api.model.v1 import model_service_pb2 as model_api
from antiphon.api.model.v1.model_service_pb2 import Capability
from antiphon.errors import DeadlineError, Reason
from antiphon.rpc.call import IncomingCall, RpcMethod, chain
from antiphon.rpc.interceptors import in_order
from antiphon.telemetry.metrics import Metrics
from tests.support.leaks import resident_bytes
from tests.support.scripted import ALL_CAPABILITIES, ScriptedModel, scripted_kinds
from tests.support.serving import COMPLETION, ServerUnderTest, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from google.protobuf.message import Message as ProtobufMessage

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODELS = "/antiphon.api.model.v1.ModelService"
HEALTH = "/antiphon.api.health.v1.HealthService"
STANDARD_HEALTH = "/grpc.health.v1.Health"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
LIMIT_BYTES = 2**20
INVALID = grpc.StatusCode.INVALID_ARGUMENT
REQUESTS: dict[str, Callable[[CompletionSpec], ProtobufMessage]] = {
    "Complete": lambda spec: pb.CompleteRequest(spec=spec),
    "StreamComplete": lambda spec: pb.StreamCompleteRequest(spec=spec),
    "CountTokens": lambda spec: pb.CountTokensRequest(spec=spec),
}


@pytest.fixture(scope="module")
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory, model: ScriptedModel) -> AsyncGenerator[ServerUnderTest, None]:
    settings = {
        "providers": {"scripted": {"type": "scripted"}},
        "aliases": {"default": "scripted/alpha"},
        "server": {"max_request_bytes": LIMIT_BYTES},
    }
    async with serving(tmp_path_factory.mktemp("bad_input"), settings, scripted_kinds(model)) as running:
        await running.channel.channel_ready()
        yield running


@pytest.fixture(autouse=True)
def capable(model: ScriptedModel) -> None:
    model.asked.clear()
    model.capabilities = ALL_CAPABILITIES


def text(words: str = "Hi", role: Role = Role.ROLE_USER) -> Message:
    return Message(role=role, parts=[Part(text=words)])


def call(call_id: str = "c1", arguments: str = "{}", name: str = "weather") -> Part:
    return Part(tool_call=ToolCall(call_id=call_id, name=name, arguments=arguments))


def asks(*calls: Part) -> Message:
    return Message(role=Role.ROLE_ASSISTANT, parts=calls)


def answers(*call_ids: str) -> Message:
    return Message(role=Role.ROLE_TOOL, parts=[Part(tool_result=ToolResult(call_id=one, parts=[Part(text="ok")])) for one in call_ids])


def spec(*messages: Message, **fields: Any) -> CompletionSpec:
    fields.setdefault("model", "scripted/alpha")
    return CompletionSpec(messages=messages or [text()], **fields)


def sampling(**fields: Any) -> CompletionSpec:
    built = spec()
    for name, value in fields.items():
        if isinstance(value, list):
            getattr(built.sampling, name).extend(value)
        else:
            setattr(built.sampling, name, value)
    return built


def schema(source: str) -> CompletionSpec:
    return spec(tools=[Tool(name="weather", input_schema=source)])


def answer_schema(source: str) -> CompletionSpec:
    built = spec()
    built.response_format.json_schema.schema = source
    return built


def blob(media_type: str, data: bytes) -> CompletionSpec:
    return spec(Message(role=Role.ROLE_USER, parts=[Part(blob=Blob(media_type=media_type, data=data))]))


def uri(address: str, media_type: str = "") -> CompletionSpec:
    return spec(Message(role=Role.ROLE_USER, parts=[Part(uri=Uri(uri=address, media_type=media_type))]))


def choice(mode: ToolChoiceMode, *allowed: str, tools: Sequence[str] = ("weather",)) -> CompletionSpec:
    return spec(tools=[Tool(name=name) for name in tools], tool_choice=ToolChoice(mode=mode, allowed_tool_names=allowed))


@dataclass(frozen=True)
class Bad:
    """One row of the table: a spec that all three methods refuse alike."""

    name: str
    spec: CompletionSpec
    reason: str
    fields: list[str] = field(default_factory=list[str])
    code: grpc.StatusCode = INVALID
    prefix_only: bool = False


FIRST = "spec.messages[0]"
TABLE = [
    # The model's name.
    Bad("no model", spec(model=""), "INVALID_FIELD", ["spec.model"]),
    Bad("a model's name that is too long", spec(model="m" * 257), "INVALID_FIELD", ["spec.model"]),
    Bad("an unknown model", spec(model="scripted/missing"), "MODEL_NOT_FOUND", code=grpc.StatusCode.NOT_FOUND),
    Bad("an unknown provider", spec(model="nobody/alpha"), "MODEL_NOT_FOUND", code=grpc.StatusCode.NOT_FOUND),
    Bad("an unknown alias", spec(model="alpha"), "MODEL_NOT_FOUND", code=grpc.StatusCode.NOT_FOUND),
    Bad("a provider without a model", spec(model="scripted/"), "MODEL_NOT_FOUND", code=grpc.StatusCode.NOT_FOUND),
    # The conversation's shape.
    Bad("no message", CompletionSpec(model="scripted/alpha"), "EMPTY_CONVERSATION", ["spec.messages"]),
    Bad("too many messages", spec(*[text()] * 4097), "INVALID_FIELD", ["spec.messages"]),
    Bad("a message without parts", spec(Message(role=Role.ROLE_USER)), "INVALID_FIELD", [f"{FIRST}.parts"]),
    Bad("too many parts", spec(Message(role=Role.ROLE_USER, parts=[Part(text="")] * 1025)), "INVALID_FIELD", [f"{FIRST}.parts"]),
    Bad("a part without content", spec(Message(role=Role.ROLE_USER, parts=[Part()])), "INVALID_FIELD", [f"{FIRST}.parts[0].content"]),
    Bad("no role", spec(Message(parts=[Part(text="Hi")])), "INVALID_FIELD", [f"{FIRST}.role"]),
    Bad("system behind a user", spec(text(), text("x", Role.ROLE_SYSTEM), text()), "INVALID_ROLE_ORDER", ["spec.messages[1].role"]),
    Bad("ends with the assistant", spec(text(), text("x", Role.ROLE_ASSISTANT)), "INVALID_ROLE_ORDER", ["spec.messages[1].role"]),
    Bad("system alone", spec(text("x", Role.ROLE_SYSTEM)), "INVALID_ROLE_ORDER", [f"{FIRST}.role"]),
    # What a role may hold.
    Bad("a user's tool call", spec(Message(role=Role.ROLE_USER, parts=[call()])), "INVALID_ROLE_ORDER", [f"{FIRST}.parts[0].tool_call"]),
    Bad(
        "a user's tool result",
        spec(Message(role=Role.ROLE_USER, parts=answers("c1").parts)),
        "INVALID_ROLE_ORDER",
        [f"{FIRST}.parts[0].tool_result"],
    ),
    Bad(
        "a user's reasoning",
        spec(Message(role=Role.ROLE_USER, parts=[Part(reasoning=Reasoning(text="x"))])),
        "INVALID_ROLE_ORDER",
        [f"{FIRST}.parts[0].reasoning"],
    ),
    Bad(
        "the system's image",
        spec(Message(role=Role.ROLE_SYSTEM, parts=[Part(blob=Blob(media_type="image/png", data=b"x"))]), text()),
        "INVALID_ROLE_ORDER",
        [f"{FIRST}.parts[0].blob"],
    ),
    Bad("a tool's text", spec(text("x", Role.ROLE_TOOL)), "INVALID_ROLE_ORDER", [f"{FIRST}.parts[0].text"]),
    Bad(
        "an assistant's tool result",
        spec(asks(call()), Message(role=Role.ROLE_ASSISTANT, parts=answers("c1").parts)),
        "TOOL_CALL_WITHOUT_RESULT",
        [f"{FIRST}.parts[0].tool_call.call_id"],
    ),
    Bad(
        "a call inside a result",
        spec(asks(call()), Message(role=Role.ROLE_TOOL, parts=[Part(tool_result=ToolResult(call_id="c1", parts=[call("c2")]))])),
        "INVALID_FIELD",
        ["spec.messages[1].parts[0].tool_result.parts"],
    ),
    # Tool calls and their results.
    Bad(
        "a result without its call",
        spec(text(), answers("c1")),
        "TOOL_RESULT_WITHOUT_CALL",
        ["spec.messages[1].parts[0].tool_result.call_id"],
    ),
    Bad(
        "a call answered twice",
        spec(asks(call()), answers("c1", "c1")),
        "TOOL_RESULT_WITHOUT_CALL",
        ["spec.messages[1].parts[1].tool_result.call_id"],
    ),
    Bad("a call without its result", spec(asks(call()), text()), "TOOL_CALL_WITHOUT_RESULT", [f"{FIRST}.parts[0].tool_call.call_id"]),
    Bad(
        "one of two calls answered",
        spec(asks(call("c1"), call("c2")), answers("c1"), text()),
        "TOOL_CALL_WITHOUT_RESULT",
        [f"{FIRST}.parts[1].tool_call.call_id"],
    ),
    Bad("a call at the end", spec(text(), asks(call())), "TOOL_CALL_WITHOUT_RESULT", ["spec.messages[1].parts[0].tool_call.call_id"]),
    Bad("the same call twice", spec(asks(call(), call()), answers("c1")), "INVALID_FIELD", [f"{FIRST}.parts[1].tool_call.call_id"]),
    Bad(
        "an earlier call's name",
        spec(asks(call()), answers("c1"), asks(call()), answers("c1")),
        "INVALID_FIELD",
        ["spec.messages[2].parts[0].tool_call.call_id"],
    ),
    Bad("a call without a name", spec(asks(call(name="")), answers("c1")), "INVALID_FIELD", [f"{FIRST}.parts[0].tool_call.name"]),
    Bad(
        "a call with an endless name",
        spec(asks(call(name="a" * 257)), answers("c1")),
        "INVALID_FIELD",
        [f"{FIRST}.parts[0].tool_call.name"],
    ),
    *(
        Bad(
            f"arguments that are {what}",
            spec(asks(call(arguments=arguments)), answers("c1")),
            "INVALID_TOOL_ARGUMENTS",
            [f"{FIRST}.parts[0].tool_call.arguments"],
        )
        for what, arguments in {
            "cut off": '{"a":',
            "an array": "[]",
            "null": "null",
            "a text": '"{}"',
            "a number": "1",
            "two objects": "{}{}",
            "not a number": '{"a":NaN}',
            "infinite": '{"a":Infinity}',
            "half a surrogate": '{"a":"\\ud800"}',
            "Python": "{'a': 1}",
            "nested too deep": '{"a":' * 2000 + "1" + "}" * 2000,
            "blanks": " ",
        }.items()
    ),
    Bad(
        "arguments that are empty",
        spec(asks(call(arguments="")), answers("c1")),
        "INVALID_FIELD",
        [f"{FIRST}.parts[0].tool_call.arguments"],
    ),
    # JSON Schemas, of tools and of answers.
    *(
        Bad(f"a tool's schema that {what}", schema(source), "INVALID_JSON_SCHEMA", ["spec.tools[0].input_schema"])
        for what, source in {
            "is no JSON": "{",
            "is a text": '"object"',
            "is an array": "[]",
            "is false": "false",
            "is of a text at its top": '{"type":"string"}',
            "is of several types at its top": '{"type":["object","null"]}',
            "has a keyword of the wrong type": '{"type":"object","properties":[]}',
            "has a number where a schema stands": '{"properties":{"a":1}}',
            "has an unknown type": '{"properties":{"a":{"type":"strin"}}}',
            "has a negative length": '{"properties":{"a":{"minLength":-1}}}',
            "requires no array": '{"required":"a"}',
            "has an empty enum of types": '{"properties":{"a":{"type":[]}}}',
            "refers to the web": '{"properties":{"a":{"$ref":"https://example.com/schema.json"}}}',
            "refers to a file": '{"properties":{"a":{"$ref":"file:///etc/hostname"}}}',
            "refers relatively": '{"properties":{"a":{"$ref":"other.json"}}}',
            "refers to nothing": '{"properties":{"a":{"$ref":"#/$defs/missing"}}}',
            "has a bad pattern": '{"properties":{"a":{"pattern":"["}}}',
            "has a bad pattern of properties": '{"patternProperties":{"(":{}}}',
            "has an exploding pattern": '{"properties":{"a":{"pattern":"((a{1,100}){1,100}){1,100}"}}}',
            "has a pattern that is too long": json.dumps({"properties": {"a": {"pattern": "a" * 1025}}}),
            "has too many patterns": json.dumps({"properties": {f"p{number}": {"pattern": "a" * 1000} for number in range(5)}}),
            "is nested too deep": '{"not":' * 2000 + "{}" + "}" * 2000,
            "holds NaN": '{"minimum":NaN}',
            "holds half a surrogate": '{"const":"\\ud800"}',
        }.items()
    ),
    Bad("a tool's schema that is too long", schema(" " * 262_145), "INVALID_FIELD", ["spec.tools[0].input_schema"]),
    *(
        Bad(f"an answer's schema that {what}", answer_schema(source), "INVALID_JSON_SCHEMA", ["spec.response_format.json_schema.schema"])
        for what, source in {
            "is no JSON": "{",
            "is a number": "1",
            "is true": "true",
            "refers to the web": '{"$ref":"https://example.com/x"}',
        }.items()
    ),
    Bad("an answer's schema that is empty", answer_schema(""), "INVALID_FIELD", ["spec.response_format.json_schema.schema"]),
    # Tools and the choice among them.
    Bad(
        "tools of the same name",
        spec(tools=[Tool(name="a"), Tool(name="b"), Tool(name="a")]),
        "INVALID_TOOL_CHOICE",
        ["spec.tools[2].name"],
    ),
    Bad("a tool without a name", spec(tools=[Tool()]), "INVALID_FIELD", ["spec.tools[0].name"]),
    Bad("a tool's name with blanks", spec(tools=[Tool(name="my tool")]), "INVALID_FIELD", ["spec.tools[0].name"]),
    Bad("a tool's name that ends a line", spec(tools=[Tool(name="tool\n")]), "INVALID_FIELD", ["spec.tools[0].name"]),
    Bad("too many tools", spec(tools=[Tool(name=f"t{number}") for number in range(513)]), "INVALID_FIELD", ["spec.tools"]),
    Bad(
        "a tool required where there is none",
        choice(ToolChoiceMode.TOOL_CHOICE_MODE_REQUIRED, tools=()),
        "INVALID_TOOL_CHOICE",
        ["spec.tool_choice.mode"],
    ),
    Bad(
        "an unknown tool allowed",
        choice(ToolChoiceMode.TOOL_CHOICE_MODE_AUTO, "weather", "time"),
        "INVALID_TOOL_CHOICE",
        ["spec.tool_choice.allowed_tool_names[1]"],
    ),
    Bad(
        "an unknown tool required",
        choice(ToolChoiceMode.TOOL_CHOICE_MODE_REQUIRED, "time"),
        "INVALID_TOOL_CHOICE",
        ["spec.tool_choice.allowed_tool_names[0]"],
    ),
    Bad(
        "a tool allowed where none may be called",
        choice(ToolChoiceMode.TOOL_CHOICE_MODE_NONE, "weather"),
        "INVALID_TOOL_CHOICE",
        ["spec.tool_choice.allowed_tool_names"],
    ),
    Bad(
        "a tool allowed twice",
        choice(ToolChoiceMode.TOOL_CHOICE_MODE_AUTO, "weather", "weather"),
        "INVALID_FIELD",
        ["spec.tool_choice.allowed_tool_names"],
    ),
    # Sampling, each bound.
    *(
        Bad(f"{name} of {value!r}", sampling(**{name: value}), "INVALID_FIELD", [f"spec.sampling.{name}"])
        for name, values in {
            "max_output_tokens": (0, -1, 16_777_217, -(2**31)),
            "temperature": (-0.1, 2.1, float("nan"), float("inf"), float("-inf")),
            "top_p": (0.0, 1.1, -1.0, float("nan"), float("inf")),
            "top_k": (0, -1, 100_001),
            "frequency_penalty": (-2.1, 2.1, float("nan"), float("inf")),
            "presence_penalty": (-2.1, 2.1, float("nan"), float("-inf")),
            "top_logprobs": (-1, 21),
        }.items()
        for value in values
    ),
    Bad("too many stops", sampling(stop=[f"s{number}" for number in range(17)]), "INVALID_FIELD", ["spec.sampling.stop"]),
    Bad("the same stop twice", sampling(stop=["a", "a"]), "INVALID_FIELD", ["spec.sampling.stop"]),
    Bad("an empty stop", sampling(stop=["a", ""]), "INVALID_FIELD", ["spec.sampling.stop[1]"]),
    Bad("a stop that is too long", sampling(stop=["a" * 1025]), "INVALID_FIELD", ["spec.sampling.stop[0]"]),
    Bad("more output than the model writes", sampling(max_output_tokens=1001), "LIMIT_EXCEEDED", ["spec.sampling.max_output_tokens"]),
    # Bytes and addresses.
    *(
        Bad(f"{what} as {media_type}", blob(media_type, data), "MEDIA_TYPE_MISMATCH", [f"{FIRST}.parts[0].blob.media_type"])
        for what, media_type, data in (
            ("a JPEG", "image/png", b"\xff\xd8\xff\xe0"),
            ("a PNG", "image/jpeg", b"\x89PNG\r\n\x1a\n"),
            ("a program", "image/gif", b"MZ\x90\x00"),
            ("a page", "application/pdf", b"<html>"),
            ("a WAV", "image/webp", b"RIFF\x00\x00\x00\x00WAVE"),
            ("half a signature", "image/png", b"\x89PN"),
            ("noise", "text/plain", b"\xff\xfe\x00"),
            ("an Ogg", "audio/flac", b"OggS"),
        )
    ),
    Bad(
        "a tool's JPEG as image/png",
        spec(
            asks(call()),
            Message(
                role=Role.ROLE_TOOL,
                parts=[
                    Part(
                        tool_result=ToolResult(call_id="c1", parts=[Part(blob=Blob(media_type="image/png", data=b"\xff\xd8\xff"))]),
                    )
                ],
            ),
        ),
        "MEDIA_TYPE_MISMATCH",
        ["spec.messages[1].parts[0].tool_result.parts[0].blob.media_type"],
    ),
    Bad("no bytes", blob("image/png", b""), "INVALID_FIELD", [f"{FIRST}.parts[0].blob.data"]),
    *(
        Bad(f"the media type {media_type!r}", blob(media_type, b"x"), "INVALID_FIELD", [f"{FIRST}.parts[0].blob.media_type"])
        for media_type in ("", "image", "IMAGE/PNG", "image/png; q=1", "image/png\n", "/png", "image/", "a" * 128 + "/b", "imagé/png")
    ),
    *(
        Bad(f"the address {address[:30]!r}", uri(address), "INVALID_FIELD", [f"{FIRST}.parts[0].uri.uri"])
        for address in ("https://example.com/a b", "https://example.com/\x00", "https://example.com/" + "a" * 8192)
    ),
    *(
        Bad(f"the address {address[:30]!r}", uri(address), "INVALID_FIELD", [f"{FIRST}.parts[0].uri.uri"], prefix_only=True)
        for address in (
            "",
            "http://example.com/",
            "file:///etc/passwd",
            "example.com",
            "HTTPS://example.com",
            "data:text/plain,x",
            " https://a.b",
        )
    ),
    Bad("an address of a bad type", uri("https://a.b", "png"), "INVALID_FIELD", [f"{FIRST}.parts[0].uri.media_type"]),
    # The rest.
    Bad("too many labels", spec(labels={f"k{number}": "" for number in range(65)}), "INVALID_FIELD", ["spec.labels"]),
    Bad("a label's key in capitals", spec(labels={"Team": "x"}), "INVALID_FIELD", ['spec.labels["Team"]']),
    Bad("a label without a key", spec(labels={"": "x"}), "INVALID_FIELD", ['spec.labels[""]']),
    Bad("a label that is too long", spec(labels={"team": "x" * 256}), "INVALID_FIELD", ['spec.labels["team"]']),
    Bad(
        "options of too many providers", spec(provider_options={f"p{n}": {} for n in range(17)}), "INVALID_FIELD", ["spec.provider_options"]
    ),
    Bad("a format without a form", spec(response_format={}), "INVALID_FIELD", ["spec.response_format.format"]),
    Bad(
        "a format's name with blanks",
        spec(response_format={"json_schema": {"name": "a b", "schema": "{}"}}),
        "INVALID_FIELD",
        ["spec.response_format.json_schema.name"],
    ),
    Bad("an unknown role", spec(Message(role=99, parts=[Part(text="")])), "INVALID_FIELD", [f"{FIRST}.role"]),  # pyright: ignore[reportArgumentType]  # open enum
    Bad("a negative role", spec(Message(role=-1, parts=[Part(text="")])), "INVALID_FIELD", [f"{FIRST}.role"]),  # pyright: ignore[reportArgumentType]  # open enum
    Bad("an unknown effort", spec(reasoning={"effort": 99}), "INVALID_FIELD", ["spec.reasoning.effort"]),
    Bad("an unknown choice", spec(tool_choice={"mode": 99}), "INVALID_FIELD", ["spec.tool_choice.mode"]),
    Bad("an unknown policy", spec(unsupported_parameter_policy=99), "INVALID_FIELD", ["spec.unsupported_parameter_policy"]),
    Bad(
        "too much provider state",
        spec(Message(role=Role.ROLE_USER, parts=[Part(text="", provider_state=bytes(LIMIT_BYTES - 64))]), Message(role=Role.ROLE_USER)),
        "INVALID_FIELD",
        ["spec.messages[1].parts"],
    ),
]


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: bad.name)
async def test_a_bad_spec_is_refused_by_every_method(server: ServerUnderTest, model: ScriptedModel, bad: Bad) -> None:
    for method, request in REQUESTS.items():
        failure = await server.refused(f"{COMPLETION}/{method}", request(bad.spec))
        assert (bad.code, bad.reason) == (failure.code, failure.reason), failure.message
        assert bad.fields == (failure.fields[: len(bad.fields)] if bad.prefix_only else failure.fields)
        assert "" != failure.message
        assert None is failure.retry_after_s
    assert [] == model.asked


PARAMETERS: dict[str, tuple[Capability, Callable[[CompletionSpec], object]]] = {
    "sampling.temperature": (Capability.CAPABILITY_TEMPERATURE, lambda one: setattr(one.sampling, "temperature", 0.0)),
    "sampling.top_p": (Capability.CAPABILITY_TOP_P, lambda one: setattr(one.sampling, "top_p", 1.0)),
    "sampling.top_k": (Capability.CAPABILITY_TOP_K, lambda one: setattr(one.sampling, "top_k", 1)),
    "sampling.stop": (Capability.CAPABILITY_STOP, lambda one: one.sampling.stop.append("x")),
    "sampling.seed": (Capability.CAPABILITY_SEED, lambda one: setattr(one.sampling, "seed", 0)),
    "sampling.frequency_penalty": (Capability.CAPABILITY_FREQUENCY_PENALTY, lambda one: setattr(one.sampling, "frequency_penalty", 0.0)),
    "sampling.presence_penalty": (Capability.CAPABILITY_PRESENCE_PENALTY, lambda one: setattr(one.sampling, "presence_penalty", 0.0)),
    "sampling.top_logprobs": (Capability.CAPABILITY_LOG_PROBABILITIES, lambda one: setattr(one.sampling, "top_logprobs", 0)),
    "tools": (Capability.CAPABILITY_TOOLS, lambda one: one.tools.add(name="weather")),
    "parallel_tool_calls": (Capability.CAPABILITY_PARALLEL_TOOL_CALLS, lambda one: setattr(one, "parallel_tool_calls", False)),
    "response_format": (Capability.CAPABILITY_JSON_OBJECT, lambda one: one.response_format.json_object.SetInParent()),
    "response_format (schema)": (
        Capability.CAPABILITY_JSON_SCHEMA,
        lambda one: setattr(one.response_format.json_schema, "schema", "{}"),
    ),
    "reasoning.effort": (Capability.CAPABILITY_REASONING_EFFORT, lambda one: setattr(one.reasoning, "effort", 1)),
}


@pytest.mark.parametrize("name", PARAMETERS)
async def test_an_unsupported_parameter_is_refused(server: ServerUnderTest, model: ScriptedModel, name: str) -> None:
    capability, put = PARAMETERS[name]
    model.capabilities = [one for one in ALL_CAPABILITIES if one != capability]
    request = spec(model=f"scripted/without-{name.replace(' ', '-')}")
    put(request)
    for method, wrapped in REQUESTS.items():
        failure = await server.refused(f"{COMPLETION}/{method}", wrapped(request))
        assert (INVALID, "UNSUPPORTED_PARAMETER") == (failure.code, failure.reason)
        assert [f"spec.{name.partition(' ')[0]}"] == failure.fields
    assert [] == model.asked


@pytest.mark.parametrize("name", PARAMETERS)
async def test_an_unsupported_parameter_is_left_out_where_the_caller_says_so(
    server: ServerUnderTest, model: ScriptedModel, name: str
) -> None:
    capability, put = PARAMETERS[name]
    model.capabilities = [one for one in ALL_CAPABILITIES if one != capability]
    request = spec(model=f"scripted/without-{name.replace(' ', '-')}")
    request.unsupported_parameter_policy = UnsupportedParameterPolicy.UNSUPPORTED_PARAMETER_POLICY_IGNORE
    plain = CompletionSpec()
    plain.CopyFrom(request)
    put(request)
    completion = (await server.complete(pb.CompleteRequest(spec=request))).completion
    assert [name.partition(" ")[0]] == list(completion.ignored_parameters)
    [asked] = model.asked
    for leftover in ("sampling", "reasoning"):
        if asked.HasField(leftover) and not getattr(asked, leftover).ByteSize():
            asked.ClearField(leftover)
    assert plain == asked


@pytest.mark.parametrize(
    ("capability", "part"),
    [
        (Capability.CAPABILITY_IMAGE_INPUT, Part(blob=Blob(media_type="image/png", data=b"\x89PNG\r\n\x1a\n"))),
        (Capability.CAPABILITY_AUDIO_INPUT, Part(blob=Blob(media_type="audio/wav", data=b"RIFF\x00\x00\x00\x00WAVE"))),
        (Capability.CAPABILITY_DOCUMENT_INPUT, Part(blob=Blob(media_type="application/pdf", data=b"%PDF-1.7"))),
        (Capability.CAPABILITY_URI_INPUT, Part(uri=Uri(uri="https://example.com/a.png"))),
    ],
)
async def test_unsupported_content_is_refused_whatever_the_policy(
    server: ServerUnderTest, model: ScriptedModel, capability: Capability, part: Part
) -> None:
    model.capabilities = [one for one in ALL_CAPABILITIES if one != capability]
    request = spec(Message(role=Role.ROLE_USER, parts=[Part(text="look"), part]), model=f"scripted/without-{capability}")
    request.unsupported_parameter_policy = UnsupportedParameterPolicy.UNSUPPORTED_PARAMETER_POLICY_IGNORE
    failure = await server.refused(f"{COMPLETION}/Complete", pb.CompleteRequest(spec=request))
    assert (INVALID, "UNSUPPORTED_CONTENT", [f"{FIRST}.parts[1]"]) == (failure.code, failure.reason, failure.fields)
    assert [] == model.asked


METHODS = [
    *(f"{COMPLETION}/{method}" for method in REQUESTS),
    f"{MODELS}/ListModels",
    f"{MODELS}/GetModel",
    f"{HEALTH}/CheckHealth",
    f"{HEALTH}/WatchHealth",
    f"{STANDARD_HEALTH}/Check",
    f"{STANDARD_HEALTH}/Watch",
    REFLECTION,
]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "body",
    [b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x02\xff\xfe", b"{}" * 50, b"\x0b" * 200, b"\x00" * 8],
    ids=["cut tag", "long field", "no UTF-8", "JSON", "open groups", "zeros"],
)
async def test_undecodable_bytes_are_refused_by_every_method(
    server: ServerUnderTest, model: ScriptedModel, method: str, body: bytes
) -> None:
    if method.endswith("ListModels") and body.startswith(b"\x0a\x02"):
        body = b"\x12" + body[1:]  # its first field is a number
    failure = await server.refused(method, body)
    assert (INVALID, "UNDECODABLE_REQUEST") == (failure.code, failure.reason)
    assert [] == model.asked


@pytest.mark.parametrize("unknown", [b"\xa0\x06\x01", b"\xa2\x06\x02hi", b"\x0a\x03\xa0\x06\x01", b"\x0a\x07\x12\x05\x12\x03\xa0\x06\x01"])
async def test_a_field_that_nobody_knows_is_refused_and_not_dropped(server: ServerUnderTest, model: ScriptedModel, unknown: bytes) -> None:
    for method, request in REQUESTS.items():
        failure = await server.refused(f"{COMPLETION}/{method}", request(spec()).SerializeToString() + unknown)
        assert (INVALID, "UNKNOWN_FIELD") == (failure.code, failure.reason)
    assert [] == model.asked


async def test_a_request_just_above_the_limit_is_refused_by_us(server: ServerUnderTest, model: ScriptedModel) -> None:
    request = pb.CompleteRequest(spec=spec(text("x" * LIMIT_BYTES)))
    failure = await server.refused(f"{COMPLETION}/Complete", request)
    assert (grpc.StatusCode.RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE") == (failure.code, failure.reason)
    assert {"size_bytes": str(request.ByteSize()), "limit_bytes": str(LIMIT_BYTES)} == failure.metadata
    assert None is failure.retry_after_s
    assert [] == model.asked


async def test_a_request_at_the_limit_is_taken(server: ServerUnderTest, model: ScriptedModel) -> None:
    room = LIMIT_BYTES - pb.CompleteRequest(spec=spec(text("x" * 2**19))).ByteSize() + 2**19
    request = pb.CompleteRequest(spec=spec(text("x" * room)))
    assert LIMIT_BYTES == request.ByteSize()
    await server.complete(request)
    assert 1 == len(model.asked)


async def test_a_request_far_above_the_limit_is_refused_by_the_transport(server: ServerUnderTest, model: ScriptedModel) -> None:
    failure = await server.refused(f"{COMPLETION}/Complete", b"\x0a" + b"x" * (LIMIT_BYTES * 4 + 1))
    assert grpc.StatusCode.RESOURCE_EXHAUSTED == failure.code
    assert [] == model.asked


async def test_a_request_of_too_many_fields_is_refused_before_it_is_decoded(server: ServerUnderTest, model: ScriptedModel) -> None:
    # Each empty message takes two bytes on the wire and some hundred decoded.
    inner = b"\x0a\x07default" + b"\x12\x00" * 100_000
    body = b"\x0a" + _varint(len(inner)) + inner
    begun_s = time.perf_counter()
    failure = await server.refused(f"{COMPLETION}/Complete", body)
    assert (grpc.StatusCode.RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE") == (failure.code, failure.reason)
    assert "32768" == failure.metadata["limit_fields"]
    assert time.perf_counter() - begun_s < 5
    assert [] == model.asked


async def test_the_longest_conversation_of_the_contract_is_taken(server: ServerUnderTest, model: ScriptedModel) -> None:
    turns: list[Message] = []
    for number in range(2047):
        turns += [asks(call(f"c{number}")), answers(f"c{number}")]
    await server.complete(pb.CompleteRequest(spec=spec(text(), *turns, text())))
    assert 4096 == len(model.asked[0].messages)


async def test_a_spec_that_is_not_there_is_refused(server: ServerUnderTest, model: ScriptedModel) -> None:
    for method in REQUESTS:
        failure = await server.refused(f"{COMPLETION}/{method}", b"")
        assert (INVALID, "INVALID_FIELD", ["spec"]) == (failure.code, failure.reason, failure.fields)
    assert [] == model.asked


@pytest.mark.parametrize(
    "window", [{"seconds": 2}, {"seconds": -1}, {"seconds": 1, "nanos": 1}, {"nanos": 2_000_000_000}, {"seconds": 2**62}]
)
async def test_a_merge_window_beyond_its_bounds_is_refused(server: ServerUnderTest, model: ScriptedModel, window: dict[str, int]) -> None:
    request = pb.StreamCompleteRequest(spec=spec())
    request.merge_window.seconds, request.merge_window.nanos = window.get("seconds", 0), window.get("nanos", 0)
    failure = await server.refused(f"{COMPLETION}/StreamComplete", request)
    assert (INVALID, "INVALID_FIELD", ["merge_window"]) == (failure.code, failure.reason, failure.fields)
    assert [] == model.asked


OTHER_METHODS: list[tuple[str, Any, tuple[grpc.StatusCode, str, list[str]]]] = [
    (f"{MODELS}/ListModels", model_api.ListModelsRequest(page_token="%%%"), (INVALID, "INVALID_FIELD", ["page_token"])),
    (f"{MODELS}/ListModels", model_api.ListModelsRequest(page_token="/w=="), (INVALID, "INVALID_FIELD", ["page_token"])),
    (f"{MODELS}/ListModels", model_api.ListModelsRequest(page_token="a" * 1025), (INVALID, "INVALID_FIELD", ["page_token"])),
    (f"{MODELS}/ListModels", model_api.ListModelsRequest(page_token="naïve"), (INVALID, "INVALID_FIELD", ["page_token"])),
    (f"{MODELS}/ListModels", model_api.ListModelsRequest(page_size=-1), (INVALID, "INVALID_FIELD", ["page_size"])),
    (f"{MODELS}/ListModels", model_api.ListModelsRequest(page_size=1001), (INVALID, "INVALID_FIELD", ["page_size"])),
    (f"{MODELS}/ListModels", model_api.ListModelsRequest(provider="nobody"), (grpc.StatusCode.NOT_FOUND, "PROVIDER_NOT_FOUND", [])),
    (f"{MODELS}/GetModel", model_api.GetModelRequest(), (INVALID, "INVALID_FIELD", ["name"])),
    (f"{MODELS}/GetModel", model_api.GetModelRequest(name="nobody/x"), (grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND", [])),
    (f"{HEALTH}/CheckHealth", health_api.CheckHealthRequest(components=["nobody"]), (grpc.StatusCode.NOT_FOUND, "COMPONENT_NOT_FOUND", [])),
    (f"{HEALTH}/CheckHealth", health_api.CheckHealthRequest(components=["a", "a"]), (INVALID, "INVALID_FIELD", ["components"])),
    (f"{HEALTH}/CheckHealth", health_api.CheckHealthRequest(components=["x" * 129]), (INVALID, "INVALID_FIELD", ["components[0]"])),
    (
        f"{HEALTH}/CheckHealth",
        health_api.CheckHealthRequest(components=[str(n) for n in range(101)]),
        (INVALID, "INVALID_FIELD", ["components"]),
    ),
    (f"{HEALTH}/WatchHealth", health_api.WatchHealthRequest(interval={"nanos": 1}), (INVALID, "INVALID_FIELD", ["interval"])),
    (f"{HEALTH}/WatchHealth", health_api.WatchHealthRequest(interval={"seconds": 3601}), (INVALID, "INVALID_FIELD", ["interval"])),
    (f"{HEALTH}/WatchHealth", health_api.WatchHealthRequest(interval={"seconds": -5}), (INVALID, "INVALID_FIELD", ["interval"])),
    (f"{HEALTH}/NoSuch", b"", (grpc.StatusCode.UNIMPLEMENTED, "METHOD_NOT_FOUND", [])),
    ("/nobody.Service/Knows", b"\xff", (grpc.StatusCode.UNIMPLEMENTED, "METHOD_NOT_FOUND", [])),
    ("/", b"", (grpc.StatusCode.UNIMPLEMENTED, "METHOD_NOT_FOUND", [])),
    ("/" + "x" * 4000, b"", (grpc.StatusCode.UNIMPLEMENTED, "METHOD_NOT_FOUND", [])),
    (f"{STANDARD_HEALTH}/NoSuch", b"", (grpc.StatusCode.UNIMPLEMENTED, "METHOD_NOT_FOUND", [])),
]


@pytest.mark.parametrize(("method", "request_", "expected"), OTHER_METHODS)
async def test_bad_input_to_the_other_methods(
    server: ServerUnderTest, model: ScriptedModel, method: str, request_: Any, expected: tuple[grpc.StatusCode, str, list[str]]
) -> None:
    failure = await server.refused(method, request_)
    assert expected == (failure.code, failure.reason, failure.fields)
    assert [] == model.asked


async def test_each_of_several_faults_is_named(server: ServerUnderTest) -> None:
    request = sampling(temperature=3.0, top_k=0)
    request.labels["Team"] = "x"
    failure = await server.refused(f"{COMPLETION}/Complete", pb.CompleteRequest(spec=request))
    assert {"spec.sampling.temperature", "spec.sampling.top_k", 'spec.labels["Team"]'} == set(failure.fields)


@pytest.mark.parametrize(
    "metadata",
    [
        (("x-unknown", "value"),),
        (("x-bin-bin", b"\x00\xff"),),
        (("grpc-internal", "x" * 4000),),
        (("authorization", "Bearer nonsense"),),
        tuple((f"x-{number}", "v" * 20) for number in range(100)),
    ],
)
async def test_metadata_that_nobody_knows_does_no_harm(server: ServerUnderTest, metadata: tuple[tuple[str, str | bytes], ...]) -> None:
    answered = await server.raw(f"{COMPLETION}/Complete", pb.CompleteRequest(spec=spec()).SerializeToString(), metadata)
    assert "scripted/alpha" == pb.CompleteResponse.FromString(answered).completion.model


async def test_too_much_metadata_is_refused_by_the_transport(server: ServerUnderTest, model: ScriptedModel) -> None:
    metadata = [(f"x-{number}", "v" * 1000) for number in range(100)]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await server.raw(f"{COMPLETION}/Complete", pb.CompleteRequest(spec=spec()).SerializeToString(), metadata)
    assert caught.value.code() in {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE}
    assert [] == model.asked


async def test_a_deadline_that_is_past_asks_nobody(server: ServerUnderTest, model: ScriptedModel) -> None:
    failure = await server.refused(f"{COMPLETION}/Complete", pb.CompleteRequest(spec=spec()), timeout_s=1e-6)
    assert grpc.StatusCode.DEADLINE_EXCEEDED == failure.code
    assert [] == model.asked


@pytest.mark.parametrize("left_s", [0.0, 0.001, -1.0])
async def test_a_deadline_that_is_past_on_arrival_has_its_own_reason(left_s: float) -> None:
    reached: list[object] = []

    async def innermost(call_: IncomingCall, send: object) -> None:
        reached.append(send)

    async def send(message: object) -> None:
        reached.append(message)

    class Configured:
        class log:  # noqa: N801  # stands in for a section
            access = False

        class server:  # noqa: N801  # as above
            deadline_margin_s = 0.1
            max_request_bytes = LIMIT_BYTES

    handler = chain(in_order(Configured, Metrics()), innermost)  # pyright: ignore[reportArgumentType]  # what the interceptors read of a Config
    body = pb.CompleteRequest(spec=spec()).SerializeToString()
    method = RpcMethod(f"{COMPLETION}/Complete", pb.CompleteRequest, server_streaming=False)
    with pytest.raises(DeadlineError) as caught:
        await handler(IncomingCall("call-1", method, {}, body, asyncio.get_running_loop().time(), left_s), send)
    assert Reason.ERROR_REASON_DEADLINE_ALREADY_PAST == caught.value.reason
    assert [] == reached


async def test_bad_input_to_the_standard_services(server: ServerUnderTest) -> None:
    check = server.channel.unary_unary(
        f"{STANDARD_HEALTH}/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await check(health_pb2.HealthCheckRequest(service="nobody"), timeout=20)
    assert grpc.StatusCode.NOT_FOUND == caught.value.code()
    reflect = server.channel.stream_stream(
        REFLECTION,
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    asked = [
        reflection_pb2.ServerReflectionRequest(),
        reflection_pb2.ServerReflectionRequest(file_by_filename="../../etc/passwd"),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="no.such.Symbol"),
    ]
    codes = [answer.error_response.error_code async for answer in reflect(iter(asked), timeout=20)]
    assert [grpc.StatusCode.INVALID_ARGUMENT.value[0], *[grpc.StatusCode.NOT_FOUND.value[0]] * 2] == codes


async def test_a_flood_of_bad_calls_leaves_nothing_behind(server: ServerUnderTest, model: ScriptedModel) -> None:
    refused = [bad for bad in TABLE if len(bad.spec.messages) < 100 and bad.spec.ByteSize() < 10_000]
    wrapped = list(REQUESTS.items())

    async def flood(number_of_calls: int) -> None:
        for start in range(0, number_of_calls, 50):
            calls: list[Any] = []
            for number in range(start, start + 50):
                bad, (method, request) = refused[number % len(refused)], wrapped[number % 3]
                body = request(bad.spec).SerializeToString() if number % 5 else b"\xff" * (number % 700)
                calls.append(server.refused(f"{COMPLETION}/{method}" if number % 7 else f"/nobody/{number}", body))
            await asyncio.gather(*calls)

    await flood(500)
    tasks, memory = len(asyncio.all_tasks()), resident_bytes()
    begun_s = time.perf_counter()
    await flood(2000)
    taken_s = time.perf_counter() - begun_s
    async with asyncio.timeout(3):
        while len(asyncio.all_tasks()) > tasks:
            await asyncio.sleep(0.01)
    assert resident_bytes() - memory < 16 * 2**20
    assert taken_s < 40
    assert 0 == model.open_streams
    assert [] == model.asked


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    return bytes([*encoded, number])
