"""A real server, everything on, under a mixed load for a long time: does it keep what it should let go of?

`make soak` runs it for half an hour and writes `bench/results/soak.md` and `soak.json`; the default tests run half a minute of the same code. A fifth of
the calls are cancelled at random moments, some come too late, some are wrong, some have no right to be answered; connections come and go.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from bench.pairing import build, servers
from bench.pairing.setups import EVERYTHING, SETUPS
from bench.soak.report import page, write
from bench.soak.run import Bounds, Plan, soak

RESULTS = Path(__file__).parents[1] / "results"
# A line through half an hour's samples is good to about one MiB an hour; a leak of a KiB with each call would show as 150.
MOST_MIB_AN_HOUR = 12.0
_WARM_UP_S = 180.0
_SPARE_S = 300


def parse(arguments: list[str]) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long the load lasts (default 30); less than 10 judges no slope")
    parser.add_argument("--seed", type=int, default=1, help="seed of the load (default 1)")
    parser.add_argument("--rate", type=float, default=40.0, help="calls begun a second (default 40, about half a core for all programs)")
    parser.add_argument("--workers", type=int, default=1, help="processes of the server (default 1)")
    parser.add_argument("--setup", default=EVERYTHING.name, choices=list(SETUPS), help="which parts are on (default: everything)")
    parser.add_argument("--out", help="write the results under this name (default: `soak` for 30 minutes or more, else none)")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Runs the soak; returns 0 if everything was let go of, 1 if not, 2 if it could not be run."""
    options = parse(arguments)
    seconds = options.minutes * 60
    judged = options.minutes >= 10
    plan = Plan(seconds=seconds, warm_up_s=min(_WARM_UP_S, seconds / 3), rate=options.rate, seed=options.seed)
    bounds = Bounds(memory_mib_an_hour=MOST_MIB_AN_HOUR if judged else None, memory_mib=None if judged else 40)
    setup = replace(SETUPS[options.setup], workers=options.workers)
    try:
        with tempfile.TemporaryDirectory(prefix="antiphon-soak-") as temporary:
            folder, lifetime_s = Path(temporary), int(seconds) + _SPARE_S
            with (
                servers.upstream(build.build("upstream"), options.seed, folder, lifetime_s=lifetime_s) as upstream,
                servers.antiphon(setup, upstream.address, folder) as server,
            ):
                outcome = asyncio.run(soak(server, upstream, plan, lambda line: print(line, flush=True)))
    except (build.BuildError, servers.StartError) as error:
        print(f"soak: {error}", file=sys.stderr)
        return 2
    print()
    print(page(outcome, bounds, setup))
    if name := options.out or ("soak" if options.minutes >= 30 else ""):
        write(RESULTS, name, outcome, bounds, setup)
    return 1 if outcome.problems(bounds) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
