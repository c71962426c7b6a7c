"""A simulator of OpenAI's chat completions on a real socket, written from the public API reference. It imports nothing of the server.

async with OpenAISimulator(api_key="secret") as simulator:
    simulator.script(Answer(tokens=("Hel", "lo")), rate_limited(retry_after="2"))
    ...  # a client of simulator.base_url gets "Hello", then a 429
    simulator.requests[0].body["messages"]
    await simulator.disconnected(timeout_s=1)
"""

from tests.simulators.openai.answers import Answer, Citation, Delivery, ToolCall, Usage
from tests.simulators.openai.failures import (
    Failure,
    bad_gateway,
    context_overflow,
    forbidden,
    gateway_timeout,
    internal_error,
    model_not_found,
    overloaded,
    quota_exhausted,
    rate_limited,
    rejected_content,
    rejected_request,
    unauthorized,
    unavailable,
)
from tests.simulators.openai.server import OpenAISimulator
from tests.simulators.openai.transport import HangUp, Raw, RecordedRequest, Silence

__all__ = [
    "Answer",
    "Citation",
    "Delivery",
    "Failure",
    "HangUp",
    "OpenAISimulator",
    "Raw",
    "RecordedRequest",
    "Silence",
    "ToolCall",
    "Usage",
    "bad_gateway",
    "context_overflow",
    "forbidden",
    "gateway_timeout",
    "internal_error",
    "model_not_found",
    "overloaded",
    "quota_exhausted",
    "rate_limited",
    "rejected_content",
    "rejected_request",
    "unauthorized",
    "unavailable",
]
