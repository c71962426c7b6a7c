"""The longest conversation, and what others get of the event loop while something is done with it."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from antiphon.api.core.v1.completion_pb2 import CompletionSpec

if TYPE_CHECKING:
    from collections.abc import Awaitable

_ROUNDS = 1365


def longest_conversation(model: str = "m") -> CompletionSpec:
    """Makes as many turns as the contract allows: questions, tool calls and their results."""
    spec = CompletionSpec(model=model)
    for number in range(_ROUNDS):
        spec.messages.add(role="ROLE_USER").parts.add(text="?")
        call = spec.messages.add(role="ROLE_ASSISTANT").parts.add().tool_call
        call.call_id, call.name, call.arguments = f"c{number}", "now", "{}"
        result = spec.messages.add(role="ROLE_TOOL").parts.add().tool_result
        result.call_id = call.call_id
        result.parts.add(text="noon")
    return spec


async def turns_of_others(work: Awaitable[object]) -> int:
    """Does the work; returns how often another task, which sleeps a millisecond at a time, had its turn meanwhile."""
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.001)
            turns += 1

    before_s = sys.getswitchinterval()
    # Threads give way ten times as often as they do by themselves, so that a fast machine shows it, too.
    sys.setswitchinterval(before_s / 10)
    other = asyncio.create_task(take_turns())
    try:
        await work
    finally:
        other.cancel()
        sys.setswitchinterval(before_s)
    return turns
