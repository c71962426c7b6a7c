"""What a server needs to know its callers, and they it: a certificate, who signed it, and an API key. Made anew for each bench."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trustme

from antiphon.identity.api_keys import id_of, new_key, written_hash

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Access:
    """One server's certificate and one caller's key.

    Attributes:
        authority: The certificate of who signed the server's (PEM).
        certificate: The server's certificate chain (PEM).
        private_key: Its key (PEM).
        key: The API key.
    """

    authority: Path
    certificate: Path
    private_key: Path
    key: str

    @property
    def key_entry(self) -> dict[str, str]:
        """The API key as the configuration holds it; its role lets it read the metrics, too."""
        return {"id": id_of(self.key), "hash": written_hash(self.key), "principal": "bench", "tenant": "bench", "role": "admin"}


def make_access(folder: Path) -> Access:
    """Writes the files into a folder."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    stem = secrets.token_hex(4)
    access = Access(
        authority=folder / f"{stem}-authority.pem",
        certificate=folder / f"{stem}-certificate.pem",
        private_key=folder / f"{stem}-key.pem",
        key=new_key(),
    )
    authority.cert_pem.write_to_path(str(access.authority))
    for number, certificate in enumerate(issued.cert_chain_pems):
        certificate.write_to_path(str(access.certificate), append=number > 0)
    issued.private_key_pem.write_to_path(str(access.private_key))
    return access
