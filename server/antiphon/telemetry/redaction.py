"""The one redactor: whatever leaves the process as a log line, a span, an error or a report passes through it first."""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BaseModel, SecretBytes, SecretStr

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

REDACTED = "[redacted]"

# Shorter than this a secret is looked for as a whole word alone, and shorter than that not at all: `a` as a key would black out every line.
_ANYWHERE_CHARACTERS = 8
_AS_WORD_CHARACTERS = 4
# A provider's words are cut before they come here: of a secret of at least so many characters, its beginning counts for the whole.
_CUT_CHARACTERS = 16
_HEAD_CHARACTERS = 12
_REST = r"[A-Za-z0-9_.~+/=%-]*"
# Four times escaped.
_BACKSLASHES = r"\\{1,16}"
_SCHEMES = ("bearer ", "basic ", "token ", "apikey ")

# What looks like a credential wherever it comes from. What a group named after its beginning matches stays. What may come before the end of one is counted:
# a text of nothing but beginnings must not cost the square of its length.
_PATTERNS = (
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:(?!-----END).)*(?:-----END [A-Z ]*PRIVATE KEY-----)?",
    # A word after it that is no credential stays, as in `Bearer authentication`.
    r"(?P<scheme>\b(?i:bearer|basic)\s+)(?=\S{0,64}?\d|\S{20})[A-Za-z0-9._~+/=*-]{4,}",
    r"\b(?:sk|pk|rk)[-_][A-Za-z0-9_*.-]{4,}",
    r"\bkey-(?=\S{0,64}?\d)[A-Za-z0-9_*.-]{6,}",
    r"\bant_[A-Za-z0-9]+_[A-Za-z0-9_-]{4,}",
    r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}",
    r"\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*)?",
    r"\bAIza[A-Za-z0-9_-]{30,}",
    r"\b(?:gh[pousr]|github_pat|hf|xox[abprs])[-_][A-Za-z0-9_-]{10,}",
    r"(?P<host>://)[^/?#@\s\"'<>]+@",
    r"(?P<query>[?&;](?i:[a-z0-9_.-]{0,64}?(?:key|token|secret|signature|sig|password|passwd|pwd|credential|auth|code)[a-z0-9_.-]{0,64})=)[^&;#\s\"'<>]+",
)
# One of these is in all that the patterns match. They are plain text, of which the search for a first character is made once for all: a choice of
# characters at the beginning of one would make it ten times slower.
_MARKS = (
    "PRIVATE KEY",
    *("Bearer", "bearer", "BEARER", "Basic ", "basic ", "BASIC "),
    *("sk-", "sk_", "pk-", "pk_", "rk-", "rk_", "key-", "ant_", "AKIA", "ASIA", "eyJ", "AIza", "hf_", "hf-"),
    *("ghp", "gho", "ghu", "ghs", "ghr", "github_pat", "xox"),
    *("://", "?", "&", ";"),
)
# Without one of these a text is written as it is meant: neither percent-encoded nor escaped.
_ENCODED = ("%", "\\", "&", "+")


