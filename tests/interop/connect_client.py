"""A program that calls a server by connectrpc's own client and prints what came: `python -m tests.interop.connect_client URL PROTOCOL CODEC`."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

from connectrpc.client import ConnectClient
from connectrpc.compat import google_protobuf_binary_codec, google_protobuf_json_codec
from connectrpc.errors import ConnectError
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.protocol import ProtocolType

from antiphon.api.completion.v1 import completion_service_pb2 as pb
from antiphon.api.core.v1.completion_pb2 import CompletionSpec
from antiphon.api.core.v1.message_pb2 import Message, Part, Role
from antiphon.api.model.v1 import model_service_pb2 as model_api

if TYPE_CHECKING:
    from google.protobuf.descriptor import MethodDescriptor

COMPLETION = pb.DESCRIPTOR.services_by_name["CompletionService"]
MODELS = model_api.DESCRIPTOR.services_by_name["ModelService"]


def method(described: MethodDescriptor, request: Any, response: Any) -> MethodInfo[Any, Any]:
    return MethodInfo(
        name=described.name,
        service_name=described.containing_service.full_name,
        input=request,
        output=response,
        idempotency_level=IdempotencyLevel.UNKNOWN,
        stream_type=StreamType.SERVER_STREAM if described.server_streaming else StreamType.UNARY,
    )


async def told(url: str, protocol: str, codec: str) -> dict[str, Any]:
    spec = CompletionSpec(model="default", messages=[Message(role=Role.ROLE_USER, parts=[Part(text="Say hello.")])])
    spec.sampling.max_output_tokens = 8
    complete = method(COMPLETION.methods_by_name["Complete"], pb.CompleteRequest, pb.CompleteResponse)
    stream = method(COMPLETION.methods_by_name["StreamComplete"], pb.StreamCompleteRequest, pb.StreamCompleteResponse)
    get_model = method(MODELS.methods_by_name["GetModel"], model_api.GetModelRequest, model_api.GetModelResponse)
    form = google_protobuf_json_codec(ignore_unknown_fields=False) if codec == "json" else google_protobuf_binary_codec()
    client = ConnectClient(url, codec=form, protocol=ProtocolType[protocol])
    found: dict[str, Any] = {}
    # Requests of this client are compressed.
    answer = await client.execute_unary(request=pb.CompleteRequest(spec=spec), method=complete, timeout_ms=50_000)
    found["text"] = answer.completion.message.parts[0].text
    request = pb.StreamCompleteRequest(spec=spec)
    events = [one.event async for one in client.execute_server_stream(request=request, method=stream, timeout_ms=50_000)]
    found["streamed"] = "".join(event.part_delta.text for event in events)
    found["completed"] = events[-1].HasField("completed")
    spec.model = "nobody/nothing"
    try:
        await client.execute_unary(request=model_api.GetModelRequest(name="nobody/nothing"), method=get_model)
    except ConnectError as error:
        found["unary error"] = [
            error.code.value,
            [detail.type_name for detail in error.details],
            b"MODEL_NOT_FOUND" in error.details[0].message_bytes,
        ]
    try:
        async for _ in client.execute_server_stream(request=pb.StreamCompleteRequest(spec=spec), method=stream):
            pass
    except ConnectError as error:
        found["stream error"] = [
            error.code.value,
            [detail.type_name for detail in error.details],
            b"MODEL_NOT_FOUND" in error.details[0].message_bytes,
        ]
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(told(*sys.argv[1:]))))
