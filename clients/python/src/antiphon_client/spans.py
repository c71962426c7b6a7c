"""What a transport asks of tracing, and how it does without."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from opentelemetry.trace import TracerProvider


class Span(Protocol):
    """The span of one call. As a context, it ends when the context does."""

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What the call carries so that the server continues the trace."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...

    def end(self, error: BaseException | None = None) -> None:
        """Ends it as the call ended. Safe to repeat."""
        ...


# Begins the span of a call by its method's path.
BeginSpan = Callable[[str], Span]


class _NoSpan:
    metadata: tuple[tuple[str, str], ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    def end(self, error: BaseException | None = None) -> None:
        pass


_NO_SPAN = _NoSpan()


def untraced(path: str) -> Span:
    """Begins nothing."""
    del path
    return _NO_SPAN


def spans_for(tracing: bool | TracerProvider, target: str, version: str) -> BeginSpan:  # noqa: FBT001  # the client's own argument
    """Settles a client's argument `tracing`.

    Raises:
        ImportError: It wants spans, and OpenTelemetry is not installed.
    """
    if tracing is False:
        return untraced
    from antiphon_client.telemetry import CallTracer

    return CallTracer(None if tracing is True else tracing, target, version).begin
