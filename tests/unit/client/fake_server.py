"""A server whose methods do what the test says; it speaks the contract through protobuf's own runtime, which the client does not use."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, cast

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.rpc.status_pb2 import Status

from antiphon.api.completion.v1 import completion_service_pb2 as completion_pb
from antiphon.api.core.v1 import completion_pb2, event_pb2, message_pb2, usage_pb2
from antiphon.api.health.v1 import health_service_pb2 as health_pb
from antiphon.api.model.v1 import model_service_pb2 as model_pb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from google.protobuf.message import Message

SERVICES: dict[str, dict[str, tuple[type[Message], bool]]] = {
    "antiphon.api.completion.v1.CompletionService": {
        "Complete": (completion_pb.CompleteRequest, False),
        "StreamComplete": (completion_pb.StreamCompleteRequest, True),
        "CountTokens": (completion_pb.CountTokensRequest, False),
    },
    "antiphon.api.model.v1.ModelService": {
        "ListModels": (model_pb.ListModelsRequest, False),
        "GetModel": (model_pb.GetModelRequest, False),
    },
    "antiphon.api.health.v1.HealthService": {
        "CheckHealth": (health_pb.CheckHealthRequest, False),
        "WatchHealth": (health_pb.WatchHealthRequest, True),
    },
}


@dataclass(frozen=True)
class Failure:
    """A status to end a call with."""

    code: grpc.StatusCode
    message: str = "scripted"
    details: Sequence[Message] = ()

    def end(self, context: grpc.ServicerContext) -> None:
        details: list[Packed] = []
        for detail in self.details:
            packed = Packed()
            packed.Pack(detail)
            details.append(packed)
        status = Status(code=self.code.value[0], message=self.message, details=details)
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(self.code, self.message)


class Hang:
    """A step that waits until the call is over, however that comes about."""


@dataclass(frozen=True)
class Call:
    """One call as it arrived."""

    method: str
    request: Any
    metadata: dict[str, str | bytes]
    time_remaining_s: float | None
    peer: str


@dataclass
class FakeServer:
    """Runs as a context. A method's outcomes are used up one by one, then its default holds.

    Attributes:
        calls: All calls, in order.
        cancelled: Set once a client has left a call.
    """

    outcomes: dict[str, deque[Any]] = field(default_factory=dict[str, deque[Any]])
    calls: list[Call] = field(default_factory=list[Call])
    cancelled: threading.Event = field(default_factory=threading.Event)
    credentials: grpc.ServerCredentials | None = None
    bind_port: int = 0

    def will(self, method: str, *outcomes: Any) -> None:
        """Scripts the next calls of a method: a message, a `Failure`, `Hang()`, or, for a stream, a list of messages, failures and hangs."""
        self.outcomes.setdefault(method, deque()).extend(outcomes)

    def requests(self, method: str) -> list[Any]:
        """The requests that a method has had."""
        return [call.request for call in self.calls if call.method == method]

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(16)
        self._server = grpc.server(self._pool)
        for service, methods in SERVICES.items():
            handlers = {name: self._handler(name, request_type, streams=streams) for name, (request_type, streams) in methods.items()}
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        if self.credentials is None:
            self.port = self._server.add_insecure_port(f"127.0.0.1:{self.bind_port}")
        else:
            self.port = self._server.add_secure_port(f"127.0.0.1:{self.bind_port}", self.credentials)
        self.target = f"127.0.0.1:{self.port}"
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(0).wait()
        del self._server  # its handlers refer to this object: a cycle would keep its descriptors until some collection
        self._pool.shutdown()

    def _handler(self, name: str, request_type: type[Message], *, streams: bool) -> grpc.RpcMethodHandler[Any, Any]:
        def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            answered = threading.Event()
            context.add_callback(lambda: None if answered.is_set() else self.cancelled.set())
            remaining: float | None = context.time_remaining()
            self.calls.append(Call(name, request, dict(context.invocation_metadata()), remaining, context.peer()))
            scripted = self.outcomes.get(name)
            outcome: Any = scripted.popleft() if scripted else DEFAULTS[name](request)
            *first, last = cast("list[Any]", outcome) if isinstance(outcome, list) else [outcome]
            for step in first:
                yield _played(step, context)
            if not isinstance(last, Hang):
                answered.set()
            yield _played(last, context)

        def unary(request: Any, context: grpc.ServicerContext) -> Any:
            return next(stream(request, context))

        codec: Any = {"request_deserializer": request_type.FromString, "response_serializer": _to_bytes}
        if streams:
            return grpc.unary_stream_rpc_method_handler(stream, **codec)
        return grpc.unary_unary_rpc_method_handler(unary, **codec)


def _played(step: Any, context: grpc.ServicerContext) -> Any:
    if isinstance(step, Failure):
        step.end(context)
    if isinstance(step, Hang):
        over = threading.Event()
        if context.add_callback(over.set):
            over.wait(30)
        return b""
    return step


def _to_bytes(message: Message | bytes) -> bytes:
    return message if isinstance(message, bytes) else message.SerializeToString()


# --- what a server says that nobody scripted ------------------------------------------------------------------------------------------


def completion(text: str = "Hello there") -> completion_pb2.Completion:
    """An answer in text."""
    return completion_pb2.Completion(
        completion_id="c1",
        model="local/tiny",
        message=message_pb2.Message(role=message_pb2.Role.ROLE_ASSISTANT, parts=[message_pb2.Part(text=text)]),
        finish_reason=completion_pb2.FinishReason.FINISH_REASON_STOP,
        provider_finish_reason="stop",
        usage=usage_pb2.Usage(input_tokens=3, output_tokens=2),
    )


def events(*made: event_pb2.Event) -> list[Any]:
    """A stream's responses: the events with their envelopes filled in."""
    return [
        completion_pb.StreamCompleteResponse(event=_numbered(event, number)) for number, event in enumerate((started(), *made), start=1)
    ]


