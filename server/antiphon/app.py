"""The composition root: builds everything from the configuration, in order, and closes it in reverse order."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from antiphon.api.completion.v1 import completion_service_pb2
from antiphon.api.health.v1 import health_service_pb2
from antiphon.api.model.v1 import model_service_pb2
from antiphon.calls.in_flight import InFlight
from antiphon.calls.interceptors import in_order
from antiphon.calls.interceptors.admission import Admission
from antiphon.calls.memory import MemoryWatch, limit_bytes
from antiphon.calls.methods import ContractMethods
from antiphon.calls.servicers.completion import CompletionServicer
from antiphon.calls.servicers.health import HealthServicer
from antiphon.calls.servicers.model import ModelServicer
from antiphon.calls.slow_clients import SlowClients
from antiphon.completion.service import CompletionLimits, CompletionService
from antiphon.egress.configured import Endpoint
from antiphon.embedded.engine import engine_of
from antiphon.health.monitor import Component, HealthMonitor
from antiphon.http.binding import ContractCalls
from antiphon.http.server import HttpServer
from antiphon.http.site import build_site
from antiphon.identity.directory import CallerDirectory
from antiphon.models.catalog import ModelCatalog
from antiphon.plugins import ProviderTools
from antiphon.ports.embedded_model import EnginePhase
from antiphon.rpc.server import RpcServer
from antiphon.telemetry.loop_watch import LoopWatch
from antiphon.telemetry.metrics import Metrics
from antiphon.telemetry.redaction import Redactor, secrets_of
from antiphon.tls import CertificateWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from antiphon.calls.call import Interceptor
    from antiphon.config import Config
    from antiphon.egress.configured import EndpointFactory
    from antiphon.plugins import ProviderType
    from antiphon.ports.chat_model import ChatModel
    from antiphon.ports.embedded_model import EmbeddedModel
    from antiphon.ports.metrics_text import MetricsText
    from antiphon.telemetry.model_spans import ModelSpans
    from antiphon.telemetry.tracing import Traces


@dataclass(frozen=True, slots=True)
class SharedParts:
    """What one of several servers on the same ports has in common with the others.

    Attributes:
        embedded_model: The engine; closing it ends this server's use of it.
        metrics_of_all: Makes what `/metrics` shows out of this server's own metrics.
    """

    embedded_model: EmbeddedModel
    metrics_of_all: Callable[[MetricsText], MetricsText]


class Application:
    """One server."""

    def __init__(self, config: Config, kinds: Mapping[str, ProviderType], shared: SharedParts | None = None) -> None:
        """Builds everything; nothing is open yet.

        Args:
            config: The configuration.
            kinds: The installed kinds of provider.
            shared: What several servers on the same ports have in common; None for a server that is alone.
        """
        self._config = config
        self._open = AsyncExitStack()
        self._alone = shared is None
        self.engine = build_engine(config) if shared is None else shared.embedded_model
        self._providers = {name: build_provider(name, config, kinds, self.engine) for name in config.providers}
        redactor = Redactor(secrets_of(config))
        self.metrics = metrics = Metrics()
        self._loop_watch = LoopWatch(metrics)
        self._traces = build_traces(config, redactor)
        catalog = ModelCatalog(self._providers, config.aliases)
        completions = CompletionService(
            catalog,
            CompletionLimits(
                first_token_timeout_s=config.completion.first_token_timeout_s, idle_timeout_s=config.completion.idle_timeout_s
            ),
            build_model_spans(config, self._traces),
            metrics.models,
        )
        monitor = HealthMonitor(self._components(), redactor)
        in_flight = InFlight()
        callers = CallerDirectory(config.auth)
        admission = Admission(calls=config.limits.concurrent_calls, memory=MemoryWatch(limit_bytes(config)), metrics=metrics)
        steps = in_order(config, metrics, in_flight, callers, admission=admission, tracing=build_tracing(config, self._traces))
        methods = ContractMethods(steps, in_flight, SlowClients(config.limits.slow_reader_s), redactor)
        methods.mount(completion_service_pb2.DESCRIPTOR.services_by_name["CompletionService"], CompletionServicer(completions))
        methods.mount(model_service_pb2.DESCRIPTOR.services_by_name["ModelService"], ModelServicer(catalog))
        methods.mount(health_service_pb2.DESCRIPTOR.services_by_name["HealthService"], HealthServicer(monitor))
        metrics_text = metrics.text if shared is None else shared.metrics_of_all(metrics.text)
        self._certificates = CertificateWatch(config.tls) if config.tls.enabled else None
        self.rpc = RpcServer(config, methods, monitor, shares_port=not self._alone, certificates=self._certificates)
        self.http = HttpServer(
            build_site(config, ContractCalls(methods, limit_bytes=config.server.max_request_bytes), monitor, metrics_text, callers),
            config.server.host,
            config.server.http_port,
            slow_reader_s=config.limits.slow_reader_s,
            shares_port=not self._alone,
            ssl_context=None if self._certificates is None else self._certificates.context_in_force,
        )

    async def start(self) -> None:
        """Opens both ports.

        Raises:
            OSError: A port cannot be had; nothing stays open.
        """
        if self._traces is not None:
            # Closed last: calls that the drain ends have spans, too.
            self._open.push_async_callback(self._traces.close)
            self._traces.start()
        self._open.callback(self._loop_watch.close)
        self._loop_watch.start()
        self._open.push_async_callback(self.engine.close)
        for provider in self._providers.values():
            self._open.push_async_callback(provider.close)
        try:
            if self._certificates is not None:
                self._open.push_async_callback(self._certificates.close)
                await self._certificates.start()
            self._open.push_async_callback(self.http.close)
            await self.http.start()
            self._open.push_async_callback(self.rpc.drain)
            await self.rpc.start()
            if not self._alone:
                self._open.callback(self.http.leave)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Drains the calls in progress, then closes everything in reverse order."""
        await self._open.aclose()

    def _components(self) -> list[Component]:
        components = [Component(f"provider/{name}", provider.ping) for name, provider in self._providers.items()]
        components.append(Component("embedded_model", self.engine.ping, lambda: self.engine.phase is EnginePhase.IDLE))
        return components


