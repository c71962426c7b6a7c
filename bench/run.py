"""The paired bench: the bare server and Antiphon in turn, over the same upstream and the same generator.

`make bench` runs all scenarios, prints the bars, and writes `bench/results/`. `python -m bench.run --help` tells the rest: fewer rounds, one scenario,
the bare server against itself to see the noise, or against a script of your own that tries something out.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from bench.pairing import build, report, servers
from bench.pairing.proof import prove
from bench.pairing.rounds import Comparison, Generator, LoadError, compare
from bench.pairing.scenarios import SCENARIOS
from bench.pairing.setups import EVERYTHING, SETUPS

RESULTS = Path(__file__).parent / "results"
# A run of fewer is a look and no result, and is not written down.
FEWEST_ROUNDS = 7


def parse(arguments: list[str]) -> argparse.Namespace:
    """Reads the command line."""
    names = [scenario.name for scenario in SCENARIOS]
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidate", default="antiphon", help="`antiphon`, `bare`, or a script that takes the bare server's options")
    parser.add_argument(
        "--setup", default=EVERYTHING.name, choices=list(SETUPS), help="which parts of Antiphon are on (default: everything)"
    )
    parser.add_argument("--scenario", action="append", choices=names, help="run only this one; can be given again")
    parser.add_argument("--rounds", type=int, default=11, help="pairs a scenario (default 11)")
    parser.add_argument("--connections", type=int, default=4, help="connections that the callers share (default 4)")
    parser.add_argument(
        "--fixed-window", action="store_true", help="turn off the client's bandwidth probe, which costs servers a ping a message"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the upstream's pacing (default 1)")
    parser.add_argument("--out", help="write the results under this name (default: `paired` for a whole run against antiphon, else none)")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> list[Comparison]:
    """Builds, starts, measures and stops."""
    chosen = [scenario for scenario in SCENARIOS if not options.scenario or scenario.name in options.scenario]
    print("building the upstream and the generator (the first time takes a minute)", flush=True)
    upstream_binary, load_binary, protoset = build.build("upstream"), build.build("load"), build.write_protoset()
    with tempfile.TemporaryDirectory(prefix="antiphon-bench-") as temporary:
        folder = Path(temporary)
        with (
            servers.upstream(upstream_binary, options.seed, folder) as upstream,
            servers.candidate("bare", upstream.address, folder) as bare,
            servers.candidate(options.candidate, upstream.address, folder, label="candidate", setup=SETUPS[options.setup]) as candidate,
        ):
            generator = Generator(load_binary, protoset, upstream, folder, options.connections, options.fixed_window)
            try:
                if options.candidate == "antiphon":
                    prove(generator, SETUPS[options.setup], candidate)
                return [compare(generator, scenario, bare, candidate, rounds=options.rounds, progress=say) for scenario in chosen]
            except LoadError as error:
                raise LoadError(f"{error}\nThe end of the candidate's log:\n{servers.log_end(candidate.log)}") from error


def say(line: str) -> None:
    """Tells a person how far it is."""
    print(line, flush=True)


def main(arguments: list[str]) -> int:
    """Runs the bench; returns 0 if all bars are met, 1 if one is not, 2 if it could not be measured."""
    options = parse(arguments)
    start = time.monotonic()
    try:
        comparisons = run(options)
    except (build.BuildError, servers.StartError, LoadError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    label = {"bare": "bare again", "antiphon": f"antiphon, {SETUPS[options.setup].title}"}.get(
        options.candidate, Path(options.candidate).stem
    )
    found_under = report.conditions(
        f"seed {options.seed}, {options.rounds} rounds a scenario, {options.connections} connections"
        + (", bandwidth probe off" if options.fixed_window else "")
    )
    print()
    print("\n".join(f"{key}: {value}" for key, value in found_under.items()))
    print()
    print(report.table(comparisons, label))
    print()
    print(report.detail(comparisons, label))
    whole = (
        options.candidate == "antiphon" and options.setup == EVERYTHING.name and not options.scenario and options.rounds >= FEWEST_ROUNDS
    )
    name = options.out or (report.PAIRED if whole else "")
    if name:
        report.write(RESULTS, name, label, comparisons, found_under)
    missed = sum(not met for found in comparisons for _, met in found.verdicts)
    print(f"\n{missed} bars missed, {time.monotonic() - start:.0f} s")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
