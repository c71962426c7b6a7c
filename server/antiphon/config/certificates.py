"""Reads the files of the section `tls`, and says which of them cannot be used."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from antiphon.config.sections import TlsSection

_SEQUENCE, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0x17, 0x18
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_MOST_BYTES = 2**20


class CertificateError(OSError):
    """A file cannot be used.

    Attributes:
        key: The setting that names it.
        told: What is wrong with it, and what would mend it. Nothing of what it holds.
    """

    def __init__(self, key: str, told: str) -> None:
        super().__init__(f"tls.{key}: {told}")
        self.key = key
        self.told = told


@dataclass(frozen=True, slots=True)
class Certificates:
    """What the files hold, checked: key and certificate belong together.

    Attributes:
        chain: The server's certificate chain (PEM).
        private_key: Its key (PEM).
        client_ca: Who signs clients' certificates (PEM); None where none are asked for.
        expires: When the server's certificate expires.
        signature: Tells these files from what may come in their place.
    """

    chain: bytes
    private_key: bytes = field(repr=False)
    client_ca: bytes | None
    expires: datetime
    signature: object


def read_certificates(section: TlsSection) -> Certificates:
    """Reads and checks the files of a section that enables TLS. It blocks.

    Raises:
        CertificateError: One of them cannot be used.
    """
    chain_path, key_path = section.certificate, section.private_key
    assert chain_path is not None, "checked when the configuration was loaded"
    assert key_path is not None, "as above"
    signature = signature_of(section)
    chain = _read("certificate", chain_path)
    private_key = _read("private_key", key_path)
    client_ca = None if section.client_ca is None else _read("client_ca", section.client_ca)
    try:
        expires = _expiry(chain)
    except (ValueError, IndexError, StopIteration):
        raise CertificateError("certificate", f"{str(chain_path)!r} begins with no certificate (PEM) that can be read") from None
    _check_pair(section)
    if client_ca is not None:
        _check_authority(client_ca)
    if signature_of(section) != signature:
        raise CertificateError("certificate", "the files changed while they were read")
    return Certificates(chain, private_key, client_ca, expires, signature)


def signature_of(section: TlsSection) -> object:
    """Returns what changes when a file is written or replaced, links followed; it blocks, but reads nothing."""
    return tuple(_look(path) for path in (section.certificate, section.private_key, section.client_ca) if path is not None)


def server_context(section: TlsSection) -> ssl.SSLContext:
    """Makes what serves TLS on the second port. It blocks.

    Raises:
        OSError: A file cannot be read or used; `read_certificates` tells which and why.
    """
    assert section.certificate is not None, "checked when the configuration was loaded"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # An encrypted key would else be asked for at the terminal.
    context.load_cert_chain(section.certificate, section.private_key, password="")
    if section.client_ca is not None:
        context.load_verify_locations(section.client_ca)
        # A resumed session would be one with an authority that may be in force no more.
        context.num_tickets = 0
        context.verify_mode = ssl.CERT_REQUIRED if section.require_client_certificate else ssl.CERT_OPTIONAL
    return context


def _look(path: Path) -> tuple[int, int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)


def _read(key: str, path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise CertificateError(key, f"{str(path)!r} cannot be read: {error.strerror}") from None
    except ValueError:
        raise CertificateError(key, f"{str(path)!r} cannot be read: no file can have this name") from None
    if len(data) > _MOST_BYTES:
        raise CertificateError(key, f"{str(path)!r} is larger than 1 MiB: no PEM file of certificates")
    return data


def _check_pair(section: TlsSection) -> None:
    assert section.certificate is not None, "checked when the configuration was loaded"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(section.certificate, section.private_key, password="")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            told = f"is not the key of the certificate in {str(section.certificate)!r}; write both files anew, together"
        else:
            told = f"{str(section.private_key)!r} and the certificate are no PEM pair that can be used ({error.reason or 'not PEM'}); a key must have no password"
        raise CertificateError("private_key", told) from None
    except OSError as error:
        raise CertificateError("certificate", f"cannot be read: {error.strerror}") from None


def _check_authority(client_ca: bytes) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=client_ca.decode("ascii"))
    except (ssl.SSLError, ValueError):
        # Of an empty file the library says that its value is wrong.
        raise CertificateError("client_ca", "holds no PEM certificate that can be read") from None


def _expiry(chain: bytes) -> datetime:
    """Finds when a chain's first certificate expires: the second time of `validity`, the fifth part of what is signed (RFC 5280, 4.1)."""
    text = chain.decode("utf-8", "replace")
    first = text[text.index(_BEGIN) : text.index(_END) + len(_END)]
    [(_, certificate)] = _parts(ssl.PEM_cert_to_DER_cert(first))
    _, signed = next(_parts(certificate))
    # The version before them is left out in certificates of version 1.
    sequences = [content for tag, content in _parts(signed) if tag == _SEQUENCE]
    _, (kind, told) = list(_parts(sequences[2]))[:2]
    if kind not in {_UTC_TIME, _GENERALIZED_TIME}:
        raise ValueError(kind)
    digits = told.decode("ascii")
    if kind == _UTC_TIME:
        digits = f"{'20' if digits[:2] < '50' else '19'}{digits}"
    return datetime.strptime(digits, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _parts(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Takes the elements of an ASN.1 sequence in DER apart: a tag, a length, so many bytes."""
    at = 0
    while at < len(der):
        tag, length = der[at], der[at + 1]
        at += 2
        if length & 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(der[at : at + size]), at + size
        yield tag, der[at : at + length]
        at += length
