"""Says which methods of the contract declare no permission; a server would not mount them, and a release must not hold them.

python -m tools.permissions [folder of the contract]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from antiphon.api.core.v1 import permission_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

PROTO = Path(__file__).parents[1] / "proto"
OURS = "antiphon.api."


def without_permission(image: FileDescriptorSet) -> Iterator[str]:
    """Yields the full names of the methods that declare none, or one that this build does not know."""
    known = set(permission_pb2.Permission.values()) - {permission_pb2.PERMISSION_UNSPECIFIED}
    for file in image.file:
        if not file.package.startswith(OURS):
            continue
        for service in file.service:
            for method in service.method:
                extensions: Any = method.options.Extensions  # the stubs type an extension as its descriptor alone
                if extensions[permission_pb2.permission] not in known:
                    yield f"{file.package}.{service.name}.{method.name}"


def image_of(folder: Path) -> FileDescriptorSet:
    """Builds a contract's image."""
    with tempfile.TemporaryDirectory() as made:
        path = Path(made) / "contract.binpb"
        # From the workspace that the contract is a module of: its imports are found there.
        subprocess.run(["buf", "build", folder.name, "-o", str(path)], check=True, cwd=folder.parent)
        return FileDescriptorSet.FromString(path.read_bytes())


def main(folder: Path) -> int:
    """Prints the methods at fault; returns the exit code."""
    image = image_of(folder)
    methods = sum(len(service.method) for file in image.file if file.package.startswith(OURS) for service in file.service)
    if not methods:
        print(f"{folder}: there is no method to look at")
        return 1
    faults = list(without_permission(image))
    for name in faults:
        print(f"{name} declares no permission; add `option (antiphon.api.core.v1.permission)` to it")
    if not faults:
        print(f"each of {methods} methods declares its permission")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else PROTO))
