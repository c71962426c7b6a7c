"""Whatever arrives, a call ends with an answer or with a typed status of the contract: never with INTERNAL, UNKNOWN or silence."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from antiphon.api.completion.v1 import completion_service_pb2 as pb
from antiphon.api.health.v1 import health_service_pb2 as health_api
from antiphon.api.model.v1 import model_service_pb2 as model_api
from antiphon.calls.status import CODES
from antiphon.errors import Reason
from tests.support.faker import MessageFaker
from tests.support.leaks import start_loop_threads
from tests.support.scripted import SCRIPTED, ScriptedModel, scripted_kinds
from tests.support.serving import COMPLETION, Failure, ServerUnderTest, failure_of, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Generator

    from google.protobuf.message import Message

EXAMPLES = 150
REQUESTS: dict[str, type[Message]] = {
    f"{COMPLETION}/Complete": pb.CompleteRequest,
    f"{COMPLETION}/StreamComplete": pb.StreamCompleteRequest,
    f"{COMPLETION}/CountTokens": pb.CountTokensRequest,
    "/antiphon.api.model.v1.ModelService/ListModels": model_api.ListModelsRequest,
    "/antiphon.api.model.v1.ModelService/GetModel": model_api.GetModelRequest,
    "/antiphon.api.health.v1.HealthService/CheckHealth": health_api.CheckHealthRequest,
    "/antiphon.api.health.v1.HealthService/WatchHealth": health_api.WatchHealthRequest,
}
STANDARD = (
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
)
# One module-wide server serves every example.
fuzzed = settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@dataclass(frozen=True)
class House:
    """The running server, its model and the loop they live in."""

    runner: asyncio.Runner
    server: ServerUnderTest
    model: ScriptedModel

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Runs a coroutine to its end, at most for 20 s."""
        return self.runner.run(asyncio.wait_for(work, 20))

    def outcome(self, method: str, body: bytes) -> Failure | None:
        """Calls a method; returns how it failed, None where its first answer came."""
        return cast("Failure | None", self.run(self._outcome(method, body)))

    async def _outcome(self, method: str, body: bytes) -> Failure | None:
        call = cast("Any", self.server.channel).unary_stream(method)(body, timeout=15)
        try:
            await call.read()
        except grpc.aio.AioRpcError as error:
            return failure_of(error)
        call.cancel()
        return None


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Generator[House]:
    model = ScriptedModel()

    @asynccontextmanager
    async def running() -> AsyncGenerator[ServerUnderTest, None]:
        async with serving(tmp_path_factory.mktemp("random"), SCRIPTED, scripted_kinds(model)) as server:
            await server.channel.channel_ready()
            yield server

    with asyncio.Runner() as runner:
        context = running()
        server = runner.run(context.__aenter__())
        runner.run(start_loop_threads())
        yield House(runner, server, model)
        runner.run(context.__aexit__(None, None, None))


def assert_typed(failure: Failure | None) -> None:
    if failure is None:
        return
    assert failure.code not in {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}, failure
    assert f"ERROR_REASON_{failure.reason}" in Reason.keys(), failure  # noqa: SIM118  # an enum's wrapper is no mapping
    assert CODES[cast("Any", Reason.Value(f"ERROR_REASON_{failure.reason}"))] == failure.code.value[0]


@fuzzed
@given(seed=st.integers(0, 2**64))
def test_a_valid_request_is_answered(house: House, seed: int) -> None:
    spec = MessageFaker(seed).spec()
    house.model.asked.clear()
    completion = house.run(house.server.complete(pb.CompleteRequest(spec=spec))).completion
    assert "Hello" == completion.message.parts[0].text
    assert [spec] == house.model.asked
    events = house.run(house.server.events(pb.StreamCompleteRequest(spec=spec)))
    assert list(range(1, len(events) + 1)) == [event.sequence for event in events]


@fuzzed
@given(seed=st.integers(0, 2**64), method=st.sampled_from(sorted(REQUESTS)[:3]))
def test_a_mutated_request_gets_a_typed_answer(house: House, seed: int, method: str) -> None:
    faker = MessageFaker(seed)
    request: Any = REQUESTS[method]()
    request.spec.CopyFrom(faker.spec())
    faker.mutated(request)
    house.model.asked.clear()
    failure = house.outcome(method, request.SerializeToString())
    assert_typed(failure)
    if failure is not None:
        assert [] == house.model.asked


