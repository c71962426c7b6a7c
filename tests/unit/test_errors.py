"""The refusal of one field says the same in its message and in its violation."""

from __future__ import annotations

from antiphon.errors import FieldViolation, InvalidRequestError, Reason


def test_a_refused_field_is_named_in_the_message_and_in_the_violation() -> None:
    error = InvalidRequestError.at(Reason.ERROR_REASON_LIMIT_EXCEEDED, "spec.tools", "at most 3", metadata={"limit": "3"}, rule="most")
    assert (Reason.ERROR_REASON_LIMIT_EXCEEDED, "spec.tools: at most 3", {"limit": "3"}) == (error.reason, error.message, error.metadata)
    assert (FieldViolation("spec.tools", "at most 3", "most"),) == error.violations


def test_a_message_of_its_own_goes_before_the_usual_one() -> None:
    error = InvalidRequestError.at(Reason.ERROR_REASON_INVALID_FIELD, "spec.model", "too long", message="the model's name is too long")
    assert ("the model's name is too long", "too long") == (error.message, error.violations[0].description)
