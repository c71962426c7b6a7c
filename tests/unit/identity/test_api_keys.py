"""A key holds 256 random bits, says where it is known, and shows when it was mistyped."""

from __future__ import annotations

import hashlib
import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.config import KeySection
from antiphon.identity.api_keys import has_form, id_of, new_key, written_hash

# Made once; what is kept of keys must be found by it in every later version.
KEY = "ant_4b03y2os6uko_y3obf17JvD6224COh3VzPkLlvj8Oa4YYOSTz9wkKPgA1q6ujz"


def test_a_key_has_its_form() -> None:
    for _ in range(200):
        prefix, public, secret = (key := new_key()).split("_")
        assert ("ant", 12, 49) == (prefix, len(public), len(secret))
        assert (True, public) == (has_form(key), id_of(key))
        assert set(secret) <= {*string.ascii_letters, *string.digits}


def test_keys_differ() -> None:
    keys = [new_key() for _ in range(200)]
    assert 200 == len({id_of(key) for key in keys}) == len({key.split("_")[2] for key in keys})


def test_a_key_of_an_earlier_version_is_still_one() -> None:
    assert has_form(KEY)
    assert "sha256:86aba3f9fe38ca4fd0999e941ed37b0c6b6c077f621455c93639a763e9fc8e5c" == written_hash(KEY)


def test_the_hash_is_plain_sha_256_of_the_whole_key() -> None:
    key = new_key()
    assert f"sha256:{hashlib.sha256(key.encode()).hexdigest()}" == written_hash(key)


def test_the_configuration_takes_what_is_kept() -> None:
    entry = KeySection(id=id_of(KEY), hash=written_hash(KEY), principal="ann", tenant="acme")
    assert "4b03y2os6uko" == entry.id


def test_any_one_mistyped_character_shows() -> None:
    generator = random.Random(20_261_122)
    letters = string.ascii_letters + string.digits
    for place, letter in enumerate(KEY):
        other = generator.choice([one for one in letters if one != letter])
        assert not has_form(KEY[:place] + other + KEY[place + 1 :]), f"{place}: {letter} -> {other}, seed 20261122"


@pytest.mark.parametrize(
    "text", ["", "ant_", KEY[:-1], f"{KEY}x", f" {KEY}", f"{KEY}\n", KEY.upper(), KEY.replace("ant", "sk"), "x" * 10_240]
)
def test_what_is_no_key(text: str) -> None:
    assert not has_form(text)


@given(st.text(max_size=100))
def test_anything_can_be_asked(text: str) -> None:
    assert not has_form(text)
    assert len(id_of(text)) <= 12
    assert 71 == len(written_hash(text))
