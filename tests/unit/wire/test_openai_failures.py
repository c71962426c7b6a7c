"""Each thing that can go wrong with a provider has one reason, says when to try again only where that is of use, and shows no credential."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from antiphon.api.core.v1.error_pb2 import ErrorReason
from antiphon.egress.configured import EgressError
from antiphon.errors import NotFoundError, ProviderFailure
from antiphon.wire.openai.error_body import ErrorBody, parse_error_body
from antiphon.wire.openai.failures import Failures
from antiphon.wire.openai.retry_after import retry_after_s


def error(message: str = "Provider's words.", **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None, **fields}}


REASONS: dict[str, tuple[int, Any, str, float | None]] = {
    "context": (400, error(code="context_length_exceeded"), "CONTEXT_LENGTH_EXCEEDED", None),
    "context, another code": (400, error(type="exceed_context_size_error", code=400), "CONTEXT_LENGTH_EXCEEDED", None),
    "context, in words": (400, error("This model's maximum context length is 5"), "CONTEXT_LENGTH_EXCEEDED", None),
    "content": (400, error(code="content_policy_violation"), "PROVIDER_REJECTED_CONTENT", None),
    "content, another code": (400, error(code="content_filter"), "PROVIDER_REJECTED_CONTENT", None),
    "request": (400, error(), "PROVIDER_REJECTED_REQUEST", None),
    "request, no body": (400, None, "PROVIDER_REJECTED_REQUEST", None),
    "key": (401, error(code="invalid_api_key"), "PROVIDER_AUTHENTICATION_FAILED", None),
    "key, and quota's word": (401, error(code="insufficient_quota"), "PROVIDER_AUTHENTICATION_FAILED", None),
    "payment": (402, None, "PROVIDER_QUOTA_EXHAUSTED", None),
    "permission": (403, error(), "PROVIDER_AUTHENTICATION_FAILED", None),
    "model": (404, error(code="model_not_found"), "MODEL_NOT_FOUND", None),
    "model, by parameter": (404, error(param="model"), "MODEL_NOT_FOUND", None),
    "model, in words": (404, error("The model `x` does not exist"), "MODEL_NOT_FOUND", None),
    "model, as a bad request": (400, error(code="model_not_found"), "MODEL_NOT_FOUND", None),
    "path": (404, None, "PROVIDER_PROTOCOL_ERROR", None),
    "something else": (404, error("No such file"), "PROVIDER_REJECTED_REQUEST", None),
    "method": (405, None, "PROVIDER_REJECTED_REQUEST", None),
    "timeout": (408, None, "PROVIDER_UNAVAILABLE", 1.0),
    "conflict": (409, None, "PROVIDER_UNAVAILABLE", 1.0),
    "size": (413, None, "PROVIDER_REJECTED_REQUEST", None),
    "entity": (422, error(), "PROVIDER_REJECTED_REQUEST", None),
    "rate": (429, error(type="requests", code="rate_limit_exceeded"), "PROVIDER_RATE_LIMITED", 1.0),
    "quota": (429, error(type="insufficient_quota", code="insufficient_quota"), "PROVIDER_QUOTA_EXHAUSTED", None),
    "fault": (500, error(type="server_error"), "PROVIDER_UNAVAILABLE", 1.0),
    "gateway": (502, None, "PROVIDER_UNAVAILABLE", 1.0),
    "overload": (503, error(), "PROVIDER_UNAVAILABLE", 1.0),
    "gateway timeout": (504, None, "PROVIDER_UNAVAILABLE", 1.0),
    "overload, made up": (529, None, "PROVIDER_UNAVAILABLE", 1.0),
    "redirect": (307, None, "PROVIDER_PROTOCOL_ERROR", None),
    "other success": (204, None, "PROVIDER_PROTOCOL_ERROR", None),
}


@pytest.mark.parametrize(("status", "body", "reason", "retry_after"), REASONS.values(), ids=REASONS)
def test_reason_of_a_reply(status: int, body: Any, reason: str, retry_after: float | None) -> None:
    failures = Failures("acme", "model-1")
    failures.http_status, failures.request_id = status, "req_1"
    said = parse_error_body(b"<html>" if body is None else orjson.dumps(body))

    failure = failures.answered(said, {})

    assert (f"ERROR_REASON_{reason}", retry_after) == (ErrorReason.Name(failure.reason), failure.retry_after_s)
    assert isinstance(failure, NotFoundError if reason == "MODEL_NOT_FOUND" else ProviderFailure)
    told = failure.provider_error
    assert told is not None
    assert ("acme", "model-1", status, "req_1") == (told.provider, told.model, told.http_status, told.request_id)


def test_the_providers_code_or_type_is_told() -> None:
    failures = Failures("acme", "model-1")
    failures.http_status = 400
    with_code = failures.answered(ErrorBody(code="c", type="t"), {}).provider_error
    with_type = failures.answered(ErrorBody(type="t"), {}).provider_error

    assert with_code is not None
    assert with_type is not None
    assert ("c", "t") == (with_code.code, with_type.code)


def test_a_missing_model_is_named() -> None:
    failures = Failures("acme", "model-1")
    failures.http_status = 404

    assert {"model": "acme/model-1"} == failures.answered(ErrorBody(code="model_not_found"), {}).metadata


def test_credentials_are_never_repeated() -> None:
    failures = Failures("acme", "model-1")
    said = parse_error_body(orjson.dumps(error("Incorrect API key provided: sk-abcd****wxyz.")))
    for status in (400, 401, 403, 429, 500):
        failures.http_status = status
        assert "abcd" not in failures.answered(said, {}).message
    failures.http_status = 401
    assert "Incorrect" not in failures.answered(said, {}).message


def test_the_providers_words_are_shown_for_a_refused_request() -> None:
    failures = Failures("acme", "model-1")
    failures.http_status = 400

    message = failures.answered(parse_error_body(orjson.dumps(error("Invalid\x00\n'seed'. " + "x" * 10_000))), {}).message

    assert "Invalid 'seed'. xxx" in message
    assert len(message) < 600


BODIES: dict[str, tuple[bytes, ErrorBody]] = {
    "the dialect's": (
        b'{"error":{"message":"m","type":"t","param":"p","code":"c"}}',
        ErrorBody(message="m", type="t", param="p", code="c"),
    ),
    "a number for the code": (b'{"error":{"message":"m","code":400}}', ErrorBody(message="m", code="400")),
    "a text": (b'{"error":"m"}', ErrorBody(message="m")),
    "no error around it": (b'{"object":"error","message":"m","type":"t","code":40}', ErrorBody(message="m", type="t", code="40")),
    "detail": (b'{"detail":"m"}', ErrorBody(message="m")),
    "a list around it": (b'[{"error":{"message":"m"}}]', ErrorBody(message="m")),
    "odd types": (b'{"error":{"message":{"a":1},"type":[],"code":true,"param":1.5}}', ErrorBody()),
    "null": (b'{"error":null}', ErrorBody()),
    "no object": (b"5", ErrorBody()),
    "an empty list": (b"[]", ErrorBody()),
    "a page": (b"<html>", ErrorBody()),
    "nothing": (b"", ErrorBody()),
}


@pytest.mark.parametrize(("body", "said"), BODIES.values(), ids=BODIES)
def test_error_body(body: bytes, said: ErrorBody) -> None:
    assert said == parse_error_body(body)


REPORTED: dict[str, tuple[Any, str]] = {
    "fault": (error(type="server_error"), "PROVIDER_UNAVAILABLE"),
    "status as a number": ({"error": {"code": 429, "message": "m"}}, "PROVIDER_RATE_LIMITED"),
    "status as a text": ({"error": {"code": "502", "message": "m"}}, "PROVIDER_UNAVAILABLE"),
    "a number that is no error's": ({"error": {"code": 200}}, "PROVIDER_UNAVAILABLE"),
    "rate": (error(type="x", code="rate_limit_exceeded"), "PROVIDER_RATE_LIMITED"),
    "quota": (error(code="insufficient_quota"), "PROVIDER_QUOTA_EXHAUSTED"),
    "context": (error(code="context_length_exceeded"), "CONTEXT_LENGTH_EXCEEDED"),
    "content": (error(code="content_filter"), "PROVIDER_REJECTED_CONTENT"),
    "request": (error(), "PROVIDER_REJECTED_REQUEST"),
    "text": ({"error": "overloaded"}, "PROVIDER_UNAVAILABLE"),
    "nothing": ({}, "PROVIDER_UNAVAILABLE"),
}


@pytest.mark.parametrize(("body", "reason"), REPORTED.values(), ids=REPORTED)
def test_reason_of_an_error_in_mid_stream(body: Any, reason: str) -> None:
    failures = Failures("acme", "model-1")
    failures.http_status = 200

    failure = failures.reported(body)

    assert f"ERROR_REASON_{reason}" == ErrorReason.Name(failure.reason)
    assert failure.provider_error is not None
    assert 200 == failure.provider_error.http_status


@pytest.mark.parametrize("connected", [True, False])
def test_a_broken_exchange_may_be_tried_again(connected: bool) -> None:  # a parameter of the table
    failure = Failures("acme", "model-1").broken(EgressError("the reply broke off", connected=connected))

    assert (ErrorReason.ERROR_REASON_PROVIDER_UNAVAILABLE, 1.0) == (failure.reason, failure.retry_after_s)
    assert connected == ("may have worked on" in failure.message)
    assert failure.provider_error is not None
    assert 0 == failure.provider_error.http_status


NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
RETRIES: dict[str, tuple[dict[str, str], float]] = {
    "nothing": ({}, 1.0),
    "seconds": ({"retry-after": "7"}, 7.0),
    "a fraction": ({"retry-after": "0.5"}, 0.5),
    "milliseconds first": ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
    "a date": ({"retry-after": "Sun, 22 Nov 2026 12:00:30 GMT"}, 30.0),
    "a date without a zone": ({"retry-after": "Sun, 22 Nov 2026 12:00:30 -0000"}, 30.0),
    "a date that is past": ({"retry-after": "Sun, 22 Nov 2026 11:00:00 GMT"}, 0.0),
    "negative": ({"retry-after": "-5"}, 0.0),
    "endless": ({"retry-after": "inf"}, 1.0),
    "no number": ({"retry-after": "nan"}, 1.0),
    "very long": ({"retry-after": "1e12"}, 86_400.0),
    "words": ({"retry-after": "soon"}, 1.0),
    "empty": ({"retry-after": ""}, 1.0),
    "broken milliseconds": ({"retry-after-ms": "x", "retry-after": "3"}, 3.0),
}


@pytest.mark.parametrize(("headers", "wait_s"), RETRIES.values(), ids=RETRIES)
def test_retry_after(headers: dict[str, str], wait_s: float) -> None:
    assert wait_s == retry_after_s(headers, NOW)


@pytest.mark.parametrize("status", [429, 503])
def test_the_provider_says_when_to_try_again(status: int) -> None:
    failures = Failures("acme", "model-1")
    failures.http_status = status

    assert 7.0 == failures.answered(ErrorBody(), {"retry-after": "7"}).retry_after_s
