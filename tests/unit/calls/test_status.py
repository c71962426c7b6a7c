"""Every reason has the one code that the contract names for it, and no status outgrows the trailer that carries it."""

from __future__ import annotations

import base64
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo

from antiphon.api.core.v1.error_pb2 import ProviderError
from antiphon.calls.status import CODES, code_name, internal_error, reason_name, status_of
from antiphon.errors import AntiphonError, FieldViolation, ProviderFailure, Reason

if TYPE_CHECKING:
    from google.rpc.status_pb2 import Status

PROTO = Path(__file__).parents[3] / "proto/antiphon/api/core/v1/error.proto"
# What the runtime's client takes at most by default, all trailers together.
TRAILER_LIMIT = 8192
MONSTERS = ["x" * 100_000, "é" * 100_000, "👩" * 100_000, "\n" * 100_000, "\u0000" * 100_000]


def trailer_bytes(status: Status) -> int:
    """Returns what the status takes on the wire: its message, percent-encoded, and its details in base64, names included."""
    message = quote(status.message, safe=" !\"#$&'()*+,/:;<=>?@[]^_`{|}~\\")
    details = base64.b64encode(status.SerializeToString())
    return len("grpc-message") + len(message) + len("grpc-status-details-bin") + len(details) + len("grpc-status") + 2 + 3 * 32


def test_every_reason_has_the_code_that_its_comment_names() -> None:
    commented = re.findall(r"// ([A-Z_]+)[:,].*\n(?:\s*//.*\n)*\s*ERROR_REASON_([A-Z_]+) =", PROTO.read_text(encoding="utf-8"))
    expected = {reason: code for code, reason in commented}
    actual = {reason_name(reason): code_name(code) for reason, code in CODES.items()}
    assert expected == actual
    assert set(Reason.values()) - {0} == set(CODES)


@pytest.mark.parametrize("monster", MONSTERS, ids=["ASCII", "two bytes", "four bytes", "control", "NUL"])
def test_a_monstrous_error_fits_the_trailer(monster: str) -> None:
    error = ProviderFailure(
        Reason.ERROR_REASON_PROVIDER_UNAVAILABLE,
        monster,
        metadata={f"key{number}": monster for number in range(100)},
        violations=[FieldViolation(monster, monster, monster)] * 1000,
        retry_after_s=1.5,
        provider_error=ProviderError(provider=monster, model=monster, code=monster, request_id=monster, http_status=503),
    )
    status = status_of(error)
    assert trailer_bytes(status) < TRAILER_LIMIT
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    assert "PROVIDER_UNAVAILABLE" == info.reason


def test_small_details_are_whole() -> None:
    error = AntiphonError(
        Reason.ERROR_REASON_INVALID_FIELD,
        "two fields",
        metadata={"model": "a/b"},
        violations=[FieldViolation("spec.model", "too long", "string.max_len"), FieldViolation("spec.tools", "too many")],
        retry_after_s=0.25,
        provider_error=ProviderError(provider="p", request_id="r"),
    )
    status = status_of(error)
    info, bad, retry, provider = ErrorInfo(), BadRequest(), RetryInfo(), ProviderError()
    assert [True] * 4 == [detail.Unpack(one) for detail, one in zip(status.details, (info, bad, retry, provider), strict=True)]
    assert (Code.INVALID_ARGUMENT, "two fields") == (status.code, status.message)
    assert ("INVALID_FIELD", "antiphon.api", {"model": "a/b"}) == (info.reason, info.domain, dict(info.metadata))
    assert [("spec.model", "too long", "string.max_len"), ("spec.tools", "too many", "")] == [
        (one.field, one.description, one.reason) for one in bad.field_violations
    ]
    assert 250_000_000 == retry.retry_delay.ToNanoseconds()
    assert ("p", "r") == (provider.provider, provider.request_id)


@pytest.mark.parametrize("retry_after_s", [math.inf, math.nan, -1.0, 1e30, 0.0])
def test_an_impossible_retry_time_does_no_harm(retry_after_s: float) -> None:
    status = status_of(AntiphonError(Reason.ERROR_REASON_PROVIDER_RATE_LIMITED, "slow down", retry_after_s=retry_after_s))
    retry = RetryInfo()
    for detail in status.details:
        detail.Unpack(retry)
    assert 0 <= retry.retry_delay.ToTimedelta().total_seconds() <= 86_400


def test_half_a_surrogate_does_no_harm() -> None:
    half = "\ud800"
    provider = ProviderError(provider="p")
    error = AntiphonError(
        Reason.ERROR_REASON_PROVIDER_PROTOCOL_ERROR,
        half,
        metadata={half: half},
        violations=[FieldViolation(half, half, half)],
        provider_error=provider,
    )
    assert "?" == status_of(error).message


def test_a_fault_of_ours_tells_its_call_and_nothing_else() -> None:
    status = status_of(internal_error("call-7"))
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (Code.INTERNAL, "INTERNAL", {"call_id": "call-7"}) == (status.code, info.reason, dict(info.metadata))
