"""A thousand readers open streams and read nothing: what each costs the server, how soon it is let go, and what the readers of other streams notice of it.

Each pair of runs has a server of its own: first with readers who read alone, then with the stalled ones beside them. The stalled grant their streams the
half a kilobyte and never more, from ten connections: what a reader lets into its own window costs the server nothing, and a small one is full soon. The
provider goes on until the server reads no more of it.

`make campaign-stalled` writes `bench/results/stalled_readers.md`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import yaml

from antiphon.api.completion.v1.completion_service_pb2 import StreamCompleteRequest
from antiphon.api.core.v1.completion_pb2 import CompletionSpec
from antiphon.api.core.v1.message_pb2 import Message, Part, Role
from bench.campaigns.raw_calls import RawCalls, Tally
from bench.pairing.build import build
from bench.pairing.report import commit
from bench.pairing.servers import free_port, run, upstream
from bench.quantiles import quantile

RESULTS = Path(__file__).parents[1] / "results" / "stalled_readers.md"
METHOD = "/antiphon.api.completion.v1.CompletionService/StreamComplete"
CONNECTIONS = 10
WINDOW = 512
READERS, RATE = 20, 50
BUFFERED_BAR_KIB = 64.0
GAP_BAR = 1.25
# From the stall on: the limit, the looks at it, and what a busy machine adds.
LATE_BAR_S = 3.0
STALLING_S = 60.0
# How long the provider goes on until what lies between it and the reader is full: some 20 KiB at some 200 bytes a token.
FILLING_TOKENS = 100


@dataclass(frozen=True)
class Pair:
    """A run without stalled readers, and one with them.

    Attributes:
        gap_ms: The 99th percentile of the time between two events at readers who read, without and with the others.
        open_kib: By how much the server's resident memory grew with each stream whose provider has sent nothing yet.
        held_kib: By how much with each stalled reader; what is above the other is what is buffered for it.
        evicted: How many of them the server let go.
        evicted_s: How long after the last of them stalled.
        told: How many learned why once they read again.
        left_kib: What of the growth was left after they had gone, each.
    """

    gap_ms: tuple[float, float]
    open_kib: float
    held_kib: float
    evicted: int
    evicted_s: float
    told: int
    left_kib: float


def request(model: str) -> bytes:
    """Returns a call's request."""
    spec = CompletionSpec(model=f"bench/{model}", messages=[Message(role=Role.ROLE_USER, parts=[Part(text="Say something.")])])
    return StreamCompleteRequest(spec=spec).SerializeToString()


