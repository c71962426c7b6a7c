"""The names by which a client's certificate is known: URI, DNS and e-mail names, in this order, else its common name.

A common name counts only where there is no other name of any kind, addresses included: who signs certificates by their alternative names has not looked at it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_KINDS = (("URI", "peer_uri"), ("DNS", "peer_dns"), ("email", "peer_email"))
_ALTERNATIVE_NAMES = "x509_subject_alternative_name"
_COMMON_NAME = "x509_common_name"


def names_in_grpc(properties: Mapping[str, Iterable[bytes]]) -> Sequence[str]:
    """Reads them from the authentication context of a gRPC call."""
    names = [_text(value) for _, key in _KINDS for value in properties.get(key, ())]
    if names or any(properties.get(_ALTERNATIVE_NAMES, ())):
        return names
    return [_text(value) for value in properties.get(_COMMON_NAME, ())][:1]


def names_in_ssl(certificate: Mapping[str, Any] | None) -> Sequence[str]:
    """Reads them from what `ssl.SSLObject.getpeercert` returns."""
    if not certificate:
        return ()
    alternative: Sequence[tuple[str, str]] = certificate.get("subjectAltName", ())
    if alternative:
        return [value for kind, _ in _KINDS for found, value in alternative if found == kind]
    subject: Sequence[Sequence[tuple[str, str]]] = certificate.get("subject", ())
    return [value for part in subject for key, value in part if key == "commonName"][:1]


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
