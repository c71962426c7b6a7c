"""The port to what `/metrics` shows."""

from __future__ import annotations

from typing import Protocol


class MetricsText(Protocol):
    """Makes the metrics in Prometheus's text format, of this process or of all that serve the ports."""

    async def __call__(self) -> str:
        """Returns them as they are now."""
        ...
