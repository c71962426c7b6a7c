"""What the doctor asks the server."""

from __future__ import annotations

from antiphon.cli.failures import explain
from antiphon.cli.findings import Finding, Verdict
from antiphon_client import AntiphonError, Client, ServerUnreachableError
from antiphon_client.connection import is_local
from antiphon_client.contract import health

_TIMEOUT_S = 10.0


def check_server(target: str | None) -> tuple[list[Finding], bool]:
    """Asks the server how each of its components does. Returns what it said, and whether it answered."""
    try:
        client = Client(target, timeout_s=_TIMEOUT_S, retries=0)
    except ValueError as error:
        return [Finding("TLS", Verdict.BROKEN, str(error))], False
    with client:
        way = Finding("TLS", Verdict.WORKS, _way(client))
        try:
            report = client.health.check()
        except AntiphonError as error:
            told, _ = explain(error, client.target)
            # No server yet is no fault of this machine.
            here = isinstance(error, ServerUnreachableError) and is_local(client.target)
            return [way, Finding("server", Verdict.NOTE if here else Verdict.BROKEN, told)], False
    serving = report.status == health.HealthStatus.SERVING
    server = Finding(
        "server",
        Verdict.WORKS if serving else Verdict.BROKEN,
        f"{client.target} {'takes calls' if serving else 'answers, but takes no calls'}",
        "" if serving else "it is starting or stopping; look again, or ask another replica",
    )
    return [way, server, *(_component(component) for component in report.components)], True


def _component(component: health.ComponentHealth) -> Finding:
    latency = f", looked at in {component.latency.total_seconds() * 1000:.0f} ms" if component.latency else ""
    match component.status:
        case health.HealthStatus.SERVING:
            return Finding(component.name, Verdict.WORKS, f"works{latency}")
        case health.HealthStatus.IDLE:
            return Finding(component.name, Verdict.WORKS, "starts when it is first needed")
        case health.HealthStatus.NOT_SERVING:
            mend = "look at its section with `antiphon config show`, and at the server's log"
            return Finding(component.name, Verdict.BROKEN, component.last_error or "does not work", mend)
        case _:
            return Finding(component.name, Verdict.NOTE, "not known")


def _way(client: Client) -> str:
    if client.uses_tls:
        return f"spoken to {client.target}"
    return f"not spoken to {client.target}, " + ("which is this machine" if is_local(client.target) else "as was asked")
