"""Whether bytes can be what their media type says."""

from __future__ import annotations

# Leading bytes of the types that models take; source: each format's specification. A type that is not here is not judged.
_SIGNATURES: dict[str, tuple[tuple[int, bytes], ...]] = {
    "image/png": ((0, b"\x89PNG\r\n\x1a\n"),),
    "image/jpeg": ((0, b"\xff\xd8\xff"),),
    "image/gif": ((0, b"GIF8"),),
    "image/webp": ((0, b"RIFF"), (8, b"WEBP")),
    "application/pdf": ((0, b"%PDF-"),),
    "audio/wav": ((0, b"RIFF"), (8, b"WAVE")),
    "audio/flac": ((0, b"fLaC"),),
    "audio/ogg": ((0, b"OggS"),),
}


def signature_mismatch(media_type: str, data: bytes) -> str | None:
    """Returns what the bytes are instead, or None where nothing speaks against the media type."""
    if media_type.startswith("text/"):
        return None if _is_text(data) else "no UTF-8 text"
    expected = _SIGNATURES.get(media_type)
    if expected is None or _matches(expected, data):
        return None
    return next((repr(name) for name, marks in _SIGNATURES.items() if _matches(marks, data)), "of another type")


def _matches(marks: tuple[tuple[int, bytes], ...], data: bytes) -> bool:
    return all(data.startswith(mark, offset) for offset, mark in marks)


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
