"""A name of a caller's invention cannot do harm in the log, whatever it holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.telemetry.logs import loggable


@pytest.mark.parametrize(
    ("called", "logged"),
    [
        ("/antiphon.api.completion.v1.CompletionService/Complete", "/antiphon.api.completion.v1.CompletionService/Complete"),
        ("", ""),
        ("/a\x1b[31mb\n", r"/a\x1b[31mb\n"),
        ("/\x9b\x7f\u202e", r"/\x9b\x7f\u202e"),
        ("/a\\n", r"/a\\n"),
        ("/\ud800", r"/\ud800"),
        ("/" + "x" * 300, "/" + "x" * 255),
        ("/" + "\u202e" * 300, "/" + r"\u202e" * 42 + r"\u2"),
    ],
    ids=["known", "nothing", "colours", "marks beyond ASCII", "a backslash", "half a surrogate", "long", "longer once escaped"],
)
def test_a_name_is_shown_short_and_plain(called: str, logged: str) -> None:
    assert logged == loggable(called)


@given(called=st.text(st.characters(), max_size=600))
def test_any_name_fits_and_is_printable_ascii(called: str) -> None:
    shown = loggable(called)
    assert (True, True) == (shown.isascii() and shown.isprintable(), len(shown) <= 256)
