"""Where the server is and how to reach it: target, TLS, credentials. The only place of this client that reads the environment."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from antiphon_client import argument_checks as checks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT_PORT = 50051
DEFAULT_TARGET = f"127.0.0.1:{DEFAULT_PORT}"
TARGET_VARIABLE = "ANTIPHON_TARGET"
API_KEY_VARIABLE = "ANTIPHON_API_KEY"
ROOT_CERTIFICATES_VARIABLE = "ANTIPHON_ROOT_CERTIFICATES"
CLIENT_CERTIFICATE_VARIABLE = "ANTIPHON_CLIENT_CERTIFICATE"
CLIENT_KEY_VARIABLE = "ANTIPHON_CLIENT_KEY"
CLIENT_HEADER = "x-antiphon-client"

ChannelOptions = tuple[tuple[str, str | int], ...]

# gRPC's own ways to write a target. What follows is for gRPC to read.
_GRPC_SCHEMES = ("unix:", "unix-abstract:", "vsock:", "dns:", "ipv4:", "ipv6:", "xds:")
_LARGEST_PORT = 65535
_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\s/:@\[\]?#]+)(?::(.*))?", re.ASCII)
# An answer with images in it is larger than the 4 MiB that gRPC takes by default.
_MAX_RESPONSE_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How TLS is spoken, where the system's trust store and no certificate of one's own do not do.

    Where a client is given none, `ANTIPHON_ROOT_CERTIFICATES`, `ANTIPHON_CLIENT_CERTIFICATE` and `ANTIPHON_CLIENT_KEY` name the files.

    Attributes:
        root_certificates: A file of PEM certificates to trust instead of the system's.
        certificate_chain: A file with this client's own certificate (PEM); with `private_key`, for mTLS.
        private_key: A file with its key (PEM).
        server_name: The name to expect in the server's certificate, where it is not the target's.
    """

    root_certificates: Path | str | None = None
    certificate_chain: Path | str | None = None
    private_key: Path | str | None = None
    server_name: str | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """A checked way to a server. Make it with `connection_to`.

    Attributes:
        target: The gRPC target.
        tls: How TLS is spoken; None means plaintext.
        metadata: What every call carries, the API key included.
        options: The channel's options.
    """

    target: str
    tls: Tls | None
    metadata: tuple[tuple[str, str], ...] = field(repr=False)
    options: ChannelOptions

    def credentials(self) -> grpc.ChannelCredentials | None:
        """The channel's credentials; None for plaintext. Reads the certificate files.

        Raises:
            OSError: One of them cannot be read.
        """
        if self.tls is None:
            return None
        files = (self.tls.root_certificates, self.tls.private_key, self.tls.certificate_chain)
        return grpc.ssl_channel_credentials(*(None if path is None else Path(path).read_bytes() for path in files))


def connection_to(
    target: str | None,
    *,
    api_key: str | None,
    tls: bool | Tls | None,
    metadata: Mapping[str, str],
    allow_insecure_credentials: bool,
    channel_options: Sequence[tuple[str, str | int]],
) -> Connection:
    """Settles the defaults and checks that no credentials would leave this machine in plaintext.

    Raises:
        TypeError: An argument is of a wrong type.
        ValueError: They would, or target and `tls` contradict each other, or the target, the key or the metadata cannot be used.
    """
    if target is not None:
        checks.string("target", target)
    address, scheme_tls = _without_scheme(target or os.environ.get(TARGET_VARIABLE) or DEFAULT_TARGET)
    address = _with_port(address)
    local = is_local(address)
    wanted = tls if tls is not None else scheme_tls if scheme_tls is not None else not local
    if scheme_tls is not None and bool(wanted) != scheme_tls:
        raise ValueError(f"the target's scheme and tls={tls!r} contradict each other")
    settled = wanted if isinstance(wanted, Tls) else _tls_from_environment() if wanted else None

    key = api_key if api_key is not None else os.environ.get(API_KEY_VARIABLE, "")
    if key and settled is None and not local and not allow_insecure_credentials:
        raise ValueError(
            f"the API key would go to {address!r} in plaintext; use TLS, or in code, where the network is trusted, allow_insecure_credentials=True"
        )
    headers = {CLIENT_HEADER: f"python/{client_version()}", **dict(checks.metadata(metadata))}
    if key:
        headers["authorization"] = checks.printable("api_key", f"Bearer {key}")

    options: list[tuple[str, str | int]] = [
        ("grpc.max_receive_message_length", _MAX_RESPONSE_BYTES),
        # A replica that is being replaced may refuse a connection; by default the next attempt would come a second later.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.primary_user_agent", f"antiphon-python/{client_version()}"),
    ]
    if local:
        # A proxy from the environment would carry loopback traffic, keys included, off this machine.
        options.append(("grpc.enable_http_proxy", 0))
    if settled is not None and settled.server_name:
        options.append(("grpc.ssl_target_name_override", settled.server_name))
    return Connection(address, settled, tuple(headers.items()), (*options, *channel_options))


def is_local(target: str) -> bool:
    """Whether a gRPC target is on this machine: a loopback address or a Unix socket."""
    scheme, colon, rest = target.partition(":")
    if colon and scheme in {"unix", "unix-abstract"}:
        return True
    if colon and scheme in {"dns", "ipv4", "ipv6"}:
        target = rest.rpartition("/")[2]
    # A list of addresses is local when all of them are.
    return all(_is_loopback(address) for address in target.split(","))


def client_version() -> str:
    """The version of this client's package."""
    try:
        return version("antiphon-client")
    except PackageNotFoundError:  # run from a source tree
        return "0"


def _tls_from_environment() -> Tls:
    """The files that the environment names; they say how TLS is spoken, not whether."""
    names = (ROOT_CERTIFICATES_VARIABLE, CLIENT_CERTIFICATE_VARIABLE, CLIENT_KEY_VARIABLE)
    roots, chain, key = (Path(path) if (path := os.environ.get(name)) else None for name in names)
    return Tls(root_certificates=roots, certificate_chain=chain, private_key=key)


def _without_scheme(target: str) -> tuple[str, bool | None]:
    """The gRPC target, and whether `https://` or `http://` before it asks for TLS or plaintext."""
    for scheme, tls in (("https://", True), ("http://", False)):
        if target.startswith(scheme):
            return target.removeprefix(scheme).rstrip("/"), tls
    return target, None


def _with_port(address: str) -> str:
    """The address with the port that it has, else with the default one.

    Raises:
        ValueError: It has no host, or its port is none.
    """
    if address.startswith(_GRPC_SCHEMES):
        return address
    if _is_ipv6(address):
        return f"[{address}]:{DEFAULT_PORT}"
    found = _HOST_AND_PORT.fullmatch(address)
    if found is None:
        raise ValueError(f"the target {address!r} is not host:port, as in {DEFAULT_TARGET}")
    host, port = found.groups()
    if port is None:
        return f"{host}:{DEFAULT_PORT}"
    if not port.isdecimal() or not 1 <= int(port) <= _LARGEST_PORT:
        raise ValueError(f"the port of the target {address!r} is not a number from 1 to {_LARGEST_PORT}")
    return address


def _is_ipv6(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).version == 6
    except ValueError:
        return False


def _is_loopback(address: str) -> bool:
    host = address[1:].partition("]")[0] if address.startswith("[") else address.rpartition(":")[0] if address.count(":") == 1 else address
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
