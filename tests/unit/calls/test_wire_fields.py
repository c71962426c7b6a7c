"""Fields are counted as the decoder would find them, without decoding, and no bytes make the count fail."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.api.completion.v1.completion_service_pb2 import CompleteRequest
from antiphon.calls.wire_fields import fields_beyond
from tests.support.faker import MessageFaker


def count_of(body: bytes) -> int:
    """Finds the count by asking; a body is only looked at where it is longer than twice the limit."""
    return next((most for most in range(len(body) // 2) if not fields_beyond(body, CompleteRequest, most)), len(body) // 2)


def test_fields_of_inner_messages_count() -> None:
    request = CompleteRequest()
    request.spec.model = "a-model-with-a-name-that-is-long"
    request.spec.messages.add(role=2).parts.add(text="Hello, this is a text")  # pyright: ignore[reportArgumentType]  # USER
    # spec, model, message, role, part, text
    assert 6 == count_of(request.SerializeToString())


def test_a_label_counts_as_its_entry() -> None:
    request = CompleteRequest()
    request.spec.labels["a-key-that-is-long"] = "a value that is long, too"
    # spec, entry, key, value
    assert 4 == count_of(request.SerializeToString())


def test_long_leaves_cost_nothing() -> None:
    request = CompleteRequest()
    request.spec.messages.add().parts.add(text="\x0a\x00" * 500_000)
    assert not fields_beyond(request.SerializeToString(), CompleteRequest, 10)


def test_unknown_fields_count_and_are_not_opened() -> None:
    unknown = b"\xa2\x06\x08" + b"\x0a\x00" * 4
    assert 2 == count_of(unknown * 2)


@pytest.mark.parametrize(
    "body", [b"\xff" * 100, b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" * 10, b"\x0b" * 100, b"\x0f" * 100, b"\x0a\x7f" * 50]
)
def test_bytes_that_are_no_message_end_the_count(body: bytes) -> None:
    assert fields_beyond(body, CompleteRequest, 1) in {True, False}


@given(body=st.binary(max_size=200), most=st.integers(0, 50))
def test_no_bytes_make_it_fail(body: bytes, most: int) -> None:
    assert fields_beyond(body, CompleteRequest, most) in {True, False}


@given(seed=st.integers(0, 2**32))
def test_it_agrees_with_the_decoder(seed: int) -> None:
    request = CompleteRequest(spec=MessageFaker(seed).spec())
    expected = _decoded_count(request)
    body = request.SerializeToString()
    assert (expected > 5) == fields_beyond(body, CompleteRequest, 5) or len(body) <= 10
    assert not fields_beyond(body, CompleteRequest, expected)


def _decoded_count(message: Any) -> int:
    count = 0
    for field, value in message.ListFields():
        if field.message_type is None:
            count += len(value) if field.is_repeated else 1
        elif field.message_type.GetOptions().map_entry:
            holds_messages = field.message_type.fields_by_name["value"].message_type is not None
            count += sum(3 + (_decoded_count(value[key]) if holds_messages else 0) for key in value)
        else:
            count += sum(1 + _decoded_count(one) for one in (value if field.is_repeated else [value]))
    return count
