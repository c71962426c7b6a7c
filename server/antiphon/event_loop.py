"""Work that grows with a request leaves the event loop to other calls."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

# A request of this size takes some milliseconds to decode, to check or to translate; the longest conversations take ten times as long.
LONG_BYTES = 16_384


async def beside_loop(size_bytes: int, work: Callable[_Arguments, _Result], *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
    """Does at once what a short request asks for, and in a thread what a long one does: there others get their turns between its steps.

    Args:
        size_bytes: The request's size.
        work: What to do; nothing of it may need the loop.
        args: What to do it with.
        kwargs: Likewise.
    """
    if size_bytes > LONG_BYTES:
        return await asyncio.to_thread(work, *args, **kwargs)
    return work(*args, **kwargs)
