"""Server-sent events are parsed as the standard says, however the network cuts the stream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.wire.sse import EventStreamParser, EventTooLargeError, ServerSentEvent

CASES: dict[str, tuple[bytes, list[ServerSentEvent]]] = {
    "one event": (b"data: a\n\n", [(b"message", b"a")]),
    "two events": (b"data: a\n\ndata: b\n\n", [(b"message", b"a"), (b"message", b"b")]),
    "no space after the colon": (b"data:a\n\n", [(b"message", b"a")]),
    "only one space is taken": (b"data:  a\n\n", [(b"message", b" a")]),
    "several lines of data": (b"data: a\ndata: b\ndata: c\n\n", [(b"message", b"a\nb\nc")]),
    "a name": (b"event: error\ndata: a\n\n", [(b"error", b"a")]),
    "a name holds for its event alone": (b"event: x\ndata: a\n\ndata: b\n\n", [(b"x", b"a"), (b"message", b"b")]),
    "an empty name": (b"event:\ndata: a\n\n", [(b"message", b"a")]),
    "a name without data": (b"event: x\n\ndata: a\n\n", [(b"message", b"a")]),
    "id and retry": (b"id: 1\nretry: 10\ndata: a\n\n", [(b"message", b"a")]),
    "an unknown field": (b"dat: x\ndata: a\n\n", [(b"message", b"a")]),
    "a field without a colon": (b"data\n\n", [(b"message", b"")]),
    "two fields without a colon": (b"data\ndata\n\n", [(b"message", b"\n")]),
    "a field without a value": (b"data:\n\n", [(b"message", b"")]),
    "a comment": (b": ping\n\ndata: a\n\n", [(b"message", b"a")]),
    "a comment in an event": (b"data: a\n: ping\ndata: b\n\n", [(b"message", b"a\nb")]),
    "comments without blank lines": (b":\n:\n:x\ndata: a\n\n", [(b"message", b"a")]),
    "a colon in the data": (b"data: a:b: c\n\n", [(b"message", b"a:b: c")]),
    "blank lines between": (b"\n\n\ndata: a\n\n\n\n\ndata: b\n\n\n", [(b"message", b"a"), (b"message", b"b")]),
    "carriage returns and line feeds": (b"data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n", [(b"message", b"a\nb"), (b"message", b"c")]),
    "carriage returns": (b"data: a\rdata: b\r\rdata: c\r\r", [(b"message", b"a\nb"), (b"message", b"c")]),
    "mixed line ends": (b"data: a\r\n\ndata: b\n\r\ndata: c\r\r\n", [(b"message", b"a"), (b"message", b"b"), (b"message", b"c")]),
    "a byte order mark": (b"\xef\xbb\xbfdata: a\n\n", [(b"message", b"a")]),
    "a byte order mark later on": (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [(b"message", b"a")]),
    "characters of several bytes": ("data: grüß 🌍\n\n".encode(), [(b"message", "grüß 🌍".encode())]),
    "bytes that are no UTF-8": (b"data: \xff\xfe\n\n", [(b"message", b"\xff\xfe")]),
    "no blank line at the end": (b"data: a\n\ndata: b\n", [(b"message", b"a"), (b"message", b"b")]),
    "no line end at the end": (b"data: a\n\ndata: b", [(b"message", b"a"), (b"message", b"b")]),
    "nothing": (b"", []),
    "a lone byte order mark": (b"\xef\xbb", []),
}


def parse(*chunks: bytes) -> list[ServerSentEvent]:
    parser = EventStreamParser()
    return [event for chunk in chunks for event in parser.feed(chunk)] + parser.finish()


@pytest.mark.parametrize(("stream", "events"), CASES.values(), ids=CASES)
def test_whole_stream(stream: bytes, events: list[ServerSentEvent]) -> None:
    assert events == parse(stream)


@pytest.mark.parametrize(("stream", "events"), CASES.values(), ids=CASES)
def test_every_split(stream: bytes, events: list[ServerSentEvent]) -> None:
    for first in range(len(stream) + 1):
        assert events == parse(stream[:first], stream[first:])
        for second in range(first, len(stream) + 1):
            assert events == parse(stream[:first], stream[first:second], stream[second:])
    assert events == parse(*(stream[place : place + 1] for place in range(len(stream))))


@given(
    st.lists(st.sampled_from([b"data", b"event", b":", b" ", b"a", b"\n", b"\r", b"\r\n", b"\xef\xbb\xbf", b"\xc3", b"\xbc"])), st.data()
)
def test_any_stream_in_any_pieces(tokens: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(tokens)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    assert parse(stream) == parse(*pieces)


@pytest.mark.parametrize("line_end", [b"\n", b"\r", b"\r\n"])
def test_an_event_ends_with_its_blank_line_and_not_with_the_next_byte(line_end: bytes) -> None:
    stream = b"data: a" + line_end + line_end
    for cut in range(len(stream)):
        parser = EventStreamParser()
        assert [(b"message", b"a")] == parser.feed(stream[:cut]) + parser.feed(stream[cut:])


@pytest.mark.parametrize("size", [1, 7, 64, 4096])
def test_an_event_beyond_the_limit_is_an_error(size: int) -> None:
    parser = EventStreamParser(event_limit_bytes=100)
    stream = b"data: " + b"x" * 200 + b"\n\n"

    def feed_all() -> None:
        for start in range(0, len(stream), size):
            parser.feed(stream[start : start + size])

    with pytest.raises(EventTooLargeError):
        feed_all()


def test_many_events_in_one_chunk_are_not_one_large_event() -> None:
    parser = EventStreamParser(event_limit_bytes=100)

    assert 1000 == len(parser.feed(b"data: x\n\n" * 1000))


def test_keep_alives_do_not_add_up() -> None:
    parser = EventStreamParser(event_limit_bytes=100)

    for _ in range(1000):
        assert [] == parser.feed(b": keep-alive\n")
    assert [(b"message", b"a")] == parser.feed(b"data: a\n\n")
