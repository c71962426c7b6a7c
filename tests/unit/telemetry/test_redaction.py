"""What looks like a credential goes, what only resembles one stays, and a short secret does not black out the log."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import AnyUrl, BaseModel, SecretBytes, SecretStr

from antiphon.telemetry.redaction import REDACTED, Redactor, secrets_of, without_credentials

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Authorization: Bearer abc123xyz", "Authorization: Bearer [redacted]"),
        ("basic dXNlcjpwYXNzd29yZA==", "basic [redacted]"),
        ("Incorrect API key provided: sk-proj-12**********ab.", "Incorrect API key provided: [redacted]"),
        ("key-1234567890 is wrong", "[redacted] is wrong"),
        ("ant_abcdef123456_Zz19Yx28", "[redacted]"),
        ("id AKIAIOSFODNN7EXAMPLE", "id [redacted]"),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.sig-1", "[redacted]"),
        ("AIzaSyA1234567890abcdefghijklmnopqrstuv", "[redacted]"),
        ("ghp_abcdefghij0123456789", "[redacted]"),
        ("at https://user:pass@host/path", "at https://[redacted]@host/path"),
        ("GET /v1?api_key=abc&v=1#x", "GET /v1?api_key=[redacted]&v=1#x"),
        ("https://h/?access_token=a;sig=b", "https://h/?access_token=[redacted];sig=[redacted]"),
        ("a -----BEGIN EC PRIVATE KEY-----\nMIIB\n-----END EC PRIVATE KEY----- b", "a [redacted] b"),
        ("-----BEGIN PRIVATE KEY-----\nMIIB and no end", "[redacted]"),
    ],
)
def test_what_looks_like_a_credential_goes(text: str, told: str) -> None:
    assert told == without_credentials(text)
    assert told == Redactor(["another-secret-1"]).text(text)


@pytest.mark.parametrize(
    "text",
    [
        "Bearer authentication is required",
        "the basic plan has no such model",
        "risk-free desk-tops, task-force, monkey-business",
        "/antiphon.api.completion.v1.CompletionService/Complete",
        "cmpl-0123456789abcdef0123456789abcdef",
        "https://host/path?page=2&size=10",
        "public key-value stores",
        "who? me & you; nobody",
        "",
    ],
)
def test_what_only_resembles_one_stays(text: str) -> None:
    assert text is without_credentials(text)


@pytest.mark.parametrize(
    ("secret", "text", "told"),
    [
        ("a", "a banana", "a banana"),
        ("test", "a test", "a test"),
        ("12345", "took 12345 ms", "took 12345 ms"),
        ("x9!k", "sent x9!k here", "sent [redacted] here"),
        ("x9!k", "sent ax9!kb here", "sent ax9!kb here"),
        ("12345678", "sent 12345678 here", "sent [redacted] here"),
        ("  ", "two  blanks", "two  blanks"),
        ("", "nothing", "nothing"),
    ],
)
def test_a_short_secret_is_a_word_or_nothing(secret: str, text: str, told: str) -> None:
    assert told == Redactor([secret]).text(text)


def test_the_longer_of_two_secrets_goes_first() -> None:
    assert "<[redacted]>" == Redactor(["abcd-1234", "abcd-1234-efgh-5678"]).text("<abcd-1234-efgh-5678>")


def test_a_credential_in_a_header_is_known_alone() -> None:
    redactor = Redactor(["Bearer abcdefgh-ijkl", "Basic dXNlcjpodW50ZXItMjI=", "Basic !!"])
    assert ["[redacted]"] * 3 == [redactor.text(text) for text in ("abcdefgh-ijkl", "hunter-22", "user:hunter-22")]


def test_a_text_is_remembered_as_harmless_and_memory_stays_bounded() -> None:
    redactor = Redactor(["a-secret-value"])
    for number in range(3000):
        assert f"text {number}" == redactor.text(f"text {number}")
    assert len(redactor._harmless) <= 1024
    assert REDACTED == redactor.text("a-secret-value")
    assert REDACTED == redactor.text("a-secret-value")


class Odd:
    def __repr__(self) -> str:
        return "Odd(a-secret-value)"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"a-secret-value": ["a-secret-value", 1, None, True, 1.5]}, {REDACTED: [REDACTED, 1, None, True, 1.5]}),
        (("a-secret-value",), [REDACTED]),
        ({"a-secret-value"}, [REDACTED]),
        (Odd(), f"Odd({REDACTED})"),
        (b"a-secret-value", f"b'{REDACTED}'"),
    ],
)
def test_values_of_any_kind_are_looked_through(value: object, told: object) -> None:
    assert told == Redactor(["a-secret-value"]).value(value)


class Inner(BaseModel):
    token: SecretBytes = SecretBytes(b"token-in-bytes")


class Settings(BaseModel):
    key: SecretStr = SecretStr("key-in-text")
    inner: Inner = Inner()
    headers: dict[str, SecretStr] = {"X": SecretStr("in-a-header")}  # pydantic copies it
    several: tuple[Inner, ...] = (Inner(),)
    address: str = "https://user:pass%2Fword@host/?sig=s%26g"
    token_address: str = "https://tokenuser@host/"
    typed: AnyUrl = AnyUrl("https://u:typed-pass@host/")
    broken: str = "http://[::1"
    plain: str = "no secret"
    count: int = 3


def test_the_secrets_of_settings_are_found_wherever_they_stand() -> None:
    found: Sequence[str] = list(secrets_of(Settings()))
    expected = ["key-in-text", "token-in-bytes", "in-a-header", "token-in-bytes", "pass/word", "user:pass/word", "s&g", "tokenuser"]
    assert [*expected, "typed-pass", "u:typed-pass"] == found


@pytest.mark.parametrize("secret", ["back\\slash-quote\"s'", "new\nline-in-a-key", "tab\tand\x00nul-key", "<html>&amp;-key"])
def test_characters_with_a_meaning_of_their_own(secret: str) -> None:
    import html
    import json

    redactor = Redactor([secret])
    spellings: list[Any] = [secret, json.dumps(secret), repr(secret), html.escape(secret), json.dumps({"m": repr(secret)})]
    assert [] == [spelt for spelt in spellings if REDACTED not in redactor.text(spelt)]


SEEDS = (
    "?key",
    "key-",
    "\\",
    "bearer ",
    "Bearer a",
    "?",
    "&secret",
    "eyJa.",
    "-----BEGIN ",
    "://a",
    "$",
    "%25",
    "&#36;",
    "ant_a_",
    "sk-",
    "hf_",
)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_text_of_beginnings_costs_no_square_of_its_length(seed: str) -> None:
    redactor = Redactor(["$pecial/secret+value==", "a-very-secret-key-12345", "\\back\\slashes\\"])
    begun_s = time.thread_time()
    redactor.text((seed * 20_000)[:20_000])
    redactor.text(seed + "key" * 7_000)
    # Twenty times and more of what was measured; it was 12 s for backslashes.
    assert time.thread_time() - begun_s < 2