class Redactor:
    """Replaces the secrets that it knows, however they are written, and what looks like a credential, by `[redacted]`.

    Known secrets are found as they stand, percent-encoded, escaped as in JSON, a literal or HTML, in base64 whatever stands
    before them, in hexadecimal digits, and cut off at their end. A secret of fewer than 8 characters is found as a word of its own that is not made of
    letters or digits alone; of fewer than 4, only where its place gives it away, as after `Bearer`.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = sorted({one for secret in secrets for one in _parts(secret)}, key=lambda one: (-len(one), one))
        known = [one for one in known if _is_told_apart(one)]
        plain = [one[:_HEAD_CHARACTERS] if len(one) >= _CUT_CHARACTERS else one for one in known]
        derived = [form for one in known if len(one) >= _ANYWHERE_CHARACTERS for form in _derived(one)]
        marks = dict.fromkeys([*plain, *derived, *_MARKS, *(_ENCODED if known else ())])
        self._suspicious = re.compile("|".join(map(re.escape, marks))).search
        whole = [*map(_tolerant, known), *(f"{re.escape(form)}[A-Za-z0-9+/=_-]*" for form in derived), *_PATTERNS]
        self._full = re.compile("|".join(whole), re.DOTALL)
        # A text that had nothing to hide an instant ago has nothing to hide now: names of methods and models come again with every call.
        self._harmless: set[str] = set()

    def text(self, text: str) -> str:
        """Returns a text without secrets; the same text where it holds none."""
        if text in self._harmless:
            return text
        if self._suspicious(text) is not None:
            text = self._full.sub(_without, text)
        elif len(text) <= 128:
            if len(self._harmless) >= 1024:
                self._harmless.clear()
            self._harmless.add(text)
        return text

    def value(self, value: object) -> object:
        """Returns a value without secrets: a text, a number, or mappings and lists of them; anything else becomes its text."""
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, dict):
            return {self.text(str(key)): self.value(item) for key, item in cast("dict[Any, Any]", value).items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(item) for item in cast("Iterable[Any]", value)]
        return self.text(repr(value))


def secrets_of(value: object) -> Iterator[str]:
    """Finds the secrets of a configuration, whatever its providers' settings look like.

    They are what its models keep as secrets and what an address hides: the user before its host, and the values of its query.
    """
    if isinstance(value, SecretStr | SecretBytes):
        secret = value.get_secret_value()
        yield secret if isinstance(secret, str) else secret.decode(errors="replace")
    elif isinstance(value, str):
        yield from _secrets_of_address(value)
    elif isinstance(value, BaseModel):
        for field in type(value).model_fields:
            yield from secrets_of(getattr(value, field))
    elif isinstance(value, dict):
        for item in cast("dict[Any, Any]", value).values():
            yield from secrets_of(item)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in cast("Iterable[Any]", value):
            yield from secrets_of(item)
    elif type(value).__module__.startswith("yarl") or hasattr(value, "unicode_string"):
        # An address as a library's own type.
        yield from _secrets_of_address(str(value))


def _secrets_of_address(text: str) -> Iterator[str]:
    if "://" not in text:
        return
    try:
        address = urlsplit(text)
    except ValueError:
        return
    user, _, password = address.netloc.rpartition("@")[0].partition(":")
    if password:
        yield unquote(password)
        # As it goes out in the header of its request.
        yield f"{unquote(user)}:{unquote(password)}"
    elif user:
        yield unquote(user)
    for _, value in parse_qsl(address.query):
        yield value


def _parts(secret: str) -> Iterator[str]:
    """Yields a secret, and the credential alone where it stands in a header behind the name of its scheme."""
    secret = secret.strip()
    yield secret
    if secret.lower().startswith(_SCHEMES):
        credential = secret.partition(" ")[2].strip()
        yield credential
        if secret.lower().startswith("basic "):
            try:
                decoded = base64.b64decode(credential, validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                return
            yield decoded
            yield decoded.partition(":")[2]


def _is_told_apart(secret: str) -> bool:
    if len(secret) >= _ANYWHERE_CHARACTERS:
        return True
    return len(secret) >= _AS_WORD_CHARACTERS and not secret.isalpha() and not secret.isdigit()


def _tolerant(secret: str) -> str:
    """Returns what finds a secret in any of its spellings."""
    spelt = [_spelt(character) for character in secret]
    if len(secret) >= _CUT_CHARACTERS:
        return f"{''.join(spelt[:_HEAD_CHARACTERS])}(?:{''.join(spelt[_HEAD_CHARACTERS:])})?{_REST}"
    if len(secret) >= _ANYWHERE_CHARACTERS:
        return "".join(spelt)
    return rf"(?<![A-Za-z0-9_-]){''.join(spelt)}(?![A-Za-z0-9_-])"


def _spelt(character: str) -> str:
    """Returns what finds one character as it stands, percent-encoded, or escaped any number of times."""
    if character.isascii() and (character.isalnum() or character in "-._~"):
        return re.escape(character)  # nobody writes these in another way
    percent = "".join(f"%(?:25)*(?i:{byte:02x})" for byte in character.encode("utf-8", "surrogatepass"))
    forms = [re.escape(character), percent]
    # Escaped again, a backslash becomes two.
    escaped = re.escape(json.dumps(character)[1:-1]).replace("\\" * 2, _BACKSLASHES)
    forms += [
        f"(?i:{escaped})",
        rf"{_BACKSLASHES}(?i:x{ord(character):02x}|u{ord(character):04x})",
        re.escape(html.escape(character)),
    ]
    forms.append(rf"&#(?:{ord(character)}|(?i:x{ord(character):x}));")
    if character == "'":
        forms.append(rf"{_BACKSLASHES}'")
    if character == " ":
        forms.append(r"\+")
    if character == "\\":
        forms.insert(0, _BACKSLASHES)
    return f"(?:{'|'.join(dict.fromkeys(forms))})"


def _derived(secret: str) -> Iterator[str]:
    """Yields a secret in base64, as far as nothing before or behind it has a part in that, in hexadecimal digits, and percent-encoded to the last letter."""
    data = secret.encode("utf-8", "surrogatepass")
    for before, first in ((0, 0), (1, 2), (2, 3)):
        # Of the characters, those that nothing but the secret decides.
        last = (before + len(data)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(b"\0" * before + data).decode()[first:last]
    for digits in (data.hex(), data.hex().upper()):
        yield digits
        yield "%" + "%".join(digits[at : at + 2] for at in range(0, len(digits), 2))


def _without(found: re.Match[str]) -> str:
    beginning = found["scheme"] or found["host"] or found["query"] or ""
    return f"{beginning}{REDACTED}{'@' if found['host'] else ''}"


_unknowing = Redactor()


def without_credentials(text: str) -> str:
    """Takes out what looks like a credential, for what must be cut before the server's own redactor sees it."""
    return _unknowing.text(text)
