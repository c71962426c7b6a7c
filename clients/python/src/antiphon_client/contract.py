"""The contract's own messages, an area a name: `core`, `completion`, `model` and `health`, as generated from the `.proto` files."""

from __future__ import annotations

from antiphon_client._generated.antiphon.api.completion import v1 as completion
from antiphon_client._generated.antiphon.api.core import v1 as core
from antiphon_client._generated.antiphon.api.health import v1 as health
from antiphon_client._generated.antiphon.api.model import v1 as model

__all__ = ["completion", "core", "health", "model"]