@fuzzed
@given(seed=st.integers(0, 2**64), method=st.sampled_from(sorted(REQUESTS)))
def test_a_request_filled_at_random_gets_a_typed_answer(house: House, seed: int, method: str) -> None:
    faker = MessageFaker(seed)
    request = REQUESTS[method]()
    faker.filled(request)
    assert_typed(house.outcome(method, request.SerializeToString()))


@fuzzed
@given(body=st.binary(max_size=300), method=st.sampled_from(sorted([*REQUESTS, *STANDARD[:2]])))
def test_random_bytes_get_a_typed_answer(house: House, body: bytes, method: str) -> None:
    failure = house.outcome(method, body)
    # The standard service's own refusal of an unknown name carries no details of ours.
    if failure is not None and method in STANDARD and failure.code == grpc.StatusCode.NOT_FOUND:
        return
    assert_typed(failure)


@fuzzed
@given(seed=st.integers(0, 2**64), method=st.sampled_from(sorted(REQUESTS)[:3]))
def test_damaged_bytes_get_a_typed_answer(house: House, seed: int, method: str) -> None:
    faker = MessageFaker(seed)
    request: Any = REQUESTS[method]()
    request.spec.CopyFrom(faker.spec())
    assert_typed(house.outcome(method, faker.mutated_bytes(request.SerializeToString())))


@fuzzed
@given(body=st.binary(max_size=100))
def test_random_bytes_to_reflection_get_a_typed_answer(house: House, body: bytes) -> None:
    assert_typed(house.outcome(STANDARD[2], body))


KEYWORDS = (
    "type", "properties", "required", "items", "prefixItems", "enum", "const", "pattern", "patternProperties", "$ref", "$defs", "$id", "$anchor",
    "$schema", "$dynamicRef", "$dynamicAnchor", "$vocabulary", "allOf", "anyOf", "oneOf", "not", "if", "then", "else", "minimum", "multipleOf",
    "minLength", "maxItems", "uniqueItems", "contains", "additionalProperties", "unevaluatedProperties", "propertyNames", "dependentSchemas",
    "format", "title", "description", "default", "a",
)  # fmt: skip
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        (
            "object",
            "string",
            "array",
            "null",
            "#",
            "#/$defs/a",
            "#a",
            "https://json-schema.org/draft/2020-12/schema",
            "http://x/y",
            "[a",
            "^a*$",
            "",
        )
    ),
    st.text(max_size=8),
)
SCHEMAS = st.recursive(
    VALUES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYWORDS), inner, max_size=5), max_leaves=12
)


@fuzzed
@given(schema=SCHEMAS)
def test_any_schema_gets_a_typed_answer(house: House, schema: Any) -> None:
    spec = MessageFaker(random.Random(1)).spec()
    source = json.dumps(schema)
    spec.tools.add(name="random", input_schema=source)
    spec.response_format.json_schema.schema = source
    failure = house.outcome(f"{COMPLETION}/Complete", pb.CompleteRequest(spec=spec).SerializeToString())
    assert failure is None or failure.reason in {"INVALID_JSON_SCHEMA", "INVALID_FIELD"}, failure


@fuzzed
@given(arguments=st.one_of(st.text(), SCHEMAS.map(json.dumps), st.binary().map(lambda data: data.decode("latin-1"))))
def test_any_arguments_get_a_typed_answer(house: House, arguments: str) -> None:
    request = pb.CompleteRequest()
    request.spec.model = "default"
    asked = request.spec.messages.add(role=3).parts.add()  # pyright: ignore[reportArgumentType]  # ASSISTANT
    asked.tool_call.call_id, asked.tool_call.name = "c1", "weather"
    try:
        asked.tool_call.arguments = arguments
    except UnicodeEncodeError:
        return
    request.spec.messages.add(role=4).parts.add().tool_result.call_id = "c1"  # pyright: ignore[reportArgumentType]  # TOOL
    failure = house.outcome(f"{COMPLETION}/Complete", request.SerializeToString())
    assert failure is None or failure.reason in {"INVALID_TOOL_ARGUMENTS", "INVALID_FIELD"}, failure


def test_nothing_is_left_of_all_that(house: House) -> None:
    async def settled() -> int:
        async with asyncio.timeout(5):
            while house.model.open_streams:
                await asyncio.sleep(0.01)
        return len(house.server.application.rpc._calls)

    assert 0 == house.run(settled())
