"""The server's certificates in force: looked at again and again, and taken where they can be used. Which settings name them is not decided here."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from antiphon.config import CertificateError, read_certificates, server_context, signature_of
from antiphon.telemetry.logs import logger

if TYPE_CHECKING:
    import ssl

    from antiphon.config import Certificates, TlsSection

# How long before a certificate expires somebody should hear of it.
_SOON = timedelta(days=14)


class CertificateWatch:
    """What the files held when they could last be used.

    A new handshake is made with what is in force; connections that are open go on. Files that cannot be used change nothing, and the log says so once.
    """

    def __init__(self, section: TlsSection) -> None:
        self._section = section
        self._current: Certificates | None = None
        self._context: ssl.SSLContext | None = None
        self._refused: object = None
        self._warned_of: datetime | None = None
        self._task: asyncio.Task[None] | None = None
        self._log = logger("antiphon.tls")

    @property
    def current(self) -> Certificates:
        """The certificates in force. Any thread may ask."""
        assert self._current is not None, "start it first"
        return self._current

    def context_in_force(self) -> ssl.SSLContext:
        """Makes a context whose handshakes are always made with the certificates in force."""
        assert self._context is not None, "start it first"
        outer = self._context

        def switch(connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
            del name, context
            assert self._context is not None
            connection.context = self._context

        # Changing the certificate of a context that is in use is not safe beside a handshake; giving the handshake another one is.
        outer.sni_callback = switch
        return outer

    async def start(self) -> None:
        """Reads the files, and looks at them from now on.

        Raises:
            CertificateError: They cannot be used.
        """
        self._take(*await asyncio.to_thread(_read, self._section))
        self._task = asyncio.create_task(self._watch(), name="certificate-watch")

    async def close(self) -> None:
        """Looks no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._section.reload_interval_s)
            await self._look()
            self._warn()

    async def _look(self) -> None:
        signature = await asyncio.to_thread(signature_of, self._section)
        if signature in (self.current.signature, self._refused):
            return
        try:
            found = await asyncio.to_thread(_read, self._section)
        except (CertificateError, OSError) as error:
            if signature == await asyncio.to_thread(signature_of, self._section):
                self._refused = signature
                self._log.error("the new certificate files cannot be used; those before them stay in force", problem=str(error))
            return
        self._take(*found)
        self._log.info("the new certificate is in force", expires=self.current.expires.isoformat())

    def _take(self, certificates: Certificates, context: ssl.SSLContext) -> None:
        self._current = certificates
        self._context = context
        self._refused = None
        self._warn()

    def _warn(self) -> None:
        expires = self.current.expires
        now = datetime.now(UTC)
        # Once when it is near, and once more when it is there.
        stage = expires if expires <= now else expires - _SOON if expires - _SOON <= now else None
        if stage is None or stage == self._warned_of:
            return
        self._warned_of = stage
        if expires <= now:
            self._log.error("the server's certificate has expired; clients refuse it", expired=expires.isoformat())
        else:
            self._log.warning("the server's certificate expires soon; put a new one in its place", expires=expires.isoformat())


def _read(section: TlsSection) -> tuple[Certificates, ssl.SSLContext]:
    certificates = read_certificates(section)
    context = server_context(section)
    if signature_of(section) != certificates.signature:
        raise CertificateError("certificate", "the files changed while they were read")
    return certificates, context
