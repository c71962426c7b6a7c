"""A client that knows nothing of the contract finds it by reflection and gets the same answer as the SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict, ParseDict
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from antiphon_client import AsyncClient

if TYPE_CHECKING:
    from tests.support.real_server import RealServer

SERVICE = "antiphon.api.completion.v1.CompletionService"
SPEC = {
    "model": "default",
    "messages": [{"role": "ROLE_USER", "parts": [{"text": "Say hello to Ada."}]}],
    "sampling": {"temperature": 0, "max_output_tokens": 24},
}


class ReflectedClient:
    """Calls methods by what reflection tells of them."""

    def __init__(self, target: str) -> None:
        self._channel = grpc.insecure_channel(target)
        self._database: Any = cast("Any", ProtoReflectionDescriptorDatabase)(self._channel)
        self._pool = DescriptorPool(self._database)

    def services(self) -> list[str]:
        return sorted(self._database.get_services())

    def call(self, method: str, request: dict[str, Any]) -> list[dict[str, Any]]:
        """Calls a method with JSON; returns its answers as JSON."""
        found = self._pool.FindServiceByName(SERVICE).methods_by_name[method]
        message = ParseDict(request, message_factory.GetMessageClass(found.input_type)())
        response_type = message_factory.GetMessageClass(found.output_type)
        name = f"/{SERVICE}/{method}"
        serializer = type(message).SerializeToString
        if found.server_streaming:
            stream = self._channel.unary_stream(name, request_serializer=serializer, response_deserializer=response_type.FromString)
            return [MessageToDict(answer) for answer in stream(message, timeout=50)]
        unary = self._channel.unary_unary(name, request_serializer=serializer, response_deserializer=response_type.FromString)
        return [MessageToDict(unary(message, timeout=50))]

    def close(self) -> None:
        self._channel.close()


async def test_reflection_sdk_stream_and_unary_agree(embedded_server: RealServer) -> None:
    generic = ReflectedClient(embedded_server.target)
    try:
        assert SERVICE in generic.services()
        unary = generic.call("Complete", {"spec": SPEC})[0]["completion"]
        events = [answer["event"] for answer in generic.call("StreamComplete", {"spec": SPEC})]
    finally:
        generic.close()
    streamed = "".join(event["partDelta"]["text"] for event in events if "partDelta" in event)
    texts = [part["text"] for part in unary["message"]["parts"]]
    async with AsyncClient(embedded_server.target) as client:
        completion = await client.completions.create(model="default", messages="Say hello to Ada.", temperature=0, max_output_tokens=24)
    assert [streamed] == texts
    assert streamed == completion.text
    assert streamed.strip()
    assert unary["finishReason"] == events[-1]["completed"]["finishReason"]
    assert unary["usage"] == events[-1]["completed"]["usage"]
