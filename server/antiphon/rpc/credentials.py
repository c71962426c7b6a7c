"""TLS for the runtime, with the certificates in force at each handshake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import grpc

if TYPE_CHECKING:
    from antiphon.config import Certificates
    from antiphon.tls import CertificateWatch


def server_credentials(watch: CertificateWatch) -> grpc.ServerCredentials:
    """Makes the credentials of a port. The runtime takes TLS 1.2 and 1.3.

    It can ask for clients' certificates only by refusing connections without one, so that is what `client_ca` means on this port.
    """
    taken = watch.current

    def newer() -> grpc.ServerCertificateConfiguration | None:
        # Is called by a thread of the runtime at each handshake; None means what it has.
        nonlocal taken
        current = watch.current
        if current is taken:
            return None
        taken = current
        return _configuration(current)

    # The stubs do not know that None may be returned.
    dynamic = cast("Any", grpc.dynamic_ssl_server_credentials)
    return dynamic(_configuration(taken), newer, require_client_authentication=taken.client_ca is not None)


def _configuration(certificates: Certificates) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(certificates.private_key, certificates.chain)], root_certificates=certificates.client_ca
    )
