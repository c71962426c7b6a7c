"""The plugin interface: how a package adds a provider.

A package names a module under the entry point group `antiphon.providers`; the module implements `antiphon_provider_type` and returns a
`ProviderType`. The server's own adapters are found the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pluggy
from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Callable

    from antiphon.egress.configured import EndpointFactory
    from antiphon.ports.chat_model import ChatModel
    from antiphon.ports.embedded_model import EmbeddedModel

PROJECT = "antiphon"
ENTRY_POINTS = "antiphon.providers"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class ProviderSettings(BaseModel):
    """What every provider's settings have. An adapter derives its own from this; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class ProviderTools:
    """What the composition root hands to an adapter.

    Attributes:
        open_endpoint: Makes the pooled HTTP client of an operator's endpoint.
        embedded_model: The engine beside the server.
    """

    open_endpoint: EndpointFactory
    embedded_model: EmbeddedModel


@dataclass(frozen=True, slots=True)
class ProviderType:
    """One kind of provider.

    Attributes:
        name: The kind, as the configuration's `type` names it.
        settings: The pydantic model of its settings.
        build: Makes the adapter from the provider's configured name, its settings and the tools.
    """

    name: str
    settings: type[ProviderSettings]
    build: Callable[[str, Any, ProviderTools], ChatModel]


class ProviderHooks:
    """The hooks that a provider's module implements."""

    @hookspec
    def antiphon_provider_type(self) -> ProviderType:
        """Returns the kind of provider that the module adds."""
        raise NotImplementedError


def load_provider_types() -> dict[str, ProviderType]:
    """Finds every installed kind of provider, by name.

    Raises:
        ValueError: Two packages bring the same kind.
    """
    plugins = pluggy.PluginManager(PROJECT)
    plugins.add_hookspecs(ProviderHooks)
    plugins.load_setuptools_entrypoints(ENTRY_POINTS)
    found: dict[str, ProviderType] = {}
    for kind in plugins.hook.antiphon_provider_type():
        if kind.name in found:
            raise ValueError(f"two installed packages bring a provider of type {kind.name!r}; remove one of them")
        found[kind.name] = kind
    return found