def build_engine(config: Config) -> EmbeddedModel:
    """Makes the engine beside the server; nothing is started before its first use."""
    return engine_of(config.embedded_model)


def build_provider(name: str, config: Config, kinds: Mapping[str, ProviderType], engine: EmbeddedModel) -> ChatModel:
    """Makes the adapter of one configured provider; nothing is connected yet."""
    provider = config.providers[name]
    open_endpoint: EndpointFactory = Endpoint
    if config.telemetry.traces != "off":
        from antiphon.telemetry.propagation import trace_headers

        open_endpoint = partial(Endpoint, context_headers=trace_headers)
    return kinds[provider.type].build(name, provider.settings, ProviderTools(open_endpoint=open_endpoint, embedded_model=engine))


def build_traces(config: Config, redactor: Redactor) -> Traces | None:
    """Makes what sends spans; None where traces are off, and then nothing of the OpenTelemetry SDK is imported."""
    if config.telemetry.traces == "off":
        return None
    from antiphon.telemetry.tracing import open_traces

    return open_traces(config.telemetry, redactor.text)


def build_tracing(config: Config, traces: Traces | None) -> Interceptor | None:
    """Makes the step that gives calls their spans."""
    if traces is None:
        return None
    from antiphon.calls.interceptors.tracing import Tracing

    return Tracing(traces, config.server.host, config.server.grpc_port)


def build_model_spans(config: Config, traces: Traces | None) -> ModelSpans | None:
    """Makes what gives the exchanges with models their spans."""
    if traces is None:
        return None
    from antiphon.telemetry.model_spans import ModelSpans

    return ModelSpans(traces, record_content=config.telemetry.record_content)
