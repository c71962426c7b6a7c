"""A certificate that cannot be used is told with its setting and the mend before the server starts, and nothing of what a file holds is told."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from antiphon.config import CertificateError, ConfigError, TlsSection, load, read_certificates, signature_of
from antiphon.plugins import load_provider_types
from tests.support.authority import Authority

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def section(authority: Authority) -> TlsSection:
    chain, key = authority.issue("server")
    return TlsSection(certificate=chain, private_key=key, client_ca=authority.roots)


def files(section: TlsSection) -> tuple[Path, Path, Path]:
    assert section.certificate is not None
    assert section.private_key is not None
    assert section.client_ca is not None
    return section.certificate, section.private_key, section.client_ca


def test_good_files_are_read(section: TlsSection) -> None:
    chain, key, authority = files(section)
    found = read_certificates(section)
    assert (chain.read_bytes(), key.read_bytes(), authority.read_bytes()) == (found.chain, found.private_key, found.client_ca)
    assert found.signature == signature_of(section)
    assert "PRIVATE" not in repr(found)


@pytest.mark.parametrize(
    "until", [datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2049, 12, 31, tzinfo=UTC), datetime(2061, 1, 1, tzinfo=UTC)]
)
def test_the_end_is_read_in_both_ways_that_it_is_written(authority: Authority, until: datetime) -> None:
    chain, key = authority.issue("dated", not_after=until)
    assert until == read_certificates(TlsSection(certificate=chain, private_key=key)).expires


def with_password(section: TlsSection) -> None:
    key = files(section)[1]
    locked = subprocess.run(["openssl", "ec", "-in", key, "-aes256", "-passout", "pass:x"], check=True, capture_output=True).stdout
    key.write_bytes(locked)


def of_another(section: TlsSection) -> None:
    key = files(section)[1]
    _, other = Authority(key.parent, "other").issue("other")
    key.write_bytes(other.read_bytes())


FAULTS: dict[str, tuple[Callable[[TlsSection], object], str, str]] = {
    "no certificate file": (lambda s: files(s)[0].unlink(), "certificate", "No such file"),
    "no key file": (lambda s: files(s)[1].unlink(), "private_key", "No such file"),
    "no authority file": (lambda s: files(s)[2].unlink(), "client_ca", "No such file"),
    "an empty certificate": (lambda s: files(s)[0].write_bytes(b""), "certificate", "no certificate (PEM)"),
    "a certificate that is none": (
        lambda s: files(s)[0].write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        "certificate",
        "no certificate (PEM)",
    ),
    "a folder": (lambda s: (files(s)[0].unlink(), files(s)[0].mkdir()), "certificate", "Is a directory"),
    "an empty key": (lambda s: files(s)[1].write_bytes(b""), "private_key", "no PEM pair"),
    "a key with a password": (with_password, "private_key", "must have no password"),
    "another certificate's key": (of_another, "private_key", "is not the key of"),
    "an empty authority": (lambda s: files(s)[2].write_bytes(b""), "client_ca", "no PEM certificate"),
    "an authority that is none": (lambda s: files(s)[2].write_bytes(b"\xff"), "client_ca", "no PEM certificate"),
    "a huge file": (lambda s: files(s)[1].write_bytes(bytes(2**20 + 1)), "private_key", "larger than 1 MiB"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_that_cannot_be_used_is_told_with_its_setting(section: TlsSection, fault: str) -> None:
    spoil, key, told = FAULTS[fault]
    spoil(section)
    with pytest.raises(CertificateError) as caught:
        read_certificates(section)
    assert (key, True) == (caught.value.key, told in caught.value.told)


def test_the_configuration_is_refused_with_the_place(section: TlsSection, tmp_path: Path) -> None:
    of_another(section)
    chain, key, _ = files(section)
    file = tmp_path / "antiphon.yaml"
    file.write_text(yaml.safe_dump({"tls": {"certificate": str(chain), "private_key": str(key)}}), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(load_provider_types(), file=file, environment={})
    [problem] = caught.value.problems
    assert problem.startswith("tls.private_key: is not the key of the certificate in ")


KEY = {"id": "a" * 12, "hash": f"sha256:{'0' * 64}", "principal": "ann", "tenant": "acme"}
CERTIFICATE = {"name": "app.example", "principal": "app", "tenant": "acme"}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"server": {"host": "0.0.0.0"}}, "auth: server.host is 0.0.0.0, which others can reach, and nothing says who may call"),  # noqa: S104  # is refused
        ({"server": {"host": "example.org"}}, "auth: server.host is example.org"),
        ({"tls": {"certificate": "c.pem"}}, "tls.private_key: field required"),
        ({"tls": {"private_key": "k.pem"}}, "tls.certificate: field required"),
        ({"tls": {"client_ca": "ca.pem"}}, "tls.client_ca: clients' certificates need TLS"),
        ({"tls": {"require_client_certificate": True}}, "tls.require_client_certificate: nothing says who signs"),
        ({"auth": {"certificates": [CERTIFICATE]}}, "auth.certificates: no client shows a certificate unless it is asked for"),
        ({"auth": {"keys": [KEY, KEY]}}, "auth.keys[1].id: 'aaaaaaaaaaaa' stands twice"),
        ({"auth": {"keys": [KEY], "serve_anyone": True}}, "auth.serve_anyone: keys or certificates are set, too"),
        ({"auth": {"keys": [{**KEY, "role": "king"}]}}, "auth.keys[0].role: there is no role 'king'"),
        ({"auth": {"keys": [{**KEY, "expires": "2027-01-31T00:00:00"}]}}, "auth.keys[0].expires: has no time zone"),
        ({"auth": {"keys": [{**KEY, "hash": "sha256:short"}]}}, "auth.keys[0].hash: "),
        ({"auth": {"roles": {"admin": ["fly"]}}}, "auth.roles.admin[0]: "),
    ],
)
def test_settings_that_do_not_agree_are_told(tmp_path: Path, settings: dict[str, Any], told: str) -> None:
    file = tmp_path / "antiphon.yaml"
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(load_provider_types(), file=file, environment={})
    assert any(problem.startswith(told) for problem in caught.value.problems), caught.value.problems


@pytest.mark.parametrize(
    "settings",
    [
        {"server": {"host": "localhost"}},
        {"server": {"host": "::1"}},
        {"server": {"host": "127.3.2.1"}},
        {"server": {"host": "0.0.0.0"}, "auth": {"serve_anyone": True}},  # noqa: S104  # is only read
        {"server": {"host": "0.0.0.0"}, "auth": {"keys": [KEY]}},  # noqa: S104  # as above
        {"auth": {"keys": [{**KEY, "role": "reader"}], "roles": {"reader": ["models_read"]}}},
    ],
)
def test_settings_that_agree_are_taken(tmp_path: Path, settings: dict[str, Any]) -> None:
    file = tmp_path / "antiphon.yaml"
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    load(load_provider_types(), file=file, environment={})
