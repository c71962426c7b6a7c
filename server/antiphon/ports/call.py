"""What belongs to a call and not to the contract."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from antiphon.api.core.v1.permission_pb2 import Permission


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls.

    Attributes:
        principal: Who it is, as the configuration names it.
        tenant: Whose data it works on.
        permissions: What it may do.
        credential: What it showed, for logs: `key:<id>`, `certificate:<name>` or nothing. Never a secret.
    """

    principal: str
    tenant: str
    permissions: frozenset[Permission]
    credential: str = ""


EVERYTHING = frozenset(cast("list[Permission]", Permission.values())) - {Permission.PERMISSION_UNSPECIFIED}
# Whom a server serves that asks nobody who they are: the person whose machine it is.
LOCAL_OWNER = Caller("local-owner", "local", EVERYTHING)


@dataclass(frozen=True, slots=True)
class CallContext:
    """One call, as every layer below the ports sees it.

    Attributes:
        call_id: Names the call in logs and in errors without a public cause.
        method: The full method name, as in `/antiphon.api.completion.v1.CompletionService/Complete`.
        deadline_s: When the provider must be done, on the event loop's monotonic clock in seconds, the margin already taken off; None means no deadline.
        facts: What a use case notes about the call, for its one line in the log. Never content, never secrets.
        caller: Who calls.
    """

    call_id: str
    method: str
    deadline_s: float | None = None
    facts: dict[str, object] = field(default_factory=dict[str, object])
    caller: Caller = LOCAL_OWNER