def _numbered(event: event_pb2.Event, number: int) -> event_pb2.Event:
    event.stream_id, event.sequence = "c1", number
    return event


def started(model: str = "local/tiny") -> event_pb2.Event:
    """The first event."""
    return event_pb2.Event(started=event_pb2.Started(completion_id="c1", model=model))


def text_part(*pieces: str, index: int = 0, kind: event_pb2.PartKind = event_pb2.PartKind.PART_KIND_TEXT) -> list[event_pb2.Event]:
    """A part in pieces."""
    deltas = [event_pb2.Event(part_delta=event_pb2.PartDelta(index=index, text=piece)) for piece in pieces]
    begun = event_pb2.Event(part_started=event_pb2.PartStarted(index=index, kind=kind))
    return [begun, *deltas, event_pb2.Event(part_ended=event_pb2.PartEnded(index=index))]


def completed(reason: completion_pb2.FinishReason = completion_pb2.FinishReason.FINISH_REASON_STOP) -> event_pb2.Event:
    """The last event."""
    usage = usage_pb2.Usage(input_tokens=3, output_tokens=2)
    return event_pb2.Event(completed=event_pb2.Completed(finish_reason=reason, provider_finish_reason="stop", usage=usage))


def model(name: str, *aliases: str) -> model_pb.Model:
    """A model that can answer."""
    return model_pb.Model(
        name=name,
        provider=name.partition("/")[0],
        aliases=aliases,
        capabilities=[model_pb.Capability.CAPABILITY_TOOLS],
        context_window_tokens=8192,
        status=model_pb.ModelStatus.MODEL_STATUS_READY,
    )


def report(*components: health_pb.ComponentHealth) -> health_pb.HealthReport:
    """A server that serves."""
    return health_pb.HealthReport(status=health_pb.HealthStatus.HEALTH_STATUS_SERVING, components=components)


def component(name: str, *, serves: bool = True, last_error: str = "") -> health_pb.ComponentHealth:
    """A component that serves, or does not."""
    status = health_pb.HealthStatus.HEALTH_STATUS_SERVING if serves else health_pb.HealthStatus.HEALTH_STATUS_NOT_SERVING
    return health_pb.ComponentHealth(name=name, status=status, last_error=last_error)


MODELS = (model("acme/large"), model("local/tiny", "default"))

DEFAULTS: dict[str, Callable[[Any], Any]] = {
    "Complete": lambda _: completion_pb.CompleteResponse(completion=completion()),
    "StreamComplete": lambda _: events(*text_part("Hello", " there"), completed()),
    "CountTokens": lambda _: completion_pb.CountTokensResponse(input_tokens=7, tokenizer="tiny", model="local/tiny"),
    "ListModels": lambda _: model_pb.ListModelsResponse(models=MODELS),
    "GetModel": lambda request: model_pb.GetModelResponse(model=model(request.name)),
    "CheckHealth": lambda _: health_pb.CheckHealthResponse(report=report(component("provider/local"))),
    "WatchHealth": lambda _: [health_pb.WatchHealthResponse(report=report()), Hang()],
}
