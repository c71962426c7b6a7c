"""What goes wrong with a provider, as errors of the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from antiphon.api.core.v1 import error_pb2
from antiphon.errors import AntiphonError, NotFoundError, ProviderFailure, Reason
from antiphon.wire.openai.error_body import ErrorBody, to_error_body
from antiphon.wire.openai.retry_after import DEFAULT_S, retry_after_s

if TYPE_CHECKING:
    from collections.abc import Mapping

    from antiphon.egress.configured import EgressError

_CONTEXT_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})
_CONTEXT_WORDS = ("maximum context length", "context window", "context length")
_CONTENT_CODES = frozenset(
    {"content_policy_violation", "content_filter", "content_policy", "responsible_ai_policy_violation", "invalid_prompt"}
)
_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_balance"})
_MODEL_CODES = frozenset({"model_not_found", "invalid_model"})
# The HTTP status that a type or code stands for, where an error arrives inside of a reply whose own status said that all was well.
_STATUS_OF_NAME = {
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "insufficient_quota": 429,
    "tokens": 429,
    "requests": 429,
    "invalid_request_error": 400,
    "context_length_exceeded": 400,
    "content_filter": 400,
    "content_policy_violation": 400,
    "invalid_api_key": 401,
    "authentication_error": 401,
    "permission_error": 403,
    "model_not_found": 404,
}


class Failures:
    """The failures of one exchange.

    Attributes:
        http_status: The reply's status; 0 before it arrived.
        request_id: The provider's name for the request; empty before it arrived.
    """

    __slots__ = ("_model", "_provider", "http_status", "request_id")

    def __init__(self, provider: str, model: str = "") -> None:
        self._provider = provider
        self._model = model
        self.http_status = 0
        self.request_id = ""

    def answered(self, error: ErrorBody, headers: Mapping[str, str]) -> AntiphonError:
        """Makes the failure of a reply whose status is not that of success."""
        return self._classify(self.http_status, error, headers)

    def reported(self, body: Any) -> AntiphonError:
        """Makes the failure of an error inside of a reply that began well."""
        error = to_error_body(body)
        status = int(error.code) if error.code.isdecimal() and len(error.code) == 3 else 0
        if not 400 <= status <= 599:
            status = _STATUS_OF_NAME.get(error.code) or _STATUS_OF_NAME.get(error.type) or 503
        return self._classify(status, error, {})

    def malformed(self, what: str) -> ProviderFailure:
        """Makes the failure of a reply that does not follow the dialect."""
        return self._failure(Reason.ERROR_REASON_PROVIDER_PROTOCOL_ERROR, f"the provider {self._provider!r} broke its protocol: {what}")

    def broken(self, error: EgressError) -> ProviderFailure:
        """Makes the failure of an exchange that broke."""
        if error.connected:
            message = f"the provider {self._provider!r} broke off, and may have worked on the request: {error}"
        else:
            message = f"the provider {self._provider!r} could not be reached: {error}"
        return self._failure(Reason.ERROR_REASON_PROVIDER_UNAVAILABLE, message, retry_after_s=DEFAULT_S)

    def silent(self, timeout_s: float) -> ProviderFailure:
        """Makes the failure of a provider that did not answer in time."""
        return self._failure(
            Reason.ERROR_REASON_PROVIDER_UNAVAILABLE,
            f"the provider {self._provider!r} did not answer within {timeout_s:g} s",
            retry_after_s=DEFAULT_S,
        )

    def _classify(self, status: int, error: ErrorBody, headers: Mapping[str, str]) -> AntiphonError:
        provider = repr(self._provider)
        names = {error.code, error.type}
        if status == 402 or (names & _QUOTA_CODES and status != 401):
            return self._failure(
                Reason.ERROR_REASON_PROVIDER_QUOTA_EXHAUSTED, f"the account at the provider {provider} has no quota left", error
            )
        if status in {401, 403}:
            # The provider's own words can hold a part of the key.
            message = f"the provider {provider} refused the configured credentials or their permissions"
            return self._failure(Reason.ERROR_REASON_PROVIDER_AUTHENTICATION_FAILED, message, error)
        if status == 429:
            message = f"the provider {provider} limits the rate of requests"
            return self._failure(Reason.ERROR_REASON_PROVIDER_RATE_LIMITED, message, error, retry_after_s=retry_after_s(headers))
        if status in {408, 409} or status >= 500:
            message = f"the provider {provider} cannot answer now"
            return self._failure(Reason.ERROR_REASON_PROVIDER_UNAVAILABLE, message, error, retry_after_s=retry_after_s(headers))
        if 400 <= status < 500:
            return self._refused(status, error)
        return self.malformed(f"it answered with the HTTP status {status}; its base URL may be wrong")

    def _refused(self, status: int, error: ErrorBody) -> AntiphonError:
        provider = repr(self._provider)
        names = {error.code, error.type}
        if self._model and (names & _MODEL_CODES or (status == 404 and _is_about_model(error))):
            return NotFoundError(
                Reason.ERROR_REASON_MODEL_NOT_FOUND,
                f"the provider {provider} has no model {self._model!r}, or the configured credentials may not use it",
                metadata={"model": f"{self._provider}/{self._model}"},
                provider_error=self._provider_error(error),
            )
        if status == 404 and not error.message:
            return self._failure(
                Reason.ERROR_REASON_PROVIDER_PROTOCOL_ERROR,
                f"the provider {provider} has nothing at this address; its base URL may be wrong",
                error,
            )
        said = f": {error.message}" if error.message else ""
        if names & _CONTEXT_CODES or (status == 400 and any(words in error.message.lower() for words in _CONTEXT_WORDS)):
            message = f"the conversation is longer than the model's context window{said}"
            return self._failure(Reason.ERROR_REASON_CONTEXT_LENGTH_EXCEEDED, message, error)
        if names & _CONTENT_CODES:
            message = f"the provider {provider} refused the content under its usage policy"
            return self._failure(Reason.ERROR_REASON_PROVIDER_REJECTED_CONTENT, message, error)
        return self._failure(Reason.ERROR_REASON_PROVIDER_REJECTED_REQUEST, f"the provider {provider} refused the request{said}", error)

    def _failure(
        self, reason: error_pb2.ErrorReason, message: str, error: ErrorBody | None = None, *, retry_after_s: float | None = None
    ) -> ProviderFailure:
        provider_error = self._provider_error(error or ErrorBody())
        return ProviderFailure(reason, message, retry_after_s=retry_after_s, provider_error=provider_error)

    def _provider_error(self, error: ErrorBody) -> error_pb2.ProviderError:
        return error_pb2.ProviderError(
            provider=self._provider, model=self._model, http_status=self.http_status, code=error.name, request_id=self.request_id
        )


def _is_about_model(error: ErrorBody) -> bool:
    return error.param == "model" or "model" in error.message.lower()
