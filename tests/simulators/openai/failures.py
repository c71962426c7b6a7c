"""The API's error replies, as its reference documents them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Failure:
    """An error reply.

    Attributes:
        status: The HTTP status.
        message: What it says.
        type: The error's type.
        code: The error's code; None as where the API gives none.
        param: The request's field at fault.
        headers: Headers beside the usual ones.
        headers_delay_s: Before the head of the reply.
    """

    status: int
    message: str
    type: str
    code: str | None = None
    param: str | None = None
    headers: dict[str, str] = field(default_factory=dict[str, str])
    headers_delay_s: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Writes it as the API does."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


def rejected_request(message: str = "Invalid value.", param: str | None = None, code: str | None = None) -> Failure:
    """400: the request is not valid."""
    return Failure(400, message, "invalid_request_error", code, param)


def context_overflow() -> Failure:
    """400: the conversation is too long."""
    message = (
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens. Please reduce the length."
    )
    return Failure(400, message, "invalid_request_error", "context_length_exceeded", "messages")


def rejected_content() -> Failure:
    """400: the usage policy forbids it."""
    return Failure(400, "Your request was rejected by the safety system.", "invalid_request_error", "content_policy_violation")


def unauthorized() -> Failure:
    """401: the key is wrong; the API's own words hold a part of it."""
    return Failure(401, "Incorrect API key provided: sk-aaaa****zzzz.", "invalid_request_error", "invalid_api_key")


def forbidden() -> Failure:
    """403: the key may not."""
    return Failure(403, "Country, region, or territory not supported", "request_forbidden", "unsupported_country_region_territory")


def model_not_found(model: str = "missing") -> Failure:
    """404: no such model."""
    message = f"The model `{model}` does not exist or you do not have access to it."
    return Failure(404, message, "invalid_request_error", "model_not_found")


def rate_limited(retry_after: str | None = None, retry_after_ms: str | None = None) -> Failure:
    """429: too many requests."""
    headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1s"}
    if retry_after is not None:
        headers["retry-after"] = retry_after
    if retry_after_ms is not None:
        headers["retry-after-ms"] = retry_after_ms
    return Failure(429, "Rate limit reached for requests", "requests", "rate_limit_exceeded", headers=headers)


def quota_exhausted() -> Failure:
    """429: the account has no quota left."""
    message = "You exceeded your current quota, please check your plan and billing details."
    return Failure(429, message, "insufficient_quota", "insufficient_quota")


def internal_error() -> Failure:
    """500: a fault of the API."""
    return Failure(500, "The server had an error while processing your request. Sorry about that!", "server_error")


def bad_gateway() -> Failure:
    """502: what stands before the API cannot reach it."""
    return Failure(502, "Bad gateway.", "server_error")


def unavailable(retry_after: str | None = None) -> Failure:
    """503: the engine is overloaded."""
    headers = {} if retry_after is None else {"retry-after": retry_after}
    return Failure(503, "The engine is currently overloaded, please try again later.", "server_error", headers=headers)


def gateway_timeout() -> Failure:
    """504: what stands before the API gave up."""
    return Failure(504, "Gateway timeout.", "server_error")


def overloaded() -> Failure:
    """529: overloaded, in the status that some providers made up for it."""
    return Failure(529, "Overloaded", "overloaded_error")
