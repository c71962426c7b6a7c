"""How one call is made, once the caller's parameters and the client's defaults are settled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from antiphon_client import argument_checks as checks
from antiphon_client.parameters import CompletionParameters

if TYPE_CHECKING:
    from antiphon_client.parameters import CallParameters

DEFAULT_TIMEOUT_S = 120.0
DEFAULT_RETRIES = 2


@dataclass(frozen=True, slots=True)
class CallOptions:
    """How one call is made.

    Attributes:
        timeout_s: Time for the call and its retries; None means no deadline.
        retries: How many attempts may follow the first.
        metadata: What the call carries.
    """

    timeout_s: float | None
    retries: int
    metadata: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class CallDefaults:
    """What holds for calls that do not say otherwise.

    Attributes:
        timeout_s: The deadline of unary calls; None means none. A stream has none unless its caller gives it one.
        retries: How many attempts may follow the first.
        metadata: What every call carries.
    """

    timeout_s: float | None
    retries: int
    metadata: tuple[tuple[str, str], ...]

    def unary(self, parameters: CallParameters) -> CallOptions:
        """The options of a unary call."""
        return self._settled(parameters, parameters.get("timeout_s", self.timeout_s))

    def stream(self, parameters: CallParameters) -> CallOptions:
        """The options of a streaming call."""
        return self._settled(parameters, parameters.get("timeout_s"))

    def _settled(self, parameters: CallParameters, timeout_s: float | None) -> CallOptions:
        checks.known_names(parameters, CompletionParameters.__annotations__)
        own = checks.metadata(parameters.get("metadata") or {})
        timeout_s, retries = checked_limits(timeout_s, parameters.get("retries", self.retries))
        return CallOptions(timeout_s, retries, (*self.metadata, *own))


def checked_limits(timeout_s: object, retries: object) -> tuple[float | None, int]:
    """A call's time and retries.

    Raises:
        TypeError: They are no numbers.
        ValueError: They are negative, or no number at all.
    """
    seconds = None if timeout_s is None else checks.number("timeout_s", timeout_s)
    if seconds is not None and not seconds >= 0:
        raise ValueError(f"timeout_s is a time in seconds, not {timeout_s!r}")
    attempts = checks.integer("retries", retries, bits=32)
    if attempts < 0:
        raise ValueError(f"retries is how many attempts may follow the first, not {retries!r}")
    return seconds, attempts
