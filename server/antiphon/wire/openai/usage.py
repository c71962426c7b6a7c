"""The dialect's `usage` object, read as the contract's `Usage`."""

from __future__ import annotations

from typing import Any

from antiphon.api.core.v1 import usage_pb2
from antiphon.wire.openai.malformed import JsonObject, as_object

_LARGEST_COUNT = 2**63 - 1


def to_usage(usage: JsonObject) -> usage_pb2.Usage:
    """Reads what a call used. A count that is missing is 0.

    Some servers (Gemini's and xAI's among them) leave reasoning out of `completion_tokens` but not out of `total_tokens`; the contract's output
    tokens hold it, so that what the total has more than the prompt counts as output.
    """
    prompt = as_object(usage.get("prompt_tokens_details"), "usage.prompt_tokens_details")
    completion = as_object(usage.get("completion_tokens_details"), "usage.completion_tokens_details")
    input_tokens = _count(usage.get("prompt_tokens"))
    return usage_pb2.Usage(
        input_tokens=input_tokens,
        output_tokens=max(_count(usage.get("completion_tokens")), _count(usage.get("total_tokens")) - input_tokens),
        reasoning_tokens=_count(completion.get("reasoning_tokens")),
        # DeepSeek's name for it stands beside the details.
        cache_read_tokens=_count(prompt.get("cached_tokens")) or _count(usage.get("prompt_cache_hit_tokens")),
        cache_write_tokens=_count(prompt.get("cache_write_tokens")),
        audio_input_tokens=_count(prompt.get("audio_tokens")),
        audio_output_tokens=_count(completion.get("audio_tokens")),
        image_input_tokens=_count(prompt.get("image_tokens")),
    )


def _count(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return min(max(value, 0), _LARGEST_COUNT) if isinstance(value, int) else 0
