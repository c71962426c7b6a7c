"""Sees that the parts of a setup are really on before they are measured: a part that is off costs nothing and would look cheap."""

from __future__ import annotations

import json
import time
import urllib.request
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.pairing.rounds import Generator, LoadError
from bench.pairing.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.pairing.servers import Running
    from bench.pairing.setups import Setup

_CALLS = 200
_WAIT_S = 10.0


def prove(generator: Generator, setup: Setup, server: Running) -> None:
    """Makes a few calls and looks for their traces.

    Raises:
        LoadError: A part does nothing.
    """
    unary = SCENARIOS[0]
    spans_before = spans(generator.upstream)
    generator.run(unary, server, window=False, calls=_CALLS)
    if setup.key:
        _refused(generator, replace(server, key=""), "a call without a key is served")
        _refused(generator, replace(server, key=server.key[:-1] + "!"), "a call with a wrong key is served")
    if setup.tls:
        _refused(generator, replace(server, authority=None), "a call in plaintext is served")
    if setup.access_log:
        _await(lambda: _logged(server) >= _CALLS, f"{server.name} wrote no access log")
    if setup.sample_ratio:
        _await(lambda: spans(generator.upstream) > spans_before, f"{server.name} exported no spans")


def spans(upstream: Running) -> int:
    """Returns how many spans have come."""
    with urllib.request.urlopen(f"http://{upstream.address}/bench/seen", timeout=5) as reply:
        return int(json.load(reply)["spans"])


def _refused(generator: Generator, server: Running, otherwise: str) -> None:
    try:
        generator.run(SCENARIOS[0], server, window=False, calls=1, deadline_s=3)
    except LoadError:
        return
    raise LoadError(f"{server.name}: {otherwise}")


def _logged(server: Running) -> int:
    return server.log.read_bytes().count(b'"logger":"antiphon.access"')


def _await(seen: Callable[[], bool], otherwise: str) -> None:
    give_up = time.monotonic() + _WAIT_S
    while not seen():
        if time.monotonic() > give_up:
            raise LoadError(otherwise)
        time.sleep(0.1)
