"""Parts that hold images, documents and audio, from bytes, from a file or by address."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from antiphon_client.contract import core

# The signatures of the types that models take. RIFF files tell their kind at the eighth byte.
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"ID3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
)
_RIFF_KINDS = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}

Source = str | bytes | Path


def media(source: Source, media_type: str | None = None, *, filename: str = "") -> core.Part:
    """A part that holds content of any type.

    Args:
        source: The bytes; or a `Path` to read them from; or a string with an https address, which the provider fetches. A string is never taken as a
            path, so that no text from elsewhere can name a file.
        media_type: The IANA media type, as in `image/png`. By default it is told from the bytes' signature or the file's name.
        filename: A name to show for it; by default the file's.

    Raises:
        ValueError: The string is no https address, or the type cannot be told.
    """
    if isinstance(source, str):
        if not source.startswith("https://"):
            raise ValueError(f"{source[:80]!r} is no https address; for a file, give a pathlib.Path")
        return core.Part(uri=core.Uri(uri=source, media_type=media_type or ""))
    data = source if isinstance(source, bytes) else source.read_bytes()
    name = filename or (source.name if isinstance(source, Path) else "")
    kind = media_type or _signed_type(data) or mimetypes.guess_type(name)[0]
    if kind is None:
        raise ValueError("the media type cannot be told from the content; give media_type")
    return core.Part(blob=core.Blob(media_type=kind, data=data, filename=name))


def image(source: Source, media_type: str | None = None) -> core.Part:
    """An image. The arguments are those of `media`."""
    return _of_kind(media(source, media_type), "image/")


def audio(source: Source, media_type: str | None = None) -> core.Part:
    """Recorded sound. The arguments are those of `media`."""
    return _of_kind(media(source, media_type), "audio/")


def document(source: Source, media_type: str | None = None, *, filename: str = "") -> core.Part:
    """A document, such as PDF. The arguments are those of `media`."""
    return media(source, media_type, filename=filename)


def _of_kind(part: core.Part, prefix: str) -> core.Part:
    kind = part.blob.media_type if part.blob else part.uri.media_type if part.uri else ""
    if kind and not kind.startswith(prefix):
        raise ValueError(f"{kind!r} is not {prefix}*")
    return part


def _signed_type(data: bytes) -> str | None:
    if data[:4] == b"RIFF":
        return _RIFF_KINDS.get(data[8:12])
    return next((kind for signature, kind in _SIGNATURES if data.startswith(signature)), None)
