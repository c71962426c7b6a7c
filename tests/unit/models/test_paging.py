"""Pages hold every model once, whatever the page's size, also where models come and go in between."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.api.model.v1.model_service_pb2 import Model
from antiphon.errors import InvalidRequestError, Reason
from antiphon.models.paging import name_in, page

NAMES = st.lists(st.text(min_size=1, max_size=20), unique=True, max_size=30).map(sorted)


def models(*names: str) -> list[Model]:
    return [Model(name=name) for name in names]


@given(names=NAMES, size=st.integers(1, 12))
def test_pages_together_are_the_list(names: list[str], size: int) -> None:
    found: list[str] = []
    token = ""
    while True:
        chosen, token = page(models(*names), page_size=size, after=name_in(token))
        assert len(chosen) <= size
        found += [model.name for model in chosen]
        if not token:
            break
    assert names == found


def test_no_size_means_a_hundred() -> None:
    chosen, token = page(models(*(f"{number:04}" for number in range(101))), page_size=0, after="")
    assert (100, "0099") == (len(chosen), base64.urlsafe_b64decode(token).decode())


def test_the_last_page_has_no_token() -> None:
    assert "" == page(models("a", "b"), page_size=2, after="")[1]
    assert ([], "") == page([], page_size=2, after="")


def test_a_model_that_goes_away_takes_none_with_it() -> None:
    _, token = page(models("a", "b", "c"), page_size=2, after="")
    assert ["c"] == [model.name for model in page(models("a", "c"), page_size=2, after=name_in(token))[0]]
    assert [] == page(models("a"), page_size=2, after=name_in(token))[0]


@pytest.mark.parametrize("token", ["%", "a", "a===", "====", "/w==", "_w==", "naïve", "\x00", " YQ==", "YQ==\n", "YQ"])
def test_a_token_of_nobodys_is_refused(token: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        page(models("a"), page_size=1, after=name_in(token))
    assert (Reason.ERROR_REASON_INVALID_FIELD, "page_token") == (caught.value.reason, caught.value.violations[0].field)


@given(token=st.text(max_size=40))
def test_no_token_fails_otherwise(token: str) -> None:
    try:
        chosen, _ = page(models("a", "b"), page_size=1, after=name_in(token))
    except InvalidRequestError:
        return
    assert len(chosen) <= 1
