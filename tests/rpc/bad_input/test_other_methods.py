"""Bad input to what takes no spec, and fields beside the spec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from antiphon.api.completion.v1 import completion_service_pb2 as pb
from antiphon.api.health.v1 import health_service_pb2 as health_api
from antiphon.api.model.v1 import model_service_pb2 as model_api
from tests.rpc.bad_input.specs import HEALTH, INVALID, MODELS, REFLECTION, STANDARD_HEALTH, spec
from tests.support.serving import COMPLETION

if TYPE_CHECKING:
    from tests.rpc.bad_input.ports import OnePort
    from tests.support.scripted import ScriptedModel
    from tests.support.serving import ServerUnderTest

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    "window", [{"seconds": 2}, {"seconds": -1}, {"seconds": 1, "nanos": 1}, {"nanos": 2_000_000_000}, {"seconds": 2**62}]
)
async def test_a_merge_window_beyond_its_bounds_is_refused(server: OnePort, model: ScriptedModel, window: dict[str, int]) -> None:
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
    server: OnePort, model: ScriptedModel, method: str, request_: Any, expected: tuple[grpc.StatusCode, str, list[str]]
) -> None:
    failure = await server.refused(method, request_)
    assert expected == (failure.code, failure.reason, failure.fields)
    assert [] == model.asked


async def test_bad_input_to_the_standard_services(grpc_server: ServerUnderTest) -> None:
    check = grpc_server.channel.unary_unary(
        f"{STANDARD_HEALTH}/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await check(health_pb2.HealthCheckRequest(service="nobody"), timeout=20)
    assert grpc.StatusCode.NOT_FOUND == caught.value.code()
    reflect = grpc_server.channel.stream_stream(
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
