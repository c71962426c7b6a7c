"""Replays `deploy/Containerfile` without a container engine: its build stage into a folder, then its entry point, health check and stop signal."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from packaging.utils import canonicalize_name

from tools.containerfile import CONTAINERFILE, ROOT, Instruction, sources, stages
from tools.sbom import BILL

READY_WITHIN_S = 60.0
STOPPED_WITHIN_S = 30.0


def replay_build(stage: list[Instruction], root: Path) -> None:
    """Carries out a stage's COPY and RUN below `root` instead of `/`."""
    for instruction in stage:
        if instruction.name == "COPY":
            target = root / instruction.words[-1].lstrip("/")
            target.mkdir(parents=True, exist_ok=True)
            for file in (found for source in sources(instruction) for found in sorted(ROOT.glob(source))):
                shutil.copy(file, target)
        elif instruction.name == "RUN":
            command = instruction.rest.replace("/opt/", f"{root}/opt/").replace("/build/", f"{root}/build/")
            print(f"  {instruction.rest}", flush=True)
            subprocess.run(["sh", "-c", command], check=True, env={**os.environ, "PATH": f"{Path(sys.base_prefix) / 'bin'}:/usr/bin:/bin"})


def hold_against_bill(root: Path) -> None:
    """Compares what was installed with the bill that the image carries.

    Raises:
        RuntimeError: Something is installed that the bill does not name, or the other way round.
    """
    listing = "from importlib.metadata import distributions; print(*{f'{d.name}=={d.version}' for d in distributions()}, sep='\\n')"
    command = [str(root / "opt" / "antiphon" / "bin" / "python"), "-c", listing]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    installed = {f"{canonicalize_name(name)}=={version}" for name, version in (line.split("==") for line in output.split())}
    document = json.loads(BILL.read_text(encoding="utf-8"))
    components = [*document["components"], document["metadata"]["component"]]
    # What a marker keeps to other platforms may be missing.
    everywhere = {f"{one['name']}=={one['version']}" for one in components if "properties" not in one}
    named = {f"{one['name']}=={one['version']}" for one in components}
    if unnamed := sorted(installed - named):
        raise RuntimeError(f"installed, and not in the bill: {', '.join(unnamed)}")
    if missing := sorted(everywhere - installed):
        raise RuntimeError(f"in the bill, and not installed: {', '.join(missing)}")
    print(f"installed: {len(installed)} packages, all of them in the bill")


def replay_run(stage: list[Instruction], root: Path) -> None:
    """Starts what the image starts, asks what the image asks, and stops it as an engine would.

    Raises:
        RuntimeError: It was not ready in time, or its end was no clean one.
    """
    by_name = {instruction.name: instruction for instruction in stage}
    grpc_port, http_port = _free_ports()
    declared = dict(word.split("=", 1) for word in shlex.split(by_name["ENV"].rest))
    environment = {key: value.replace("/opt/", f"{root}/opt/") for key, value in declared.items()}
    # The machine's own ports may be taken, and its loopback is not a container's.
    environment |= {
        "ANTIPHON_SERVER__HOST": "127.0.0.1",
        "ANTIPHON_SERVER__GRPC_PORT": str(grpc_port),
        "ANTIPHON_SERVER__HTTP_PORT": str(http_port),
    }
    command, *arguments = [*by_name["ENTRYPOINT"].words, *by_name["CMD"].words]
    probe = [
        word.replace(":8080/", f":{http_port}/") for word in Instruction("CMD", {}, by_name["HEALTHCHECK"].rest.removeprefix("CMD ")).words
    ]
    program = shutil.which(command, path=environment["PATH"])
    if program is None:
        raise RuntimeError(f"{command!r} is not on the image's PATH")
    with subprocess.Popen([program, *arguments], cwd=root, env=environment) as server:
        try:
            _await_ready([shutil.which(probe[0], path=environment["PATH"]) or probe[0], *probe[1:]], environment, server)
            server.send_signal(signal.Signals[by_name["STOPSIGNAL"].rest])
            if server.wait(STOPPED_WITHIN_S):
                raise RuntimeError(f"the server ended with {server.returncode}")
        finally:
            if server.poll() is None:
                server.kill()


def _await_ready(probe: list[str], environment: dict[str, str], server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + READY_WITHIN_S
    while subprocess.run(probe, env=environment, check=False, capture_output=True).returncode:
        if server.poll() is not None or time.monotonic() > until:
            raise RuntimeError("the health check never passed")
        time.sleep(0.2)


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def main() -> int:
    """Replays every step that needs no engine."""
    build, final = stages(CONTAINERFILE.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        print("the build stage:", flush=True)
        replay_build(build, root)
        hold_against_bill(root)
        print("the entry point, the health check and the stop signal:", flush=True)
        replay_run(final, root)
    print("replayed; the base image, the user and the file system's permissions were not")
    return 0


if __name__ == "__main__":
    sys.exit(main())
