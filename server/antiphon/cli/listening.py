"""Whether the server's ports can be had, and which setting changes one that cannot."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from antiphon.config import ServerSection


@dataclass(frozen=True, slots=True)
class ListenProblem:
    """Why nothing can listen somewhere.

    Attributes:
        place: Where: an address with its port, or the address alone where it is at fault.
        told: What is wrong.
        mend: What to do about it.
        taken: Whether another program listens there.
    """

    place: str
    told: str
    mend: str
    taken: bool = False


@dataclass(frozen=True, slots=True)
class Port:
    """One of the server's ports.

    Attributes:
        name: What it speaks.
        key: Its setting in the section `server`.
        host: The address.
        number: The port; 0 means any free one.
    """

    name: str
    key: str
    host: str
    number: int

    @property
    def place(self) -> str:
        """The address with the port."""
        return address(self.host, self.number)

    def problem(self) -> ListenProblem | None:
        """Tries to have it, and gives it back."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                # As the server does, which need not wait for connections of an earlier one to time out.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((self.host, self.number))
        except (OSError, UnicodeError) as error:
            return self._told(error)
        return None

    def _told(self, error: OSError | UnicodeError) -> ListenProblem:
        place = f"{self.place} ({self.name})"
        free = f"set server.{self.key}; ANTIPHON_SERVER__{self.key.upper()}=0 takes any free port"
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            return ListenProblem(place, "another program has it", f"end what has it, or {free}", taken=True)
        if isinstance(error, OSError) and error.errno in {errno.EACCES, errno.EPERM}:
            return ListenProblem(place, "this user may not", free)
        mend = "set server.host to an address of this machine, as in ANTIPHON_SERVER__HOST=127.0.0.1"
        return ListenProblem(self.host, "this machine has no such address", mend)


def address(host: str, port: int) -> str:
    """Writes a host with its port, as clients take them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def reached_at(host: str) -> str:
    """The host under which this machine reaches what listens at it."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared, not listened at


def ports_of(section: ServerSection) -> tuple[Port, Port]:
    """The server's ports, as they are configured."""
    return Port("gRPC", "grpc_port", section.host, section.grpc_port), Port("HTTP", "http_port", section.host, section.http_port)
