"""The trace of one call through client, server, provider and collector is one tree with the right status, however the call ends.

By default the spans go to a receiver of our own; `make test-collector` runs the same against the OpenTelemetry collector.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation import grpc as instrumentation
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from antiphon.api.completion.v1 import completion_service_pb2 as pb
from antiphon.api.core.v1.completion_pb2 import CompletionSpec
from antiphon.api.core.v1.message_pb2 import Message, Part, Role
from tests.interop.trace_cases import CASES, Case, Seen, open_scene, table
from tests.simulators.openai import Answer, OpenAISimulator
from tests.support.collector import arrived, collecting, receiving, wanted_real
from tests.support.fault_proxy import FaultProxy
from tests.support.serving import serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Mapping

    from tests.support.collector import Collector, Span

ROOT = Path(__file__).parents[2]
MODEL = "sim-1"
SPEC = CompletionSpec(model="default", messages=[Message(role=Role.ROLE_USER, parts=[Part(text="Hi")])])


@pytest.fixture(scope="module")
def real_collector(tmp_path_factory: pytest.TempPathFactory) -> Generator[Collector | None]:
    if not wanted_real():
        yield None
        return
    with collecting(tmp_path_factory.mktemp("collector")) as collector:
        yield collector


@pytest.fixture
async def collector(real_collector: Collector | None) -> AsyncGenerator[Collector, None]:
    if real_collector is not None:
        yield real_collector
        return
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
async def application_spans(collector: Collector) -> AsyncGenerator[TracerProvider, None]:
    """What an application has that calls the server: the SDK of OpenTelemetry with its own exporter."""
    provider = TracerProvider(resource=Resource({"service.name": "application"}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(collector.endpoint, insecure=True), schedule_delay_millis=50))
    yield provider
    await asyncio.to_thread(provider.shutdown)


def settings_for(collector: Collector, simulator: OpenAISimulator, more: Mapping[str, Any]) -> dict[str, Any]:
    provider = {"type": "openai", "base_url": simulator.base_url, "api_key": "test-key", "models": [{"id": MODEL}]}
    return {
        "providers": {"sim": provider},
        "aliases": {"default": f"sim/{MODEL}"},
        "telemetry": {"traces": "otlp", "otlp_endpoint": collector.endpoint},
        **more,
    }


def seen(span: Span) -> Seen:
    return Seen(span.status, span.attributes.get("rpc.response.status_code", ""), span.attributes.get("error.type", ""))


def of_one_trace(spans: list[Span]) -> list[Span]:
    """Returns the spans of the last trace that an application began."""
    roots = [span for span in spans if span.service == "application"]
    return [span for span in spans if roots and span.trace_id == roots[-1].trace_id]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}: {case.name}")
async def test_the_trace_is_one_tree(
    case: Case, collector: Collector, application_spans: TracerProvider, tmp_path: Path, log_entries: list[Any]
) -> None:
    before = {span.span_id for span in await asyncio.to_thread(collector.spans)}
    async with OpenAISimulator() as simulator:
        if case.reply is not None:
            simulator.script(case.reply)
        async with serving(tmp_path, settings_for(collector, simulator, case.settings)) as server:
            port = int(server.target.rpartition(":")[2])
            async with FaultProxy("127.0.0.1", port) as proxy:
                scene = await open_scene(server, simulator, proxy, application_spans)
                async with scene.client:
                    await case.play(scene)
        expected = 2 if case.model is None else 3
        spans = await arrived(collector, lambda all_spans: len([one for one in all_spans if one.span_id not in before]) >= expected)
        new = [span for span in spans if span.span_id not in before]
        assert 1 == len({span.trace_id for span in new}), new
        [client] = [span for span in new if span.service == "application"]
        [called] = [span for span in new if span.kind == "SERVER"]
        asked = [span for span in new if span.kind == "CLIENT" and span.service == "antiphon"]
        assert expected == len(new), new
        assert ("", client.span_id) == (client.parent_id, called.parent_id)
        assert (case.client, case.server) == (seen(client), seen(called)), log_entries
        of_model = [] if case.model is None else [(called.span_id, case.model)]
        assert of_model == [(span.parent_id, seen(span)) for span in asked]
        for span, request in zip(asked, simulator.requests, strict=True):
            assert f"00-{span.trace_id}-{span.span_id}-03" == request.headers["traceparent"]


def test_the_documentation_shows_these_cases() -> None:
    assert table() in (ROOT / "docs" / "TRACING.md").read_text(encoding="utf-8")


async def test_spans_follow_the_conventions(collector: Collector, application_spans: TracerProvider, tmp_path: Path) -> None:
    async with OpenAISimulator() as simulator:
        simulator.script(Answer(tokens=("Hel", "lo")))
        async with (
            serving(tmp_path, settings_for(collector, simulator, {})) as server,
            FaultProxy("127.0.0.1", int(server.target[10:])) as proxy,
        ):
            scene = await open_scene(server, simulator, proxy, application_spans)
            async with scene.client:
                stream = scene.client.completions.stream(
                    model="default", messages="Hi", temperature=0.5, max_output_tokens=7, stop=["end"], seed=3
                )
                answer = await stream.final()
    spans = of_one_trace(await arrived(collector, lambda all_spans: len(of_one_trace(all_spans)) == 3))
    [called] = [span for span in spans if span.kind == "SERVER"]
    [asked] = [span for span in spans if span.kind == "CLIENT" and span.service == "antiphon"]
    method = "antiphon.api.completion.v1.CompletionService/StreamComplete"
    assert method == called.name
    peer, call_id = called.attributes.pop("network.peer.port"), called.attributes.pop("antiphon.call_id")
    assert isinstance(peer, int)
    assert call_id
    assert {
        "rpc.system.name": "grpc",
        "rpc.method": method,
        "server.address": "127.0.0.1",
        "network.peer.address": "127.0.0.1",
        "rpc.response.status_code": "OK",
    } == called.attributes
    assert f"chat {MODEL}" == asked.name
    assert 0 < asked.attributes.pop("gen_ai.response.time_to_first_chunk") <= asked.duration_s
    assert {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "sim",
        "gen_ai.request.model": MODEL,
        "gen_ai.request.stream": True,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 7,
        "gen_ai.request.stop_sequences": ["end"],
        "gen_ai.request.seed": 3,
        "gen_ai.response.id": answer.completion_id,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": answer.usage.input_tokens,
        "gen_ai.usage.output_tokens": answer.usage.output_tokens,
    } == asked.attributes
    assert "antiphon" == called.resource["service.name"]
    assert {"service.version", "service.instance.id"} < called.resource.keys()


async def test_content_is_recorded_only_where_that_is_switched_on(
    collector: Collector, application_spans: TracerProvider, tmp_path: Path
) -> None:
    recorded: list[dict[str, Any]] = []
    for record in (False, True):
        async with OpenAISimulator() as simulator:
            simulator.script(Answer(tokens=("Good ", "day")))
            settings = settings_for(collector, simulator, {})
            settings["telemetry"]["record_content"] = record
            async with serving(tmp_path, settings) as server, FaultProxy("127.0.0.1", int(server.target[10:])) as proxy:
                scene = await open_scene(server, simulator, proxy, application_spans)
                async with scene.client:
                    await scene.client.completions.create(
                        model="default",
                        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "My key is sk-1234567890abcd"}],
                    )
        spans = of_one_trace(await arrived(collector, lambda all_spans: len(of_one_trace(all_spans)) == 3))
        [asked] = [span for span in spans if span.kind == "CLIENT" and span.service == "antiphon"]
        recorded.append({name: value for name, value in asked.attributes.items() if "messages" in name or "instructions" in name})
    assert {} == recorded[0]
    assert {
        "gen_ai.system_instructions": '[{"type":"text","content":"Be brief."}]',
        "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"My key is [redacted]"}]}]',
        "gen_ai.output.messages": '[{"role":"assistant","parts":[{"type":"text","content":"Good day"}],"finish_reason":"stop"}]',
    } == recorded[1]


async def test_a_client_of_the_instrumentation_library_shares_the_tree(
    collector: Collector, application_spans: TracerProvider, tmp_path: Path
) -> None:
    async with OpenAISimulator() as simulator, serving(tmp_path, settings_for(collector, simulator, {})) as server:
        library: Any = instrumentation
        interceptors = library.aio_client_interceptors(tracer_provider=application_spans)
        async with grpc.aio.insecure_channel(server.target, interceptors=interceptors) as channel:
            any_channel: Any = channel
            complete = any_channel.unary_unary("/antiphon.api.completion.v1.CompletionService/Complete")
            await complete(pb.CompleteRequest(spec=SPEC).SerializeToString())
    spans = of_one_trace(await arrived(collector, lambda all_spans: len(of_one_trace(all_spans)) == 3))
    [client] = [span for span in spans if span.service == "application"]
    [called] = [span for span in spans if span.kind == "SERVER"]
    assert (client.span_id, "UNSET") == (called.parent_id, called.status)