def resident_kib(pid: int) -> float:
    """Returns a process's resident memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024


async def evicted(http_port: int) -> int:
    """Returns how many streams the server ended because of their readers."""

    def asked() -> str:
        with urlopen(f"http://127.0.0.1:{http_port}/metrics", timeout=10) as reply:  # our own server's
            return reply.read().decode()

    found = re.findall(r'^antiphon_calls_total{[^}]*reason="SLOW_READER"[^}]*} ([0-9.e+]+)$', await asyncio.to_thread(asked), re.MULTILINE)
    return int(sum(float(one) for one in found))


async def gap_ms(address: str, lasts_s: float) -> float:
    """Reads paced streams, and returns the 99th percentile of their gaps."""
    tally = Tally()
    body = request(f"mock-t{int(RATE * lasts_s)}-r{RATE}")
    connections = [await RawCalls.connect(address, METHOD, body, tally) for _ in range(4)]
    for number in range(READERS):
        connection = connections[number % len(connections)]
        connection.last_s = {} if connection.last_s is None else connection.last_s
        connection.call()
    await asyncio.sleep(lasts_s + 0.5)
    gaps_s = [gap for connection in connections for gap in connection.gaps_s]
    for connection in connections:
        connection.close()
    if not gaps_s:
        raise RuntimeError("no stream brought two events: there is no gap to judge")
    return quantile(gaps_s, 0.99) * 1000


async def pair(provider: str, folder: Path, *, stalled: int, rate: int, lasts_s: float) -> Pair:
    """Runs one pair."""
    port, http_port = free_port(), free_port()
    filling_s = FILLING_TOKENS / rate
    timeout_s = lasts_s + filling_s + 5
    document = {
        "server": {"host": "127.0.0.1", "grpc_port": port, "http_port": http_port},
        "limits": {"concurrent_calls": stalled + 100, "slow_reader_s": timeout_s},
        "log": {"level": "warning", "access": False},
        "providers": {
            "bench": {"type": "openai", "base_url": f"http://{provider}/v1", "api_key": "bench", "max_connections": stalled + 100}
        },
    }
    config = folder / "antiphon.yaml"
    config.write_text(yaml.safe_dump(document), encoding="utf-8")
    with run("antiphon", [sys.executable, "-m", "antiphon", "serve", "--config", str(config)], port, folder) as server:
        await gap_ms(server.address, min(1, lasts_s))
        alone_ms = await gap_ms(server.address, lasts_s)
        before_kib = resident_kib(server.pid)
        silent = await _opened(server.address, "mock-t1-r0-d3600000", stalled)
        await asyncio.sleep(2)
        open_kib = (resident_kib(server.pid) - before_kib) / stalled
        for connection in silent:
            connection.close()
        await asyncio.sleep(2)
        connections = await _opened(server.address, f"mock-t1000000-r{rate}", stalled)
        stalled_at_s = await _all_stalled(connections)
        await asyncio.sleep(filling_s)
        held_kib = (resident_kib(server.pid) - before_kib) / stalled
        beside_ms = await gap_ms(server.address, lasts_s)
        count = 0
        while count < stalled and time.perf_counter() < stalled_at_s + timeout_s + 30:
            await asyncio.sleep(0.25)
            count = await evicted(http_port)
        evicted_s = time.perf_counter() - stalled_at_s - timeout_s
        for connection in connections:
            connection.read_on()
        await asyncio.sleep(2)
        # The first says it in full, those behind it by reference to its header table.
        told = sum(len(connection.told) for connection in connections if b"SLOW_READER" in b"".join(connection.told))
        for connection in connections:
            connection.close()
        await asyncio.sleep(1)
        left_kib = (resident_kib(server.pid) - before_kib) / stalled
    return Pair((alone_ms, beside_ms), open_kib, held_kib, count, evicted_s, told, left_kib)


async def _opened(address: str, model: str, streams: int) -> list[RawCalls]:
    body = request(model)
    connections = [await RawCalls.connect(address, METHOD, body, Tally(), WINDOW) for _ in range(CONNECTIONS)]
    for connection in connections:
        connection.last_s = {}
    for number in range(streams):
        connections[number % CONNECTIONS].call()
        await asyncio.sleep(0.002)
    return connections


async def _all_stalled(connections: list[RawCalls]) -> float:
    """Waits until no stream brings anything any more; returns since when."""
    until_s = time.perf_counter() + STALLING_S
    while time.perf_counter() < until_s:
        await asyncio.sleep(0.5)
        last_s = max((moment for connection in connections for moment in (connection.last_s or {}).values()), default=until_s)
        if time.perf_counter() - last_s > 2:
            return last_s
    raise TimeoutError("the streams never stalled")


async def campaign(seed: int, pairs: int, stalled: int, rate: int, lasts_s: float, folder: Path) -> list[Pair]:  # noqa: PLR0917  # called once, by its options
    """Runs all pairs."""
    mock = build("upstream")
    with upstream(mock, seed, folder) as provider:
        return [await pair(provider.address, folder, stalled=stalled, rate=rate, lasts_s=lasts_s) for _ in range(pairs)]


def report(pairs: list[Pair], stalled: int, header: str) -> str:
    """Writes the results."""
    buffered_kib = statistics.median(one.held_kib - one.open_kib for one in pairs)
    gap = statistics.median(one.gap_ms[1] / one.gap_ms[0] for one in pairs)
    median = (
        f"Median of the pairs: {buffered_kib:.1f} KiB buffered for a stalled reader (bar {BUFFERED_BAR_KIB:.0f}); the 99th percentile of the others' gaps "
        f"is {gap:.2f} of what it was (bar {GAP_BAR})."
    )
    lines = [
        "# Stalled readers",
        "",
        header,
        "",
        median,
        "",
        "| p99 gap alone | beside them | memory of an open stream | of a stalled one | evicted | after the limit | told why | memory left each |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.gap_ms[0]:.1f} ms | {one.gap_ms[1]:.1f} ms | {one.open_kib:.1f} KiB | {one.held_kib:.1f} KiB | {one.evicted} of {stalled} | {one.evicted_s:.1f} s | "
        f"{one.told} | {one.left_kib:.1f} KiB |"
        for one in pairs
    ]
    return "\n".join([*lines, ""])


def missed(pairs: list[Pair], stalled: int) -> list[str]:
    """Returns the bars that were missed."""
    found: list[str] = []
    if statistics.median(one.held_kib - one.open_kib for one in pairs) > BUFFERED_BAR_KIB:
        found.append("memory")
    if statistics.median(one.gap_ms[1] / one.gap_ms[0] for one in pairs) > GAP_BAR:
        found.append("gap of other streams")
    if any(one.evicted != stalled or one.told != stalled or one.evicted_s > LATE_BAR_S for one in pairs):
        found.append("eviction")
    return found


def main() -> int:
    """Runs the campaign, prints it and writes it down; fails when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--stalled", type=int, default=1000)
    parser.add_argument("--rate", type=int, default=10, help="tokens a second of the provider to each stalled reader")
    parser.add_argument("--lasts-s", type=float, default=10, help="how long the readers who read are watched in each run")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pairs = asyncio.run(campaign(options.seed, options.pairs, options.stalled, options.rate, options.lasts_s, Path(folder)))
    header = f"Commit {commit()}, seed {options.seed}, {options.stalled} stalled readers at {options.rate} tokens/s, {options.lasts_s:g} s a run, {os.cpu_count()} processors."
    text = report(pairs, options.stalled, header)
    print(text)
    options.results.write_text(text, encoding="utf-8")
    found = missed(pairs, options.stalled)
    for one in found:
        print(f"missed: {one}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
