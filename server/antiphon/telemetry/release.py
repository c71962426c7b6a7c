"""Which release this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def _release() -> str:
    try:
        return version("antiphon")
    except PackageNotFoundError:  # run from a source tree
        return "0"


# Read at the first import, because it comes from a file: what tells it is made on the event loop.
RELEASE = _release()
