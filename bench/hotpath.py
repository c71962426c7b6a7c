"""Shows where a server spends its CPU in one scenario: by thread from the kernel's counters, and by function if `py-spy` is at hand.

`python -m bench.hotpath --scenario paced` runs it against Antiphon; `--candidate bare` shows the bare server beside it. With `py-spy` on PATH or in this
environment (`pip install py-spy`; it may need root), a flame graph is written into `bench/.cache/`; open it with a browser.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench.pairing import build, servers
from bench.pairing.rounds import Generator, LoadError
from bench.pairing.scenarios import SCENARIOS
from bench.pairing.setups import EVERYTHING, SETUPS

if TYPE_CHECKING:
    from collections.abc import Generator as Iterating

TICK_MS = 10
SAMPLES_PER_S = 250


def threads(pid: int) -> dict[str, int]:
    """Returns the CPU of each thread of a process so far, in milliseconds, by its name and number."""
    found: dict[str, int] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            stat = (task / "stat").read_text(encoding="utf-8")
            # proc(5): the name is in brackets, and utime and stime are the 12th and 13th field after it.
            name, fields = stat[stat.index("(") + 1 : stat.rindex(")")], stat[stat.rindex(")") + 2 :].split()
            found[f"{name} {task.name}"] = (int(fields[11]) + int(fields[12])) * TICK_MS
    return found


@contextlib.contextmanager
def sampled(pid: int, target: Path) -> Iterating[None]:
    """Samples a process into a flame graph, if `py-spy` is there."""
    spy = shutil.which("py-spy") or shutil.which("py-spy", path=str(Path(sys.executable).parent))
    if spy is None:
        print("no `py-spy` found: threads only")
        yield
        return
    command = [spy, "record", "--threads", f"--rate={SAMPLES_PER_S}", f"--pid={pid}", f"--output={target}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            # An interrupt makes it write what it has.
            process.send_signal(2)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(60)
            process.kill()
    print(f"flame graph: {target.relative_to(servers.ROOT)}")


def main(arguments: list[str]) -> int:
    """Runs one scenario a few times and tells where the CPU went."""
    parser = argparse.ArgumentParser(prog="python -m bench.hotpath", description=__doc__)
    parser.add_argument("--candidate", default="antiphon", help="`antiphon`, `bare`, or a script that takes the bare server's options")
    parser.add_argument(
        "--setup", default=EVERYTHING.name, choices=list(SETUPS), help="which parts of Antiphon are on (default: everything)"
    )
    parser.add_argument("--scenario", default="paced", choices=[scenario.name for scenario in SCENARIOS])
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args(arguments)
    scenario = next(scenario for scenario in SCENARIOS if scenario.name == options.scenario)
    try:
        upstream_binary, load_binary, protoset = build.build("upstream"), build.build("load"), build.write_protoset()
        with tempfile.TemporaryDirectory(prefix="antiphon-bench-") as temporary:
            folder = Path(temporary)
            with (
                servers.upstream(upstream_binary, 1, folder) as upstream,
                servers.candidate(options.candidate, upstream.address, folder, setup=SETUPS[options.setup]) as server,
            ):
                generator = Generator(load_binary, protoset, upstream, folder, 4)
                generator.run(scenario, server, window=True)
                before, tokens, calls = threads(server.pid), 0, 0
                with sampled(server.pid, build.CACHE / f"{Path(options.candidate).stem}-{scenario.name}.svg"):
                    for _ in range(options.runs):
                        run = generator.run(scenario, server, window=True)
                        tokens, calls = tokens + run["tokens"], calls + run["calls"]
                after = threads(server.pid)
    except (build.BuildError, servers.StartError, LoadError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    units = calls if scenario.unit == "call" else tokens
    for name, spent_ms in sorted(((name, after[name] - before.get(name, 0)) for name in after), key=lambda item: -item[1]):
        if spent_ms:
            print(f"{name:24} {spent_ms:6} ms {1000 * spent_ms / units:8.1f} us a {scenario.unit}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
