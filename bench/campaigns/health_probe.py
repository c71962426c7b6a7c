"""Asks a server for its health again and again, in a process of its own, and tells how long the answers took.

    python -m bench.campaigns.health_probe 127.0.0.1:50051 --lasts-s 5

It prints a JSON object: for each of the two health methods the latencies in milliseconds, and how many calls failed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from typing import Any, cast

import grpc
import grpc.aio

from antiphon.api.health.v1.health_service_pb2 import CheckHealthRequest

METHODS = {
    "grpc.health.v1 Check": ("/grpc.health.v1.Health/Check", b""),
    "CheckHealth": ("/antiphon.api.health.v1.HealthService/CheckHealth", CheckHealthRequest().SerializeToString()),
}
INTERVAL_S = 0.05


async def probe(target: str, lasts_s: float) -> dict[str, dict[str, list[float] | int]]:
    """Asks."""
    seen: dict[str, dict[str, list[float] | int]] = {}
    async with grpc.aio.insecure_channel(target) as channel:

        async def ask(name: str) -> None:
            method, body = METHODS[name]
            call = cast("Any", channel).unary_unary(method)
            latencies_ms, failures = list[float](), 0
            until_s = time.monotonic() + lasts_s
            while time.monotonic() < until_s:
                begun_s = time.perf_counter()
                try:
                    await call(body, timeout=10)
                    latencies_ms.append((time.perf_counter() - begun_s) * 1000)
                except grpc.aio.AioRpcError:
                    failures += 1
                await asyncio.sleep(INTERVAL_S)
            seen[name] = {"latencies_ms": latencies_ms, "failures": failures}

        await asyncio.gather(*(ask(name) for name in METHODS))
    return seen


def main() -> None:
    """Asks and tells."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--lasts-s", type=float, default=5)
    options = parser.parse_args()
    print(json.dumps(asyncio.run(probe(options.target, options.lasts_s))))


if __name__ == "__main__":
    main()
