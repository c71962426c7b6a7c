"""Somebody hears of a certificate that is about to expire, once, and of one that has, once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from antiphon.config import CertificateError, TlsSection
from antiphon.tls import CertificateWatch
from tests.support.authority import Authority

if TYPE_CHECKING:
    from pathlib import Path

LOOK_S = 0.02


def watched(folder: Path, days_left: float) -> tuple[CertificateWatch, Authority]:
    authority = Authority(folder)
    until = datetime.now(UTC) + timedelta(days=days_left)
    chain, key = authority.issue("server", not_before=until - timedelta(days=90), not_after=until)
    return CertificateWatch(TlsSection(certificate=chain, private_key=key, reload_interval_s=LOOK_S)), authority


@pytest.mark.parametrize(("days", "levels"), [(90, []), (13, ["warning"]), (-1, ["error"])])
async def test_an_end_that_is_near_is_told_once(tmp_path: Path, days: float, levels: list[str], log_entries: list[Any]) -> None:
    watch, _ = watched(tmp_path, days)
    await watch.start()
    await asyncio.sleep(5 * LOOK_S)
    await watch.close()
    assert levels == [entry["log_level"] for entry in log_entries]


async def test_a_new_certificate_is_told_and_ends_the_warning(tmp_path: Path, log_entries: list[Any]) -> None:
    watch, authority = watched(tmp_path, 3)
    await watch.start()
    old = watch.current
    authority.issue("server")
    async with asyncio.timeout(10):
        while watch.current is old:
            await asyncio.sleep(LOOK_S)
    await watch.close()
    assert ["the server's certificate expires soon; put a new one in its place", "the new certificate is in force"] == [
        entry["event"] for entry in log_entries
    ]


async def test_an_authority_that_is_empty_for_a_moment_ends_no_watch(tmp_path: Path, log_entries: list[Any]) -> None:
    authority = Authority(tmp_path)
    chain, key = authority.issue("server")
    watch = CertificateWatch(TlsSection(certificate=chain, private_key=key, client_ca=authority.roots, reload_interval_s=LOOK_S))
    await watch.start()
    old = watch.current
    roots = authority.roots.read_bytes()
    authority.roots.write_bytes(b"")
    async with asyncio.timeout(10):
        while not log_entries:
            await asyncio.sleep(LOOK_S)
    assert old is watch.current
    authority.roots.write_bytes(roots)
    async with asyncio.timeout(10):
        while watch.current is old:
            await asyncio.sleep(LOOK_S)
    await watch.close()


async def test_a_file_that_is_linked_anew_is_seen(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        Authority(folder).issue("server")
    link = tmp_path / "current"
    link.symlink_to(first)
    section = TlsSection(certificate=link / "server.chain.pem", private_key=link / "server.key.pem", reload_interval_s=LOOK_S)
    watch = CertificateWatch(section)
    await watch.start()
    link.unlink()
    link.symlink_to(second)
    async with asyncio.timeout(10):
        while (second / "server.chain.pem").read_bytes() != watch.current.chain:
            await asyncio.sleep(LOOK_S)
    await watch.close()


async def test_it_does_not_start_with_files_that_cannot_be_used(tmp_path: Path) -> None:
    watch, _ = watched(tmp_path, 90)
    (tmp_path / "server.key.pem").unlink()
    with pytest.raises(CertificateError):
        await watch.start()
    await watch.close()
