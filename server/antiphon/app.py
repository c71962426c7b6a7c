"""The composition root: builds everything from the configuration, in order, and closes it in reverse order."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from antiphon.api.completion.v1 import completion_service_pb2
from antiphon.api.health.v1 import health_service_pb2
from antiphon.api.model.v1 import model_service_pb2
from antiphon.calls.in_flight import InFlight
from antiphon.calls.interceptors import in_order
from antiphon.calls.methods import ContractMethods
from antiphon.calls.servicers.completion import CompletionServicer
from antiphon.calls.servicers.health import HealthServicer
from antiphon.calls.servicers.model import ModelServicer
from antiphon.completion.service import CompletionLimits, CompletionService
from antiphon.egress.configured import Endpoint
from antiphon.embedded.engine import EmbeddedModelEngine
from antiphon.embedded.model_config import EmbeddedModelConfig
from antiphon.health.monitor import Component, HealthMonitor
from antiphon.http.server import HttpServer
from antiphon.http.site import build_site
from antiphon.models.catalog import ModelCatalog
from antiphon.plugins import ProviderTools
from antiphon.ports.embedded_model import EnginePhase
from antiphon.rpc.server import RpcServer
from antiphon.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from antiphon.config import Config
    from antiphon.plugins import ProviderType
    from antiphon.ports.chat_model import ChatModel


class Application:
    """One server."""

    def __init__(self, config: Config, kinds: Mapping[str, ProviderType]) -> None:
        self._config = config
        self._open = AsyncExitStack()
        self.engine = build_engine(config)
        self._providers = {name: build_provider(name, config, kinds, self.engine) for name in config.providers}
        catalog = ModelCatalog(self._providers, config.aliases)
        completions = CompletionService(
            catalog,
            CompletionLimits(
                first_token_timeout_s=config.completion.first_token_timeout_s, idle_timeout_s=config.completion.idle_timeout_s
            ),
        )
        metrics = Metrics()
        monitor = HealthMonitor(self._components())
        in_flight = InFlight()
        methods = ContractMethods(in_order(config, metrics, in_flight), in_flight)
        methods.mount(completion_service_pb2.DESCRIPTOR.services_by_name["CompletionService"], CompletionServicer(completions))
        methods.mount(model_service_pb2.DESCRIPTOR.services_by_name["ModelService"], ModelServicer(catalog))
        methods.mount(health_service_pb2.DESCRIPTOR.services_by_name["HealthService"], HealthServicer(monitor))
        self.rpc = RpcServer(config, methods, monitor)
        self.http = HttpServer(build_site(monitor, metrics), config.server.host, config.server.http_port)

    async def start(self) -> None:
        """Opens both ports.

        Raises:
            OSError: A port cannot be had; nothing stays open.
        """
        self._open.push_async_callback(self.engine.close)
        for provider in self._providers.values():
            self._open.push_async_callback(provider.close)
        try:
            self._open.push_async_callback(self.http.close)
            await self.http.start()
            self._open.push_async_callback(self.rpc.drain)
            await self.rpc.start()
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


def build_engine(config: Config) -> EmbeddedModelEngine:
    """Makes the engine beside the server; nothing is started before its first use."""
    section = config.embedded_model
    return EmbeddedModelEngine(
        EmbeddedModelConfig(
            gguf_path=section.weights,
            model_name=section.name,
            threads=section.threads,
            parallel_slots=section.slots,
            context_tokens=section.context_tokens,
            start_timeout_s=section.start_timeout_s,
        )
    )


def build_provider(name: str, config: Config, kinds: Mapping[str, ProviderType], engine: EmbeddedModelEngine) -> ChatModel:
    """Makes the adapter of one configured provider; nothing is connected yet."""
    provider = config.providers[name]
    return kinds[provider.type].build(name, provider.settings, ProviderTools(open_endpoint=Endpoint, embedded_model=engine))
