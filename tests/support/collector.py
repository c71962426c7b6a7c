"""Where the spans of a test go: a receiver of OTLP in the test's own loop, or the OpenTelemetry collector itself."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import grpc
import yaml
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse

from bench.pairing import build

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping

SOURCES = Path(__file__).parents[1] / "collector"
# What makes the suites run against the real collector; `make test-collector` sets it.
REAL = "ANTIPHON_TEST_COLLECTOR"
_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_KINDS = {1: "INTERNAL", 2: "SERVER", 3: "CLIENT"}
_STATUSES = {0: "UNSET", 1: "OK", 2: "ERROR"}
_POLL_S = 0.02
_BUILD_TIMEOUT_S = 1800


@dataclass(frozen=True)
class Span:
    """One span as it arrived.

    Attributes:
        service: The `service.name` of who sent it.
    """

    service: str
    name: str
    kind: str
    status: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any] = field(hash=False)
    resource: dict[str, Any] = field(hash=False)
    duration_s: float = 0.0


class Collector(Protocol):
    """Takes spans."""

    @property
    def endpoint(self) -> str:
        """Where OTLP is spoken, as a URL."""
        ...

    def spans(self) -> list[Span]:
        """Returns all that have arrived."""
        ...


async def arrived(collector: Collector, wanted: Callable[[list[Span]], bool], timeout_s: float = 15) -> list[Span]:
    """Waits for what is wanted among the spans and returns them all; says what there was where it does not come."""
    until = asyncio.get_running_loop().time() + timeout_s
    while True:
        spans = await asyncio.to_thread(collector.spans)
        if wanted(spans):
            return spans
        if asyncio.get_running_loop().time() > until:
            raise AssertionError(f"what was wanted has not arrived; there is: {spans}")
        await asyncio.sleep(_POLL_S)


class Receiver:
    """A receiver of OTLP over gRPC.

    Attributes:
        metadata: What each export carried.
        failing: The codes by which the next exports are refused.
    """

    def __init__(self) -> None:
        self.endpoint = ""
        self.metadata: list[dict[str, str | bytes]] = []
        self.failing: list[grpc.StatusCode] = []
        self.requests: list[ExportTraceServiceRequest] = []

    def spans(self) -> list[Span]:
        return [
            span for request in self.requests for span in _spans(MessageToDict(request, use_integers_for_enums=True), hexadecimal=False)
        ]

    async def export(self, request: ExportTraceServiceRequest, context: grpc.aio.ServicerContext[Any, Any]) -> ExportTraceServiceResponse:
        self.metadata.append(dict(context.invocation_metadata() or ()))
        if self.failing:
            await context.abort(self.failing.pop(0), "authorization: what the server sent")
        self.requests.append(request)
        return ExportTraceServiceResponse()


@contextlib.asynccontextmanager
async def receiving(credentials: grpc.ServerCredentials | None = None) -> AsyncGenerator[Receiver, None]:
    """Runs a receiver on a port of its own."""
    receiver = Receiver()
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(
        receiver.export,
        request_deserializer=ExportTraceServiceRequest.FromString,
        response_serializer=ExportTraceServiceResponse.SerializeToString,
    )
    service, _, method = _EXPORT[1:].partition("/")
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    if credentials is None:
        receiver.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    else:
        receiver.endpoint = f"https://localhost:{server.add_secure_port('127.0.0.1:0', credentials)}"
    await server.start()
    try:
        yield receiver
    finally:
        await server.stop(None)


class RealCollector:
    """The OpenTelemetry collector, which writes what it gets to a file."""

    def __init__(self, port: int, file: Path) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self._file = file

    def spans(self) -> list[Span]:
        if not self._file.exists():
            return []
        # The last line may not be whole yet.
        lines = self._file.read_text(encoding="utf-8").split("\n")[:-1]
        return [span for line in lines for span in _spans(json.loads(line), hexadecimal=True)]


@contextlib.contextmanager
def collecting(folder: Path) -> Generator[RealCollector]:
    """Runs the collector."""
    binary = built()
    port, file, log = _free_port(), folder / "spans.jsonl", folder / "collector.log"
    config = {
        "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{port}"}}}},
        "exporters": {"file": {"path": str(file), "flush_interval": "50ms"}},
        "service": {
            "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["file"]}},
            "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "warn"}},
        },
    }
    (folder / "collector.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    with log.open("wb") as output:
        process = subprocess.Popen([binary, "--config", f"file:{folder / 'collector.yaml'}"], stdout=output, stderr=output)
    try:
        _await_port(port, process, log)
        yield RealCollector(port, file)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def built() -> Path:
    """Builds the collector unless the cache has it, which takes minutes, and returns where it is.

    Raises:
        BuildError: Go is missing.
    """
    go = build.find_go()
    digest = hashlib.sha256(build.go_version(go).encode())
    for name in ("go.mod", "go.sum", "main.go"):
        digest.update((SOURCES / name).read_bytes())
    target = build.CACHE / f"collector-{digest.hexdigest()[:16]}"
    if not target.exists():
        build.CACHE.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "GOWORK": "off", "CGO_ENABLED": "0"}
        command = [go, "build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-o", str(target), "."]
        subprocess.run(command, cwd=SOURCES, env=environment, check=True, timeout=_BUILD_TIMEOUT_S)
    return target


def wanted_real() -> bool:
    """Whether the real collector is asked for."""
    return bool(os.environ.get(REAL))


def _await_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(_POLL_S)
    raise AssertionError(f"the collector does not run: {log.read_text(encoding='utf-8')[-2000:]}")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def _spans(request: Mapping[str, Any], *, hexadecimal: bool) -> Iterable[Span]:
    """Reads OTLP as JSON: ids are in hexadecimal digits there, and in base64 in protobuf's own JSON."""
    for of_resource in request.get("resourceSpans", ()):
        resource = _attributes(of_resource.get("resource", {}))
        for of_scope in of_resource.get("scopeSpans", ()):
            for span in of_scope.get("spans", ()):
                yield Span(
                    service=resource.get("service.name", ""),
                    name=span["name"],
                    kind=_KINDS[int(span["kind"])],
                    status=_STATUSES[int(span.get("status", {}).get("code", 0))],
                    trace_id=_id(span["traceId"], hexadecimal=hexadecimal),
                    span_id=_id(span["spanId"], hexadecimal=hexadecimal),
                    parent_id=_id(span.get("parentSpanId", ""), hexadecimal=hexadecimal),
                    attributes=_attributes(span),
                    resource=resource,
                    duration_s=(int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"])) / 1e9,
                )


def _id(text: str, *, hexadecimal: bool) -> str:
    return text if hexadecimal else base64.b64decode(text).hex()


def _attributes(holder: Mapping[str, Any]) -> dict[str, Any]:
    return {one["key"]: _value(one["value"]) for one in holder.get("attributes", ())}


def _value(value: Mapping[str, Any]) -> Any:
    if "arrayValue" in value:
        return [_value(one) for one in value["arrayValue"].get("values", ())]
    if "intValue" in value:
        return int(value["intValue"])
    return next(iter(value.values()))
