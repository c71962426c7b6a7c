"""Certificates for tests, from an authority of their own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from antiphon_client import Tls

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey


class Authority:
    """Who signs certificates, and the folder where they are written.

    Attributes:
        roots: A file with its own certificate.
    """

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._ca = trustme.CA()
        self.roots = folder / f"{name}.pem"
        self._ca.cert_pem.write_to_path(str(self.roots))

    def issue(self, name: str, *names: str, **more: Any) -> tuple[Path, Path]:
        """Writes a chain and its key; returns their files.

        Args:
            name: What the files are called.
            names: The alternative names; `localhost` and loopback's address, where there are none.
            more: What `trustme.CA.issue_cert` takes.
        """
        issued = self._ca.issue_cert(*(names or ("localhost", "127.0.0.1")), **more)
        chain, key = self._folder / f"{name}.chain.pem", self._folder / f"{name}.key.pem"
        # The chain comes last, as from a program that renews certificates.
        key.write_bytes(issued.private_key_pem.bytes())
        chain.write_bytes(b"".join(one.bytes() for one in issued.cert_chain_pems))
        return chain, key

    def issue_by_hand(self, name: str, *, uri: str = "", dns: str = "", common_name: str = "") -> tuple[Path, Path]:
        """Writes what `trustme` does not make: certificates for a URI, as a mesh gives its workloads, and those without alternative names."""
        signer = cast("EllipticCurvePrivateKey", serialization.load_pem_private_key(self._ca.private_key_pem.bytes(), None))
        issuer = x509.load_pem_x509_certificate(self._ca.cert_pem.bytes())
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        alternative = [*([x509.DNSName(dns)] if dns else []), *([x509.UniformResourceIdentifier(uri)] if uri else [])]
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(subject))
            .issuer_name(issuer.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
        )
        if alternative:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternative), critical=not subject)
        built = builder.sign(signer, hashes.SHA256())
        chain_file, key_file = self._folder / f"{name}.chain.pem", self._folder / f"{name}.key.pem"
        plain = serialization.NoEncryption()
        key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
        chain_file.write_bytes(built.public_bytes(serialization.Encoding.PEM))
        return chain_file, key_file

    def tls(self, own: tuple[Path, Path] | None = None) -> Tls:
        """Returns how a client that trusts it speaks TLS, with a certificate of its own or without."""
        chain, key = own or (None, None)
        return Tls(root_certificates=self.roots, certificate_chain=chain, private_key=key)
