"""Specs of a line each, and a row of the table of bad ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc

from antiphon.api.completion.v1 import completion_service_pb2 as pb
from antiphon.api.core.v1.completion_pb2 import CompletionSpec
from antiphon.api.core.v1.message_pb2 import Blob, Message, Part, Role, ToolCall, ToolResult, Uri
from antiphon.api.core.v1.tool_pb2 import Tool, ToolChoice, ToolChoiceMode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from google.protobuf.message import Message as ProtobufMessage

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
FIRST = "spec.messages[0]"


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
