"""Every error that a caller can meet.

AntiphonError                 a failure with a reason of the contract; never raised itself
├── InvalidRequestError       the request cannot be served as it is; the caller must change it
├── NotFoundError             what the request names is not there
├── AuthenticationError       nobody knows who calls; other credentials are needed
├── PermissionDeniedError     the caller is known and may not do this
├── OverloadError             this server has no room for the call; the same request may work later or elsewhere
├── SlowReaderError           a stream's reader stayed away for too long
├── DeadlineError             the call's time is up
├── UnavailableError          this server cannot serve it now; the same request may work later or elsewhere
└── ProviderFailure           a provider failed; carries what the provider said

The status code of each reason is decided in one place, `antiphon.calls.status`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from antiphon.api.core.v1 import error_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Reason = error_pb2.ErrorReason


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field of a request that breaks a rule.

    Attributes:
        field: The field's path from the request, as in `spec.messages[2].role`.
        description: What is wrong with it, and what would be right.
        rule: The rule's identifier, as in `string.pattern`; empty where the rule has none.
    """

    field: str
    description: str
    rule: str = ""


class AntiphonError(Exception):
    """A failure with a reason of the contract.

    The message and the metadata reach the caller: they hold nothing internal. A cause is chained with `raise ... from` and logged, never sent.

    Attributes:
        reason: Why it failed.
        message: What happened and what the caller can do.
        metadata: Facts beside the message, as `ErrorInfo.metadata`.
        violations: The request's fields at fault, as `BadRequest`.
        retry_after_s: When the same request may work, in seconds, as `RetryInfo`; None means that a retry is no use or was not invited.
        provider_error: What the provider said; None where no provider was at fault.
    """

    def __init__(
        self,
        reason: error_pb2.ErrorReason,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[FieldViolation] = (),
        retry_after_s: float | None = None,
        provider_error: error_pb2.ProviderError | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)
        self.retry_after_s = retry_after_s
        self.provider_error = provider_error


class InvalidRequestError(AntiphonError):
    """The request cannot be served as it is; the caller must change it."""

    @classmethod
    def at(
        cls,
        reason: error_pb2.ErrorReason,
        field: str,
        description: str,
        *,
        metadata: Mapping[str, str] | None = None,
        rule: str = "",
        message: str | None = None,
    ) -> Self:
        """Makes the refusal of one field.

        Args:
            reason: Why it is refused.
            field: The field's path from the request, as in `spec.messages[2].role`.
            description: What is wrong with it, and what would be right.
            metadata: Facts beside the message.
            rule: The rule's identifier, where the rule has one.
            message: What the caller reads; the field and the description, unless given.
        """
        violation = FieldViolation(field, description, rule)
        return cls(reason, message or f"{field}: {description}", metadata=metadata, violations=(violation,))


class NotFoundError(AntiphonError):
    """What the request names is not there."""


class AuthenticationError(AntiphonError):
    """Nobody knows who calls; other credentials are needed."""


class PermissionDeniedError(AntiphonError):
    """The caller is known and may not do this."""


class OverloadError(AntiphonError):
    """This server has no room for the call; the same request may work later or elsewhere."""


class SlowReaderError(AntiphonError):
    """A stream's reader stayed away for too long."""


class DeadlineError(AntiphonError):
    """The call's time is up."""


class UnavailableError(AntiphonError):
    """This server cannot serve it now; the same request may work later or elsewhere."""


class ProviderFailure(AntiphonError):  # noqa: N818  # "failure" is what a provider has, "provider error" is the contract's message
    """A provider failed; `provider_error` carries what it said."""
