"""Who shows a credential that is known is who the configuration says, and nobody else is anybody."""

from __future__ import annotations

import contextlib
import hmac
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from antiphon.api.core.v1.permission_pb2 import Permission
from antiphon.config import AuthSection
from antiphon.errors import AuthenticationError, Reason
from antiphon.identity import directory
from antiphon.identity.api_keys import id_of, new_key, written_hash
from antiphon.identity.directory import CallerDirectory
from antiphon.ports.call import LOCAL_OWNER

if TYPE_CHECKING:
    from collections.abc import Sequence

KEYS = {name: new_key() for name in ("ann", "bob", "old", "off", "stranger")}
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MISSING, INVALID, DISABLED = (
    Reason.ERROR_REASON_CREDENTIALS_MISSING,
    Reason.ERROR_REASON_CREDENTIALS_INVALID,
    Reason.ERROR_REASON_CREDENTIALS_DISABLED,
)


def entry(name: str, **more: object) -> dict[str, Any]:
    key = KEYS[name]
    return {"id": id_of(key), "hash": written_hash(key), "principal": name, "tenant": "acme", **more}


SETTINGS = {
    "keys": [
        entry("ann"),
        entry("bob", role="reader"),
        entry("old", expires="2026-11-22T12:00:00Z"),
        entry("off", disabled=True, expires="2026-01-01T00:00:00Z"),
    ],
    "certificates": [
        {"name": "spiffe://acme/app", "principal": "app", "tenant": "acme", "role": "admin"},
        {"name": "gone.example", "principal": "gone", "tenant": "acme", "disabled": True},
    ],
    "roles": {"reader": ["models_read"]},
}


@pytest.fixture
def callers() -> CallerDirectory:
    return CallerDirectory(AuthSection.model_validate(SETTINGS), now_s=NOW.timestamp)


def refused(callers: CallerDirectory, authorization: str | None, names: Sequence[str] = ()) -> AuthenticationError:
    with pytest.raises(AuthenticationError) as caught:
        callers.identify(authorization, names)
    return caught.value


def test_a_key_says_who_calls_and_what_they_may(callers: CallerDirectory) -> None:
    ann, bob = (callers.identify(f"Bearer {KEYS[name]}") for name in ("ann", "bob"))
    assert ("ann", "acme", f"key:{id_of(KEYS['ann'])}") == (ann.principal, ann.tenant, ann.credential)
    may = {Permission.PERMISSION_COMPLETIONS_CREATE, Permission.PERMISSION_MODELS_READ, Permission.PERMISSION_REFLECTION_READ}
    assert (may, {Permission.PERMISSION_MODELS_READ}) == (ann.permissions, bob.permissions)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_the_scheme_is_read_in_any_case(callers: CallerDirectory, scheme: str) -> None:
    assert "ann" == callers.identify(f"{scheme} {KEYS['ann']}").principal


def test_nothing_shown_is_missing(callers: CallerDirectory) -> None:
    assert MISSING == refused(callers, None).reason


MALFORMED = {
    "empty": "",
    "the scheme alone": "Bearer",
    "the scheme and a space": "Bearer ",
    "no scheme": KEYS["ann"],
    "another scheme": f"Basic {KEYS['ann']}",
    "two spaces": f"Bearer  {KEYS['ann']}",
    "a tab": f"Bearer\t{KEYS['ann']}",
    "something behind": f"Bearer {KEYS['ann']} x",
    "two headers": f"Bearer {KEYS['ann']}, Bearer {KEYS['ann']}",
    "another service's": "Bearer sk-abcdefghijkl",
    "cut off": f"Bearer {KEYS['ann'][:-1]}",
    "mistyped": f"Bearer {KEYS['ann'][:-1]}{'a' if KEYS['ann'][-1] != 'a' else 'b'}",
    "upper case": f"Bearer {KEYS['ann'].upper()}",
    "beyond ASCII": "Bearer schlüssel",
    "half a surrogate": "Bearer \ud800",
    "10 KB": f"Bearer {'x' * 10_240}",
    "nobody's": f"Bearer {KEYS['stranger']}",
    "a known id with another secret": f"Bearer {KEYS['ann'][:17]}{KEYS['bob'][17:]}",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_key_or_nobodys_is_invalid(callers: CallerDirectory, name: str) -> None:
    error = refused(callers, MALFORMED[name])
    assert INVALID == error.reason
    told = f"{error.message} {error.metadata}"
    assert [] == [part for part in MALFORMED[name].replace(",", " ").split() if len(part) > 6 and part in told]


@pytest.mark.parametrize(("name", "word"), [("old", "expired"), ("off", "disabled")])
def test_a_key_that_ended_is_told_so_to_who_has_it(callers: CallerDirectory, name: str, word: str) -> None:
    error = refused(callers, f"Bearer {KEYS[name]}")
    assert (DISABLED, True) == (error.reason, word in error.message)
    wrong = f"Bearer {KEYS[name][:17]}{KEYS['ann'][17:]}"
    assert INVALID == refused(callers, wrong).reason


def test_a_key_ends_at_its_moment() -> None:
    settings = AuthSection.model_validate(SETTINGS)
    before = CallerDirectory(settings, now_s=lambda: NOW.timestamp() - 1)
    assert "old" == before.identify(f"Bearer {KEYS['old']}").principal


def test_a_certificate_says_who_calls(callers: CallerDirectory) -> None:
    caller = callers.identify(None, ["other", "spiffe://acme/app"])
    assert ("app", "certificate:spiffe://acme/app") == (caller.principal, caller.credential)


def test_a_certificate_that_is_nobodys_or_disabled_is_refused(callers: CallerDirectory) -> None:
    assert (INVALID, DISABLED) == (refused(callers, None, ["other"]).reason, refused(callers, None, ["gone.example"]).reason)


def test_a_key_decides_whatever_certificate_comes_with_it(callers: CallerDirectory) -> None:
    assert "ann" == callers.identify(f"Bearer {KEYS['ann']}", ["spiffe://acme/app"]).principal
    assert INVALID == refused(callers, f"Bearer {KEYS['stranger']}", ["spiffe://acme/app"]).reason


def test_certificates_are_not_looked_at_where_none_is_known() -> None:
    keys_alone = CallerDirectory(AuthSection.model_validate({"keys": [entry("ann")]}))
    assert MISSING == refused(keys_alone, None, ["spiffe://acme/app"]).reason


@pytest.mark.parametrize("settings", [{}, {"serve_anyone": True}])
def test_a_server_that_asks_nobody_serves_its_owner(settings: dict[str, Any]) -> None:
    callers = CallerDirectory(AuthSection.model_validate(settings))
    assert (False, LOCAL_OWNER) == (callers.asks, callers.identify("Bearer anything"))


@pytest.mark.parametrize("shown", [KEYS["ann"], KEYS["stranger"], "x"], ids=["known", "nobody's", "no key"])
def test_hashes_are_compared_in_constant_time_once_whoever_it_is(
    callers: CallerDirectory, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[int, int]] = []
    of_the_library = hmac.compare_digest

    def compare(left: bytes, right: bytes) -> bool:
        compared.append((len(left), len(right)))
        return of_the_library(left, right)

    monkeypatch.setattr(directory.hmac, "compare_digest", compare)
    with contextlib.suppress(AuthenticationError):
        callers.identify(f"Bearer {shown}")
    assert [(32, 32)] == compared
