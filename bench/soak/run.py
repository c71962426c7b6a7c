"""Runs the load against a server, looks at it from time to time, and judges what was seen."""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp

from bench.soak.calls import Callers
from bench.soak.samples import MIB, Sample, look, slope_an_hour

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.pairing.servers import Running
    from bench.soak.calls import Kind

MOST_CALLS_AT_ONCE = 200
_BURST_S = 3.0
_RENEWED_EVERY_S = 15.0
# How long a server may take to let go of what its last calls held.
_REST_S = 3.0
_TOLD_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class Plan:
    """How a soak is run.

    Attributes:
        seconds: How long the load lasts.
        warm_up_s: From when on memory is fitted.
        rate: Calls begun a second.
        seed: Of everything that chance decides.
        sample_every_s: Between two looks.
    """

    seconds: float
    warm_up_s: float
    rate: float
    seed: int
    sample_every_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a soak may show.

    Attributes:
        memory_mib_an_hour: The most that resident memory may rise by, by a line through the samples after the warm-up; None: not judged.
        memory_mib: The most that it may have risen by from the rest before the load to the rest after it; None: not judged.
        descriptors: The most that may be open beyond those before the load.
        tasks: The most event-loop tasks beyond those before the load.
        threads: The most threads beyond those before the load; the thread pool of each process fills up to six.
    """

    memory_mib_an_hour: float | None
    memory_mib: float | None
    descriptors: int = 4
    tasks: int = 2
    threads: int = 8


@dataclass(slots=True)
class Outcome:
    """What a soak showed.

    Attributes:
        plan: How it was run.
        second_port: Whether the second port served calls.
        ended: How many calls ended how, by kind and code.
        unexpected: How many calls ended as their kind does not allow, by kind and code, the short burst before the load included.
        before: At rest, after a short burst of the same load.
        samples: Under load.
        after: At rest, after the load.
        error_lines: The lines of level error in the server's log.
        cancelled_share: The share of the calls that the client cancelled.
    """

    plan: Plan
    second_port: bool
    ended: Counter[tuple[str, str]]
    unexpected: Counter[tuple[str, str]]
    before: Sample
    samples: list[Sample]
    after: Sample
    error_lines: list[str]
    cancelled_share: float

    @property
    def memory_mib_an_hour(self) -> float:
        """How resident memory rises after the warm-up. Private memory swings with what other processes have mapped of the same files."""
        return slope_an_hour([(sample.at_s, sample.rss_bytes / MIB) for sample in self.samples if sample.at_s >= self.plan.warm_up_s])

    def problems(self, bounds: Bounds) -> list[str]:
        """Returns what is beyond the bounds, in words."""
        found = [f"{kind} ended with {code}, {count} times" for (kind, code), count in sorted(self.unexpected.items())]
        if self.error_lines:
            found.append(
                f"{len(self.error_lines)} lines of level error in the server's log, the first of them {self.error_lines[0][:_TOLD_CHARACTERS]}"
            )
        if bounds.memory_mib_an_hour is not None and self.memory_mib_an_hour > bounds.memory_mib_an_hour:
            found.append(f"memory rises by {self.memory_mib_an_hour:.1f} MiB an hour; at most {bounds.memory_mib_an_hour:g} are allowed")
        grown_mib = (self.after.rss_bytes - self.before.rss_bytes) / MIB
        if bounds.memory_mib is not None and grown_mib > bounds.memory_mib:
            found.append(f"memory rose by {grown_mib:.1f} MiB; at most {bounds.memory_mib:g} are allowed")
        for name, most in (("descriptors", bounds.descriptors), ("tasks", bounds.tasks), ("threads", bounds.threads)):
            before, after = getattr(self.before, name), getattr(self.after, name)
            if before is not None and after is not None and after - before > most:
                found.append(f"{name}: {before} before the load, {after} after it; at most {most} more are allowed")
        return found


@dataclass(slots=True)
class _Soak:
    server: Running
    upstream: Running
    plan: Plan
    callers: Callers
    chance: random.Random
    ended: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    unexpected: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    running: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    begun_s: float = field(default_factory=time.monotonic)

    async def load(self, seconds: float, *, counted: bool) -> None:
        """Begins calls at random moments, and waits for the last of them."""
        now = time.monotonic()
        until, due = now + seconds, now
        shares = [kind.share for kind in self.callers.kinds]
        while due < until:
            due += self.chance.expovariate(self.plan.rate)
            # Chance is asked here alone, in the order of the calls, so that a seed always makes the same load.
            (kind,) = self.chance.choices(self.callers.kinds, shares)
            own_chance = random.Random(self.chance.getrandbits(64))  # noqa: S311  # seeded on purpose
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if len(self.running) >= MOST_CALLS_AT_ONCE:
                await asyncio.wait(self.running, return_when=asyncio.FIRST_COMPLETED)
            task = asyncio.create_task(self.call(kind, own_chance, counted=counted))
            self.running.add(task)
            task.add_done_callback(self.running.discard)
        while self.running:
            await asyncio.wait(self.running)

    async def call(self, kind: Kind, chance: random.Random, *, counted: bool) -> None:
        """Makes one call and notes how it ended."""
        try:
            code = await kind.call(chance)
        except (OSError, aiohttp.ClientError, EOFError, TimeoutError, ValueError, KeyError) as error:
            code = f"{type(error).__name__}: {error}"[:200]
        if counted:
            self.ended[kind.name, code] += 1
        if code not in kind.expected:
            self.unexpected[kind.name, code] += 1

    async def sample(self) -> Sample:
        """Looks at the server."""
        metrics = await self.callers.metrics()
        async with aiohttp.ClientSession() as session, session.get(f"http://{self.upstream.address}/bench/seen") as reply:
            seen = json.loads(await reply.read())
        at_s = time.monotonic() - self.begun_s
        # One of the upstream's connections is the one it was just asked by.
        return look(self.server.pid, at_s=at_s, metrics=metrics, upstream_connections=seen["open"] - 1, calls=len(self.running))

    async def at_rest(self) -> Sample:
        """Looks at the server once nothing is going on."""
        await self.callers.rest()
        await asyncio.sleep(_REST_S)
        return await self.sample()

    async def watch(self, samples: list[Sample], progress: Callable[[str], None]) -> None:
        """Looks at the server from time to time and renews a connection now and then, until it is cancelled."""
        renewed_s = time.monotonic()
        while True:
            await asyncio.sleep(self.plan.sample_every_s)
            samples.append(await self.sample())
            last = samples[-1]
            progress(
                f"{last.at_s:5.0f} s  private {last.uss_bytes / MIB:6.1f} MiB  resident {last.rss_bytes / MIB:6.1f} MiB  "
                f"descriptors {last.descriptors}  threads {last.threads}  tasks {last.tasks}  calls {self.ended.total()}"
            )
            if time.monotonic() - renewed_s >= _RENEWED_EVERY_S:
                renewed_s = time.monotonic()
                await self.callers.renew()


async def soak(server: Running, upstream: Running, plan: Plan, progress: Callable[[str], None] = print) -> Outcome:
    """Runs the whole soak against a server that is up."""
    trust = None if server.authority is None else ssl.create_default_context(cafile=str(server.authority))
    callers = Callers(server, trust)
    try:
        second_port = await callers.find_second_port()
        run = _Soak(server, upstream, plan, callers, random.Random(plan.seed))  # noqa: S311  # seeded on purpose
        await run.load(_BURST_S, counted=False)
        before = await run.at_rest()
        run.begun_s = time.monotonic()
        samples: list[Sample] = []
        watching = asyncio.create_task(run.watch(samples, progress))
        try:
            await run.load(plan.seconds, counted=True)
        finally:
            watching.cancel()
            await asyncio.wait((watching,))
        if not watching.cancelled() and (error := watching.exception()) is not None:
            raise error
        after = await run.at_rest()
    finally:
        await callers.close()
    cancelled = sum(count for (kind, _), count in run.ended.items() if kind.endswith(", cancelled"))
    error_lines = [line for line in server.log.read_text(encoding="utf-8", errors="replace").splitlines() if '"level":"error"' in line]
    share = cancelled / max(1, run.ended.total())
    return Outcome(plan, second_port, run.ended, run.unexpected, before, samples, after, error_lines, share)
