"""What the doctor asks the server."""

from __future__ import annotations

import ssl
from dataclasses import replace
from typing import TYPE_CHECKING

from antiphon.cli.failures import explain
from antiphon.cli.findings import Finding, Verdict
from antiphon.config import read_certificates
from antiphon_client import AntiphonError, Client, PermissionDeniedError, ServerUnreachableError, UnauthenticatedError
from antiphon_client.connection import DEFAULT_TARGET, is_local
from antiphon_client.contract import health

if TYPE_CHECKING:
    from collections.abc import Callable

    from antiphon.config import Config

_PEM_BEGIN, _PEM_END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
# What a server says that works, to a caller who is nobody to it or not an operator.
_NOT_TOLD = frozenset({"CREDENTIALS_MISSING", "PERMISSION_DENIED"})
_KEY = "put one into ANTIPHON_API_KEY; `antiphon keys create --role monitor` makes it"
_TIMEOUT_S = 10.0
_PORT_TIMEOUT_S = 2.0


def check_server(target: str | None) -> list[Finding]:
    """Asks the server how each of its components does."""
    try:
        client = Client(target, timeout_s=_TIMEOUT_S, retries=0)
    except ValueError as error:
        return [Finding("server", Verdict.BROKEN, str(error))]
    with client:
        way = Finding("TLS", Verdict.NOTE, _way(client))
        try:
            report = client.health.check()
        except OSError as error:  # a certificate's file
            return [way, Finding("server", Verdict.BROKEN, f"{str(error.filename)!r} cannot be read: {error.strerror}")]
        except AntiphonError as error:
            if error.reason in _NOT_TOLD:
                return [
                    way,
                    Finding("server", Verdict.NOTE, f"{client.target} answers, and tells how it does to keys with health_read alone", _KEY),
                ]
            told, _ = explain(error, client.target)
            # No server yet is no fault of this machine.
            here = isinstance(error, ServerUnreachableError) and is_local(client.target)
            return [way, Finding("server", Verdict.NOTE if here else Verdict.BROKEN, told)]
    serving = report.status == health.HealthStatus.SERVING
    server = Finding(
        "server",
        Verdict.WORKS if serving else Verdict.BROKEN,
        f"{client.target} {'takes calls' if serving else 'answers, but takes no calls'}",
        "" if serving else "it is starting or stopping; look again, or ask another replica",
    )
    source = f"the server at {client.target}"
    return [way, *(replace(finding, source=source) for finding in (server, *map(_component, report.components)))]


def is_default_target() -> bool:
    """Whether nothing tells the client where the server is."""
    try:
        with Client(api_key="", tls=False) as client:
            return client.target == DEFAULT_TARGET
    except ValueError:  # check_server says what is wrong with it
        return False


def answers_at(target: str) -> bool:
    """Whether it is an Antiphon server of this machine that answers there."""
    with Client(target, api_key="", tls=False, timeout_s=_PORT_TIMEOUT_S, retries=0) as client:
        try:
            client.health.check()
        except (UnauthenticatedError, PermissionDeniedError) as error:
            return bool(error.reason)
        except AntiphonError:
            return False
    return True


def answers_with(config: Config) -> Callable[[str], bool]:
    """Makes the same for a server that speaks TLS: whether what answers there shows the configured certificate."""

    def answers(target: str) -> bool:
        host, _, port = target.rpartition(":")
        try:
            shown = ssl.get_server_certificate((host.strip("[]"), int(port)), timeout=_PORT_TIMEOUT_S)
            chain = read_certificates(config.tls).chain.decode("ascii")
        except (OSError, UnicodeDecodeError):
            return False
        first = chain[: chain.index(_PEM_END) + len(_PEM_END)]
        return ssl.PEM_cert_to_DER_cert(shown) == ssl.PEM_cert_to_DER_cert(first[first.index(_PEM_BEGIN) :])

    return answers


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
