"""The ports that workers share: bound here and never listened at, so that nobody else takes them while no worker listens."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class ReservedPorts:
    """Both ports.

    Attributes:
        host: Their address.
        grpc_port: The first port.
        http_port: The second port.
    """

    host: str
    grpc_port: int
    http_port: int
    _sockets: ExitStack

    @classmethod
    def of(cls, host: str, grpc_port: int, http_port: int) -> Self:
        """Takes them; 0 is any free one.

        Raises:
            OSError: One cannot be had.
        """
        with ExitStack() as sockets:
            numbers = [sockets.enter_context(_bound(host, port)).getsockname()[1] for port in (grpc_port, http_port)]
            return cls(host, *numbers, _sockets=sockets.pop_all())

    def close(self) -> None:
        """Gives them back."""
        self._sockets.close()


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            # As the second port's listener, which would not share the port otherwise.
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((host, port))
    except BaseException:
        bound.close()
        raise
    return bound
