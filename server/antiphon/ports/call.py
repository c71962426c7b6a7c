"""What belongs to a call and not to the contract."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class CallContext:
    """One call, as every layer below the ports sees it.

    Attributes:
        call_id: Names the call in logs and in errors without a public cause.
        method: The full method name, as in `/antiphon.api.completion.v1.CompletionService/Complete`.
        deadline_s: When the provider must be done, on the event loop's monotonic clock in seconds, the margin already taken off; None means no deadline.
        facts: What a use case notes about the call, for its one line in the log. Never content, never secrets.
    """

    call_id: str
    method: str
    deadline_s: float | None = None
    facts: dict[str, object] = field(default_factory=dict[str, object])
