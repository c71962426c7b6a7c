"""Both ports speak TLS, know clients by their certificates, and take new certificates without a failed call."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from antiphon.identity.api_keys import id_of, new_key, written_hash
from antiphon_client import AntiphonError, AsyncClient, ServerUnreachableError, TlsError, UnauthenticatedError
from tests.support.authority import Authority
from tests.support.scripted import SCRIPTED, ScriptedModel, scripted_kinds
from tests.support.serving import serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from antiphon_client import Tls
    from tests.support.serving import ServerUnderTest

KEY = new_key()
LOOK_S = 0.05


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@asynccontextmanager
async def encrypted(
    folder: Path, server: tuple[Path, Path], auth: dict[str, Any] | None = None, **tls: Any
) -> AsyncGenerator[ServerUnderTest, None]:
    """Runs a server that speaks TLS."""
    files = {name: str(value) if name == "client_ca" else value for name, value in tls.items()}
    settings: dict[str, Any] = {
        **SCRIPTED,
        "tls": {"certificate": str(server[0]), "private_key": str(server[1]), "reload_interval_s": LOOK_S, **files},
        "auth": auth or {},
        "log": {"access": True},
    }
    async with serving(folder, settings, scripted_kinds(ScriptedModel())) as running:
        yield running


def certificate_entry(name: str, principal: str, **more: object) -> dict[str, object]:
    return {"name": name, "principal": principal, "tenant": "acme", **more}


def port_of(target: str) -> str:
    return target.rpartition(":")[2]


def client_of(server: ServerUnderTest, tls: Tls | bool, *, api_key: str = "", host: str = "localhost") -> AsyncClient:
    return AsyncClient(f"{host}:{port_of(server.target)}", tls=tls, api_key=api_key, retries=0, timeout_s=10)


async def failure(client: AsyncClient) -> AntiphonError:
    async with client:
        with pytest.raises(AntiphonError) as caught:
            await client.models.get("scripted/alpha")
    return caught.value


async def who_called(client: AsyncClient, log_entries: list[Any]) -> tuple[str, str]:
    async with client:
        await client.models.get("scripted/alpha")
    line = [one for one in log_entries if one["event"] == "call"][-1]
    return line["principal"], line["credential"]


def browser(roots: Path, own: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=roots)
    if own is not None:
        context.load_cert_chain(*own)
    return context


async def read_ready(
    server: ServerUnderTest, context: ssl.SSLContext, *, host: str = "localhost", headers: dict[str, str] | None = None
) -> int:
    address = f"https://{host}:{port_of(server.http_url)}/metrics"
    async with aiohttp.ClientSession() as session, session.get(address, ssl=context, headers=headers) as response:
        await response.read()
        return response.status


async def test_both_ports_speak_tls(tmp_path: Path, authority: Authority) -> None:
    async with encrypted(tmp_path, authority.issue("server")) as server:
        for host in ("localhost", "127.0.0.1"):
            async with client_of(server, authority.tls(), host=host) as client:
                assert "Hello" == (await client.completions.create(model="default", messages="Hi")).text
            assert 200 == await read_ready(server, browser(authority.roots), host=host)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("port", ["gRPC", "HTTP"])
async def test_tls_1_2_and_1_3_are_spoken(tmp_path: Path, authority: Authority, port: str, version: ssl.TLSVersion) -> None:
    context = ssl.create_default_context(cafile=authority.roots)
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2" if port == "gRPC" else "http/1.1"])
    async with encrypted(tmp_path, authority.issue("server")) as server:
        where = port_of(server.target if port == "gRPC" else server.http_url)
        _, writer = await asyncio.open_connection("127.0.0.1", int(where), ssl=context, server_hostname="localhost")
        spoken = writer.get_extra_info("ssl_object")
        assert (version.name, "h2" if port == "gRPC" else "http/1.1") == (
            spoken.version().replace(".", "_"),
            spoken.selected_alpn_protocol(),
        )
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
@pytest.mark.parametrize("port", ["gRPC", "HTTP"])
async def test_older_tls_is_not_spoken(tmp_path: Path, authority: Authority, port: str) -> None:
    context = ssl.create_default_context(cafile=authority.roots)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    # Else this side would refuse before the server does.
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    async with encrypted(tmp_path, authority.issue("server")) as server:
        where = port_of(server.target if port == "gRPC" else server.http_url)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", int(where), ssl=context, server_hostname="localhost")


async def test_a_client_hears_what_keeps_tls_from_coming_about(tmp_path: Path, authority: Authority) -> None:
    stranger = Authority(tmp_path, "stranger")
    async with encrypted(tmp_path, authority.issue("server")) as server:
        plaintext = await failure(client_of(server, tls=False))
        assert (ServerUnreachableError, True) == (type(plaintext), "https://" in plaintext.message)
        foreign = await failure(client_of(server, stranger.tls()))
        assert (TlsError, True) == (type(foreign), "nobody whom this client trusts" in foreign.message)
    async with encrypted(tmp_path, authority.issue("server", "elsewhere.example")) as server:
        misnamed = await failure(client_of(server, authority.tls()))
        assert (TlsError, True) == (type(misnamed), "another name" in misnamed.message)


async def test_a_client_hears_that_a_server_speaks_no_tls(tmp_path: Path, authority: Authority) -> None:
    async with serving(tmp_path, {"providers": {"scripted": {"type": "scripted"}}}, scripted_kinds(ScriptedModel())) as server:
        error = await failure(client_of(server, authority.tls()))
    assert (TlsError, True) == (type(error), "speaks no TLS" in error.message)


# Who is known by which name; `carol` has no alternative name, `dave` has one and so is not known by his common name.
AUTH = {
    "certificates": [
        certificate_entry("spiffe://acme/alice", "alice", role="admin"),
        certificate_entry("bob.example", "bob"),
        certificate_entry("carol", "carol"),
        certificate_entry("dave", "dave"),
        certificate_entry("gone.example", "gone", disabled=True),
    ],
    "keys": [{"id": id_of(KEY), "hash": written_hash(KEY), "principal": "with-key", "tenant": "acme", "role": "admin"}],
}


async def test_a_certificate_says_who_calls_on_both_ports(tmp_path: Path, authority: Authority, log_entries: list[Any]) -> None:
    alice = authority.issue_by_hand("alice", uri="spiffe://acme/alice", dns="other.example", common_name="bob.example")
    async with encrypted(tmp_path, authority.issue("server"), AUTH, client_ca=authority.roots) as server:
        by_uri = await who_called(client_of(server, authority.tls(alice)), log_entries)
        by_dns = await who_called(client_of(server, authority.tls(authority.issue("bob", "bob.example"))), log_entries)
        by_common_name = await who_called(
            client_of(server, authority.tls(authority.issue_by_hand("carol", common_name="carol"))), log_entries
        )
        expected = [("alice", "certificate:spiffe://acme/alice"), ("bob", "certificate:bob.example"), ("carol", "certificate:carol")]
        assert expected == [by_uri, by_dns, by_common_name]
        assert 200 == await read_ready(server, browser(authority.roots, alice))


async def test_a_certificate_that_is_nobodys_or_disabled_opens_nothing(tmp_path: Path, authority: Authority) -> None:
    async with encrypted(tmp_path, authority.issue("server"), AUTH, client_ca=authority.roots) as server:
        for name, names, reason in (
            ("stranger", ["stranger.example"], "CREDENTIALS_INVALID"),
            ("gone", ["gone.example"], "CREDENTIALS_DISABLED"),
            ("dave", ["127.0.0.1"], "CREDENTIALS_MISSING"),
        ):
            own = authority.issue(name, *names, common_name=name)
            error = await failure(client_of(server, authority.tls(own)))
            assert (UnauthenticatedError, reason) == (type(error), error.reason)
            assert 401 == await read_ready(server, browser(authority.roots, own))


async def test_a_key_decides_who_calls_whatever_the_certificate(tmp_path: Path, authority: Authority, log_entries: list[Any]) -> None:
    bob = authority.issue("bob", "bob.example")
    async with encrypted(tmp_path, authority.issue("server"), AUTH, client_ca=authority.roots) as server:
        assert "with-key" == (await who_called(client_of(server, authority.tls(bob), api_key=KEY), log_entries))[0]
        error = await failure(client_of(server, authority.tls(bob), api_key=new_key()))
        assert "CREDENTIALS_INVALID" == error.reason


async def test_grpc_takes_no_connection_without_a_certificate_of_the_authority(tmp_path: Path, authority: Authority) -> None:
    foreign = Authority(tmp_path, "foreign").issue("mallory", "bob.example")
    yesterday = datetime.now(UTC) - timedelta(days=1)
    expired = authority.issue("expired", "bob.example", not_before=yesterday - timedelta(days=9), not_after=yesterday)
    async with encrypted(tmp_path, authority.issue("server"), AUTH, client_ca=authority.roots) as server:
        for own in (None, foreign, expired):
            error = await failure(client_of(server, authority.tls(own), api_key=KEY))
            assert (ServerUnreachableError, True) == (type(error), "certificate of this client" in error.message)


@pytest.mark.parametrize("required", [False, True])
async def test_the_second_port_can_do_without_a_clients_certificate(tmp_path: Path, authority: Authority, required: bool) -> None:
    foreign = Authority(tmp_path, "foreign").issue("mallory", "bob.example")
    yesterday = datetime.now(UTC) - timedelta(days=1)
    expired = authority.issue("expired", "bob.example", not_before=yesterday - timedelta(days=9), not_after=yesterday)
    tls = {"client_ca": authority.roots, "require_client_certificate": required}
    key = {"authorization": f"Bearer {KEY}"}
    async with encrypted(tmp_path, authority.issue("server"), AUTH, **tls) as server:
        if required:
            with pytest.raises(aiohttp.ClientError):
                await read_ready(server, browser(authority.roots), headers=key)
        else:
            assert (401, 200) == (
                await read_ready(server, browser(authority.roots)),
                await read_ready(server, browser(authority.roots), headers=key),
            )
        for own in (foreign, expired):
            with pytest.raises(aiohttp.ClientError):
                await read_ready(server, browser(authority.roots, own), headers=key)


def served_now(server: ServerUnderTest, port: str) -> str:
    where = port_of(server.target if port == "gRPC" else server.http_url)
    return ssl.get_server_certificate(("127.0.0.1", int(where)))


def leaf(chain: Path) -> str:
    text = chain.read_text(encoding="ascii")
    return text[: text.index("-----END")].strip()


async def in_force(server: ServerUnderTest, chain: Path) -> None:
    """Waits until new connections to both ports are shown a certificate."""
    async with asyncio.timeout(10):
        for port in ("gRPC", "HTTP"):
            while leaf(chain) not in (await asyncio.to_thread(served_now, server, port)).replace("\r", ""):
                await asyncio.sleep(LOOK_S)


async def test_five_certificates_in_a_row_fail_no_call(tmp_path: Path, authority: Authority) -> None:
    files = authority.issue("server")
    done = asyncio.Event()
    made = {"kept": 0, "new": 0, "plain": 0}

    async with encrypted(tmp_path, files) as server, client_of(server, authority.tls()) as kept:

        async def over_one_connection() -> None:
            while not done.is_set():
                assert "Hello" == (await kept.completions.create(model="default", messages="Hi")).text
                made["kept"] += 1

        async def each_over_its_own() -> None:
            while not done.is_set():
                async with client_of(server, authority.tls()) as fresh:
                    await fresh.models.get("scripted/alpha")
                made["new"] += 1

        async def on_the_second_port() -> None:
            while not done.is_set():
                assert 200 == await read_ready(server, browser(authority.roots))
                made["plain"] += 1
                await asyncio.sleep(0.01)

        calling = [asyncio.create_task(one()) for one in (over_one_connection, each_over_its_own, on_the_second_port)]
        for _ in range(5):
            await in_force(server, authority.issue("server")[0])
        before = dict(made)
        async with asyncio.timeout(10):
            while any(made[name] < before[name] + 3 for name in made):
                await asyncio.sleep(0.01)
        done.set()
        await asyncio.gather(*calling)


async def test_a_new_authority_for_clients_is_taken_too(tmp_path: Path, authority: Authority, log_entries: list[Any]) -> None:
    second = Authority(tmp_path, "second")
    accepted = tmp_path / "clients.pem"
    accepted.write_bytes(authority.roots.read_bytes())
    newcomer = second.issue_by_hand("alice", uri="spiffe://acme/alice")
    as_newcomer = Authority.tls(authority, newcomer)
    async with encrypted(tmp_path, authority.issue("server"), AUTH, client_ca=accepted) as server:
        await failure(client_of(server, as_newcomer))
        accepted.write_bytes(second.roots.read_bytes())
        async with asyncio.timeout(10):
            while not [entry for entry in log_entries if entry["event"] == "the new certificate is in force"]:
                await asyncio.sleep(LOOK_S)
        assert "alice" == (await who_called(client_of(server, as_newcomer), log_entries))[0]
        assert 200 == await read_ready(server, browser(authority.roots, newcomer))
        with pytest.raises(aiohttp.ClientError):
            await read_ready(server, browser(authority.roots, authority.issue("old", "bob.example")))


async def test_files_that_cannot_be_used_change_nothing_and_are_told_once(
    tmp_path: Path, authority: Authority, log_entries: list[Any]
) -> None:
    files = authority.issue("server")
    before = files[0].read_bytes()
    async with encrypted(tmp_path, files) as server:
        files[0].write_bytes(b"no certificate")
        async with asyncio.timeout(10):
            while not [entry for entry in log_entries if entry["log_level"] == "error"]:
                await asyncio.sleep(LOOK_S)
        await asyncio.sleep(6 * LOOK_S)
        [entry] = [entry for entry in log_entries if entry["log_level"] == "error"]
        assert ("the new certificate files cannot be used; those before them stay in force", True) == (
            entry["event"],
            str(files[0]) in entry["problem"],
        )
        async with client_of(server, authority.tls()) as client:
            await client.models.get("scripted/alpha")
        files[0].unlink()
        await asyncio.sleep(3 * LOOK_S)
        files[0].write_bytes(before)
        await in_force(server, files[0])
        assert 200 == await read_ready(server, browser(authority.roots))
