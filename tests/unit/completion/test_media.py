"""Bytes that cannot be what their media type says are found out; what is not known is not judged."""

from __future__ import annotations

import pytest

from antiphon.completion.media import signature_mismatch

GOOD = {
    "image/png": b"\x89PNG\r\n\x1a\nrest",
    "image/jpeg": b"\xff\xd8\xff\xe0",
    "image/gif": b"GIF89a",
    "image/webp": b"RIFF\x00\x00\x00\x00WEBPVP8 ",
    "application/pdf": b"%PDF-1.7",
    "audio/wav": b"RIFF\x00\x00\x00\x00WAVEfmt ",
    "audio/flac": b"fLaC\x00",
    "audio/ogg": b"OggS\x00",
    "text/plain": "naïve".encode(),
    "text/csv": b"",
    "application/x-unknown": b"\x00\x01",
}


@pytest.mark.parametrize("media_type", GOOD)
def test_what_agrees_passes(media_type: str) -> None:
    assert None is signature_mismatch(media_type, GOOD[media_type])


@pytest.mark.parametrize("media_type", [name for name in GOOD if not name.startswith(("text/", "application/x"))])
@pytest.mark.parametrize("data", [b"", b"\x00", b"<html>", b"RIFF"])
def test_what_does_not_agree_is_told(media_type: str, data: bytes) -> None:
    assert "of another type" == signature_mismatch(media_type, data)


def test_what_it_is_instead_is_told() -> None:
    assert "'image/jpeg'" == signature_mismatch("image/png", GOOD["image/jpeg"])
    assert "'audio/wav'" == signature_mismatch("image/webp", GOOD["audio/wav"])


def test_text_must_be_utf8() -> None:
    assert "no UTF-8 text" == signature_mismatch("text/markdown", b"\xff\xfe")
