"""What settings of several places must agree on."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from antiphon.config.certificates import CertificateError, read_certificates
from antiphon.config.identity import BUILT_IN_ROLES, AuthSection
from antiphon.config.sections import ServerSection, TlsSection

if TYPE_CHECKING:
    from antiphon.config.problems import Problems
    from antiphon.config.section import Section

SectionT = TypeVar("SectionT", bound="Section")


def check_agreement(document: dict[str, Any], problems: Problems) -> None:
    """Tells what does not fit together; a section with problems of its own has been told before and is left out."""
    server = _section(document, "server", ServerSection)
    tls = _section(document, "tls", TlsSection)
    auth = _section(document, "auth", AuthSection)
    if server is not None and server.grpc_port == server.http_port != 0:
        problems.add(("server", "http_port"), "is server.grpc_port, too; choose another, or 0 for any free one")
    if tls is not None:
        _check_tls(tls, problems)
    if auth is not None:
        _check_auth(auth, problems)
    if auth is not None and tls is not None and auth.certificates and tls.client_ca is None:
        problems.add(("auth", "certificates"), "no client shows a certificate unless it is asked for; set tls.client_ca")
    if auth is not None and server is not None and not (auth.identifies or auth.serve_anyone or is_loopback(server.host)):
        problems.add(
            ("auth",),
            f"server.host is {server.host}, which others can reach, and nothing says who may call; make a key with `antiphon keys create`, "
            "or set auth.serve_anyone to true",
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_tls(tls: TlsSection, problems: Problems) -> None:
    if (tls.certificate is None) != (tls.private_key is None):
        missing = "private_key" if tls.private_key is None else "certificate"
        problems.add_missing(("tls", missing), "field required; a certificate and its key go together")
    if tls.client_ca is not None and tls.certificate is None and tls.private_key is None:
        problems.add(("tls", "client_ca"), "clients' certificates need TLS; set tls.certificate and tls.private_key")
    if tls.require_client_certificate and tls.client_ca is None:
        problems.add(("tls", "require_client_certificate"), "nothing says who signs clients' certificates; set tls.client_ca")
    if tls.certificate is not None and tls.private_key is not None:
        try:
            read_certificates(tls)
        except CertificateError as error:
            problems.add(("tls", error.key), error.told)


def _check_auth(auth: AuthSection, problems: Problems) -> None:
    if auth.serve_anyone and auth.identifies:
        problems.add(("auth", "serve_anyone"), "keys or certificates are set, too; remove them or it")
    seen: set[str] = set()
    for index, key in enumerate(auth.keys):
        if key.id in seen:
            problems.add(("auth", "keys", index, "id"), f"{key.id!r} stands twice; remove one of the keys")
        seen.add(key.id)
        if key.expires is not None and key.expires.tzinfo is None:
            problems.add(("auth", "keys", index, "expires"), "has no time zone; write it as in 2027-01-31T00:00:00Z")
    named: set[str] = set()
    for index, certificate in enumerate(auth.certificates):
        if certificate.name in named:
            problems.add(("auth", "certificates", index, "name"), f"{certificate.name!r} stands twice; remove one of them")
        named.add(certificate.name)
    for place, entries in (("keys", auth.keys), ("certificates", auth.certificates)):
        for index, entry in enumerate(entries):
            if auth.permissions(entry.role) is None:
                known = ", ".join(sorted({*BUILT_IN_ROLES, *auth.roles}))
                problems.add(("auth", place, index, "role"), f"there is no role {entry.role!r}; there are {known}")


def _section(document: dict[str, Any], name: str, kind: type[SectionT]) -> SectionT | None:
    try:
        return kind.model_validate(document.get(name, {}))
    except ValidationError:
        return None
