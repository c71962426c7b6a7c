"""Parsing of JSON that a caller sent, without holding the event loop longer than the text deserves."""

from __future__ import annotations

import gc
from typing import Any

import orjson

# Below this the collector hardly runs.
_LONG_BYTES = 16_384


def parsed(data: str | bytes) -> Any:
    """Returns what a JSON text stands for.

    Raises:
        orjson.JSONDecodeError: It is no JSON.
    """
    if len(data) < _LONG_BYTES or not gc.isenabled():
        return orjson.loads(data)
    # The parser makes no cycles, but each of its containers counts towards the next collection: with the collector on, 1 MiB of `[],` takes ten times
    # as long.
    gc.disable()
    try:
        return orjson.loads(data)
    finally:
        gc.enable()
