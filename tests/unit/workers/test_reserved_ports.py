"""Reserved ports are nobody else's, also while no worker listens, and workers can share them."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from antiphon.workers.reserved_ports import ReservedPorts


def test_workers_share_what_others_cannot_have() -> None:
    ports = ReservedPorts.of("127.0.0.1", 0, 0)
    assert 0 not in {ports.grpc_port, ports.http_port}
    assert ports.grpc_port != ports.http_port
    with pytest.raises(OSError, match=os_words(errno.EADDRINUSE)):
        socket.create_server(("127.0.0.1", ports.grpc_port))
    for _ in range(2):
        with (
            socket.create_server(("127.0.0.1", ports.grpc_port), reuse_port=True),
            socket.create_server(("127.0.0.1", ports.grpc_port), reuse_port=True),
            socket.create_connection(("127.0.0.1", ports.grpc_port)),
        ):
            pass
    ports.close()
    with socket.create_server(("127.0.0.1", ports.grpc_port)):
        pass


def test_a_port_that_cannot_be_had_gives_the_other_back() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = ReservedPorts.of("127.0.0.1", 0, 0)
        free.close()
        with pytest.raises(OSError, match=os_words(errno.EADDRINUSE)):
            ReservedPorts.of("127.0.0.1", free.grpc_port, taken.getsockname()[1])
        with socket.create_server(("127.0.0.1", free.grpc_port)):
            pass


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_an_address_of_the_sixth_version_is_reserved_likewise() -> None:
    ports = ReservedPorts.of("::1", 0, 0)
    with socket.create_server(("::1", ports.http_port), family=socket.AF_INET6, reuse_port=True):
        pass
    ports.close()


def os_words(number: int) -> str:

    return os.strerror(number)
