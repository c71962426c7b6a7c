"""The doctor says who may call, which keys have ended, and how long the certificate will do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from antiphon.cli.findings import Verdict
from antiphon.cli.identity_checks import check_callers, check_certificate
from antiphon.cli.server_checks import answers_with
from antiphon.config import load
from antiphon.identity.api_keys import id_of, new_key, written_hash
from antiphon.plugins import load_provider_types
from tests.support.authority import Authority
from tests.support.real_server import real_server

if TYPE_CHECKING:
    from pathlib import Path

    from antiphon.config import Config

KEY = new_key()
ENTRY: dict[str, Any] = {"id": id_of(KEY), "hash": written_hash(KEY), "principal": "ann", "tenant": "acme"}


def configured(folder: Path, **sections: object) -> Config:
    file = folder / "examined.yaml"
    file.write_text(yaml.safe_dump(sections), encoding="utf-8")
    return load(load_provider_types(), file=file, environment={})


@pytest.mark.parametrize(
    ("sections", "verdicts", "told"),
    [
        ({}, [Verdict.WORKS], "every program on this machine"),
        ({"auth": {"serve_anyone": True}}, [Verdict.NOTE], "auth.serve_anyone"),
        ({"auth": {"serve_anyone": True}, "server": {"host": "0.0.0.0"}}, [Verdict.NOTE], "whoever reaches 0.0.0.0"),  # noqa: S104  # is not listened at
        ({"auth": {"keys": [ENTRY]}}, [Verdict.WORKS], "API keys: 1"),
        ({"auth": {"keys": [{**ENTRY, "disabled": True}]}}, [Verdict.WORKS, Verdict.NOTE], f"disabled or expired: {ENTRY['id']}"),
        ({"auth": {"keys": [{**ENTRY, "expires": "2026-01-01T00:00:00Z"}]}}, [Verdict.WORKS, Verdict.NOTE], f"expired: {ENTRY['id']}"),
        ({"auth": {"keys": [ENTRY]}, "server": {"host": "0.0.0.0"}}, [Verdict.WORKS, Verdict.NOTE], "in plaintext"),  # noqa: S104  # as above
    ],
)
def test_who_may_call(tmp_path: Path, sections: dict[str, Any], verdicts: list[Verdict], told: str) -> None:
    found = list(check_callers(configured(tmp_path, **sections)))
    assert verdicts == [one.verdict for one in found]
    assert told in found[-1].told


@pytest.mark.parametrize(("days", "verdict"), [(-1, Verdict.BROKEN), (3, Verdict.NOTE), (90, Verdict.WORKS)])
def test_how_long_the_certificate_will_do(tmp_path: Path, days: int, verdict: Verdict) -> None:
    until = datetime.now(UTC) + timedelta(days=days)
    chain, key = Authority(tmp_path).issue("server", not_before=until - timedelta(days=100), not_after=until)
    config = configured(tmp_path, tls={"certificate": str(chain), "private_key": str(key)})
    [found] = check_certificate(config)
    assert (verdict, True) == (found.verdict, f"{until:%Y-%m-%d}" in found.told)
    chain.unlink()
    [gone] = check_certificate(config)
    assert (Verdict.BROKEN, True) == (gone.verdict, "cannot be read" in gone.told)


def test_without_tls_there_is_no_certificate_to_look_at(tmp_path: Path) -> None:
    assert [] == list(check_certificate(configured(tmp_path)))


def test_the_server_that_has_the_port_is_known_by_its_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    ours, other = authority.issue("ours"), authority.issue("other")
    document: dict[str, Any] = {"tls": {"certificate": str(ours[0]), "private_key": str(ours[1])}, "log": {"level": "warning"}}
    with real_server(tmp_path, yaml.safe_dump(document)) as server:
        target = server.target.removeprefix("https://")
        answers = [answers_with(configured(tmp_path, tls={"certificate": str(a), "private_key": str(b)}))(target) for a, b in (ours, other)]
        assert [True, False] == answers
    assert not answers_with(configured(tmp_path, **document))("127.0.0.1:1")
