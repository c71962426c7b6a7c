"""The form of an API key: `ant_<id>_<secret><checksum>`.

The id is public and finds the key's entry. The secret has 256 random bits, so one SHA-256 of the whole key keeps it as well as a slow hash would: those
are for secrets that somebody could guess. The checksum tells a mistyped or cut key from a wrong one, and lets a scanner of repositories be sure of what it
found; it proves nothing.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import zlib

_PREFIX = "ant"
_ID_LENGTH = 12
_ID_LETTERS = string.ascii_lowercase + string.digits
_SECRET_BYTES = 32
_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
# How many digits of base 62 hold 256 and 32 bits.
_SECRET_LENGTH = 43
_CHECKSUM_LENGTH = 6
_FORM = re.compile(rf"{_PREFIX}_[a-z0-9]{{{_ID_LENGTH}}}_[0-9A-Za-z]{{{_SECRET_LENGTH + _CHECKSUM_LENGTH}}}", re.ASCII)
_ID = slice(len(_PREFIX) + 1, len(_PREFIX) + 1 + _ID_LENGTH)


def new_key() -> str:
    """Makes a key."""
    public = "".join(secrets.choice(_ID_LETTERS) for _ in range(_ID_LENGTH))
    body = f"{_PREFIX}_{public}_{_base62(int.from_bytes(secrets.token_bytes(_SECRET_BYTES)), _SECRET_LENGTH)}"
    return body + _checksum(body)


def id_of(key: str) -> str:
    """Returns where a key's id stands; whatever stands there, for what is no key."""
    return key[_ID]


def hash_of(key: str) -> bytes:
    """Returns what is kept of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def written_hash(key: str) -> str:
    """Returns a key's hash as the configuration has it."""
    return f"sha256:{hash_of(key).hex()}"


def has_form(key: str) -> bool:
    """Whether it is written like a key, its checksum included; whether it is anybody's is another matter."""
    return _FORM.fullmatch(key) is not None and key[-_CHECKSUM_LENGTH:] == _checksum(key[:-_CHECKSUM_LENGTH])


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), _CHECKSUM_LENGTH)


def _base62(number: int, length: int) -> str:
    digits: list[str] = []
    for _ in range(length):
        number, digit = divmod(number, len(_BASE62))
        digits.append(_BASE62[digit])
    return "".join(reversed(digits))
