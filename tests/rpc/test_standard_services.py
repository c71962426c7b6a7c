"""Load balancers and generic clients find what they know: standard health for the server and each service, reflection of every message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import grpc
import pytest
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from tests.support.scripted import ScriptedModel, scripted_kinds
from tests.support.serving import ServerUnderTest, failure_of, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

SERVICES = [
    "antiphon.api.completion.v1.CompletionService",
    "antiphon.api.health.v1.HealthService",
    "antiphon.api.model.v1.ModelService",
]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncGenerator[ServerUnderTest, None]:
    settings = {"providers": {"scripted": {"type": "scripted"}}, "log": {"access": True}}
    async with serving(tmp_path, settings, scripted_kinds(ScriptedModel())) as running:
        yield running


async def check(server: ServerUnderTest, service: str) -> int:
    body = health_pb2.HealthCheckRequest(service=service).SerializeToString()
    return health_pb2.HealthCheckResponse.FromString(await server.raw("/grpc.health.v1.Health/Check", body)).status


async def reflected(server: ServerUnderTest, *requests: reflection_pb2.ServerReflectionRequest) -> list[Any]:
    method = cast("Any", server.channel).stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    return [response async for response in method(iter(requests), timeout=20)]


@pytest.mark.parametrize("service", ["", *SERVICES])
async def test_the_server_and_each_service_serve(server: ServerUnderTest, service: str) -> None:
    assert health_pb2.HealthCheckResponse.SERVING == await check(server, service)


async def test_an_unknown_service_is_not_found(server: ServerUnderTest) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await check(server, "nobody")
    failure = failure_of(caught.value)
    assert (grpc.StatusCode.NOT_FOUND, "COMPONENT_NOT_FOUND", {"component": "nobody"}) == (failure.code, failure.reason, failure.metadata)


async def test_a_method_that_the_health_service_only_names_is_not_there(server: ServerUnderTest) -> None:
    failure = await server.refused("/grpc.health.v1.Health/List", b"")
    assert (grpc.StatusCode.UNIMPLEMENTED, "METHOD_NOT_FOUND") == (failure.code, failure.reason)


async def test_bytes_that_are_no_request_are_told_so(server: ServerUnderTest) -> None:
    failure = await server.refused("/grpc.health.v1.Health/Check", b"\xff")
    assert (grpc.StatusCode.INVALID_ARGUMENT, "UNDECODABLE_REQUEST") == (failure.code, failure.reason)


async def test_standard_calls_are_counted_and_logged_as_the_contracts_own(server: ServerUnderTest, log_entries: list[Any]) -> None:
    await check(server, "")
    await reflected(server, reflection_pb2.ServerReflectionRequest(list_services=""))
    await server.refused("/grpc.health.v1.Health/Check", health_pb2.HealthCheckRequest(service="nobody"))
    lines = [(line["method"].rpartition("/")[2], line["code"], line["messages"]) for line in log_entries if line["event"] == "call"]
    assert [("Check", "OK", 1), ("ServerReflectionInfo", "OK", 1), ("Check", "NOT_FOUND", 0)] == lines


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        *((one, health_pb2.HealthCheckResponse.SERVING) for one in ["", *SERVICES]),
        ("nobody", health_pb2.HealthCheckResponse.SERVICE_UNKNOWN),
    ],
)
async def test_a_service_can_be_watched(server: ServerUnderTest, service: str, expected: int) -> None:
    watching = server.stream("/grpc.health.v1.Health/Watch", health_pb2.HealthCheckRequest(service=service), health_pb2.HealthCheckResponse)
    assert expected == (await watching.read()).status
    watching.cancel()


async def test_watchers_that_leave_take_nothing_with_them(server: ServerUnderTest) -> None:
    request = health_pb2.HealthCheckRequest(service=SERVICES[0])
    first, second = (server.stream("/grpc.health.v1.Health/Watch", request, health_pb2.HealthCheckResponse) for _ in range(2))
    assert [health_pb2.HealthCheckResponse.SERVING] * 2 == [(await one.read()).status for one in (first, second)]
    first.cancel()
    standard = server.application.rpc._standard
    await standard._health.set(SERVICES[0], health_pb2.HealthCheckResponse.NOT_SERVING)
    assert health_pb2.HealthCheckResponse.NOT_SERVING == (await second.read()).status
    second.cancel()


async def test_reflection_lists_every_service(server: ServerUnderTest) -> None:
    [answer] = await reflected(server, reflection_pb2.ServerReflectionRequest(list_services=""))
    names = {service.name for service in answer.list_services_response.service}
    assert {*SERVICES, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"} == names


async def test_reflection_describes_every_service_and_message(server: ServerUnderTest) -> None:
    symbols = [*SERVICES, "antiphon.api.core.v1.CompletionSpec", "antiphon.api.core.v1.ErrorReason"]
    asked = [reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol) for symbol in symbols]
    for symbol, answer in zip(symbols, await reflected(server, *asked), strict=True):
        files = [descriptor_pb2.FileDescriptorProto.FromString(one) for one in answer.file_descriptor_response.file_descriptor_proto]
        file = next(one for one in files if symbol.startswith(one.package))
        defined = [one.name for kind in (file.service, file.message_type, file.enum_type) for one in kind]
        assert symbol.rpartition(".")[2] in defined
