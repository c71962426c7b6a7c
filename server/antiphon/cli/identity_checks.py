"""What the doctor says of who may call, and of the server's certificate."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from antiphon.cli.findings import Finding, Verdict
from antiphon.config import CertificateError, is_loopback, read_certificates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from antiphon.config import Config

_SOON = timedelta(days=14)


def check_callers(config: Config) -> Iterator[Finding]:
    """Says who may call, and which keys are of no use any more."""
    auth, host = config.auth, config.server.host
    if not auth.identifies:
        if auth.serve_anyone:
            told = f"whoever reaches {host} is served as admin (auth.serve_anyone)"
            mend = "" if is_loopback(host) else "make a key with `antiphon keys create`, unless everybody on that network may do everything"
            yield Finding("callers", Verdict.NOTE, told, mend)
        else:
            yield Finding("callers", Verdict.WORKS, "every program on this machine, as admin; nobody else reaches the server")
        return
    yield Finding("callers", Verdict.WORKS, f"API keys: {len(auth.keys)}, certificates: {len(auth.certificates)}")
    now = datetime.now(UTC)
    ended = [key.id for key in auth.keys if key.disabled or (key.expires is not None and key.expires <= now)]
    if ended:
        yield Finding(
            "callers", Verdict.NOTE, f"disabled or expired: {', '.join(ended)}", "take them out of auth.keys when nobody asks for them"
        )
    if auth.keys and not config.tls.enabled and not is_loopback(host):
        told = f"keys come to {host} in plaintext"
        yield Finding("callers", Verdict.NOTE, told, "set tls.certificate and tls.private_key, unless a mesh or a proxy in front encrypts")


def check_certificate(config: Config) -> Iterator[Finding]:
    """Says how long the server's certificate will do."""
    if not config.tls.enabled:
        return
    try:
        expires = read_certificates(config.tls).expires
    except CertificateError as error:
        yield Finding("certificate", Verdict.BROKEN, str(error), "correct it; `antiphon config check` looks again")
        return
    now = datetime.now(UTC)
    if expires <= now:
        yield Finding(
            "certificate", Verdict.BROKEN, f"expired on {expires:%Y-%m-%d}", "put a new one in its place; a running server takes it"
        )
    elif expires - now <= _SOON:
        yield Finding(
            "certificate", Verdict.NOTE, f"expires on {expires:%Y-%m-%d}", "put a new one in its place; a running server takes it"
        )
    else:
        yield Finding("certificate", Verdict.WORKS, f"good until {expires:%Y-%m-%d}")
