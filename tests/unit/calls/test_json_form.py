"""A request in JSON is bounded before it is read, and whatever is wrong with it is one of two typed errors."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import hypothesis
import pytest
from google.protobuf import json_format
from hypothesis import strategies

from antiphon.api.completion.v1 import completion_service_pb2 as pb
from antiphon.calls.json_form import elements_beyond, parse
from antiphon.errors import InvalidRequestError, Reason

if TYPE_CHECKING:
    from tests.support.faker import MessageFaker

UNDECODABLE, UNKNOWN = Reason.ERROR_REASON_UNDECODABLE_REQUEST, Reason.ERROR_REASON_UNKNOWN_FIELD
SPEC = '{"spec":{"model":%s}}'
BROKEN = {
    "nothing": b"",
    "blanks": b" \n",
    "cut off": b'{"spec":{',
    "no object": b"[]",
    "null": b"null",
    "a text": b'"spec"',
    "two objects": b"{}{}",
    "a key that stands twice": b'{"spec":{},"spec":{}}',
    "a key within that stands twice": b'{"spec":{"model":"a","model":"b"}}',
    "no UTF-8": b'{"spec":{"model":"\xff"}}',
    "UTF-16": '{"spec":{}}'.encode("utf-16"),
    "a mark of byte order": b"\xef\xbb\xbf{}",
    "half a surrogate": b'{"spec":{"model":"\\ud800"}}',
    "a number for a text": (SPEC % 1).encode(),
    "a list for a text": (SPEC % "[]").encode(),
    "an object for a text": (SPEC % "{}").encode(),
    "an object for a list": b'{"spec":{"messages":{}}}',
    "null in a list": b'{"spec":{"messages":[null]}}',
    "a role that nobody knows": b'{"spec":{"messages":[{"role":"ROLE_NOBODY"}]}}',
    "two of one": b'{"spec":{"messages":[{"parts":[{"text":"a","uri":{}}]}]}}',
    "an integer too large": b'{"spec":{"sampling":{"topK":99999999999999999999}}}',
    "an integer of ten thousand digits": b'{"spec":{"sampling":{"topK":1' + b"0" * 10_000 + b"}}}",
    "a number that is infinite": b'{"spec":{"sampling":{"topK":1e999}}}',
    "a fraction for an integer": b'{"spec":{"sampling":{"topK":1.5}}}',
    "nested too deep": b'{"spec":' * 100_000,
    "lists nested too deep": b'{"spec":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "messages nested too deep": b'{"spec":{"messages":[{"parts":[' + b'{"toolResult":{"parts":[' * 60 + b"]}}" * 60 + b"]}]}}",
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_request_is_undecodable(name: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse(BROKEN[name], pb.CompleteRequest)
    assert UNDECODABLE == caught.value.reason, caught.value.message


@pytest.mark.parametrize("body", [b'{"nobody":1}', b'{"spec":{"nobody":null}}', b'{"spec":{"messages":[{"parts":[{"nobody":{}}]}]}}'])
def test_a_field_that_nobody_knows_is_told_as_such(body: bytes) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse(body, pb.CompleteRequest)
    assert UNKNOWN == caught.value.reason
    assert '"nobody"' in caught.value.message
    assert "Available" not in caught.value.message


@hypothesis.given(
    strategies.recursive(
        strategies.none() | strategies.booleans() | strategies.floats() | strategies.integers() | strategies.text(),
        lambda inner: (
            strategies.lists(inner, max_size=3)
            | strategies.dictionaries(
                strategies.sampled_from(
                    ["spec", "model", "messages", "role", "parts", "text", "blob", "data", "labels", "sampling", "stop", "@type"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_a_request_or_one_of_two_errors(value: object) -> None:
    try:
        parse(json.dumps(value).encode(), pb.CompleteRequest)
    except InvalidRequestError as error:
        assert error.reason in {UNDECODABLE, UNKNOWN}  # noqa: PT017  # a request is as good an answer


def test_what_protobuf_writes_is_read_again(faker: MessageFaker) -> None:
    for _ in range(50):
        message = pb.CompleteRequest(spec=faker.spec())
        assert message == parse(json_format.MessageToJson(message).encode(), pb.CompleteRequest)


@pytest.mark.parametrize(
    ("body", "count"),
    [(b"", 0), (b"{}", 1), (b'{"a":[1,2,3]}', 4), (b'{"a,[{":"\\",[{"}', 1), (b'"\\\\",', 1), (b'{"never ends, [{', 1), (b'{"\\', 1)],
)
def test_values_are_counted_and_texts_are_not(body: bytes, count: int) -> None:
    padded = body + b'"' + b"," * 10 + b'"' if count and not body.endswith((b"[{", b"\\")) else body
    assert not elements_beyond(padded, count)
    assert count == 0 or elements_beyond(padded, count - 1)


@pytest.mark.parametrize("unit", [b'\\"', b'"', b'"a",', b"\\", b",", b'"\\'])
def test_counting_takes_time_by_the_byte(unit: bytes) -> None:
    body = b'"' + unit * (2**20 // len(unit)) + b"," * 70_000
    begun_s = time.process_time()
    elements_beyond(body, 65_536)
    # Some hundredths of a second; a text that was tried again from each quotation mark would take minutes.
    assert time.process_time() - begun_s < 5
