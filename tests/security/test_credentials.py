"""Every method there is, on every port, is closed to whoever shows no credential that opens it, and says so in the same words.

The methods are those that the server itself names by reflection: one that is added is looked at without a line here.
"""

from __future__ import annotations

import importlib
import pkgutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import aiohttp
import pytest
from google.protobuf import descriptor_pb2
from grpc_reflection.v1alpha import reflection_pb2

import antiphon.api
from antiphon.api.core.v1 import permission_pb2
from antiphon.config.identity import BUILT_IN_ROLES
from antiphon.identity.api_keys import id_of, new_key, written_hash
from tests.support.scripted import SCRIPTED, ScriptedModel, scripted_kinds
from tests.support.serving import serving
from tests.support.ways_to_call import ConnectWay, GrpcWay

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from google.protobuf.descriptor import FileDescriptor

    from tests.support.serving import ServerUnderTest
    from tests.support.ways_to_call import Outcome, Way

HEALTH, REFLECTION = "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"
# The services that are not of our contract declare nothing; what they need is decided in `antiphon.rpc.standard`.
STANDARD = {HEALTH: "health_read", REFLECTION: "reflection_read"}
WAYS: dict[str, Callable[[ServerUnderTest], Way]] = {"gRPC": GrpcWay, "Connect": ConnectWay}
ROLES = ("admin", "user", "monitor", "powerless")
KEYS = {name: new_key() for name in (*ROLES, "disabled", "expired", "stranger")}

MISSING = ("UNAUTHENTICATED", "CREDENTIALS_MISSING")
INVALID = ("UNAUTHENTICATED", "CREDENTIALS_INVALID")
DISABLED = ("UNAUTHENTICATED", "CREDENTIALS_DISABLED")
DENIED = ("PERMISSION_DENIED", "PERMISSION_DENIED")


def bearer(key: str) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {key}")]


CREDENTIALS: dict[str, tuple[list[tuple[str, str]], tuple[str, str]]] = {
    "none": ([], MISSING),
    "empty": ([("authorization", "")], INVALID),
    "no scheme": ([("authorization", KEYS["admin"])], INVALID),
    "Basic": ([("authorization", f"Basic {KEYS['admin']}")], INVALID),
    "another service's": (bearer("sk-0123456789abcdef0123456789abcdef"), INVALID),
    "mistyped": (bearer(KEYS["admin"][:-1]), INVALID),
    "10 KB": (bearer("x" * 10_240), INVALID),
    "two headers": ([*bearer(KEYS["admin"]), *bearer(KEYS["admin"])], INVALID),
    "wrong": (bearer(KEYS["stranger"]), INVALID),
    "a known id with another secret": (bearer(KEYS["admin"][:17] + KEYS["user"][17:]), INVALID),
    "disabled": (bearer(KEYS["disabled"]), DISABLED),
    "expired": (bearer(KEYS["expired"]), DISABLED),
    "a role without permissions": (bearer(KEYS["powerless"]), DENIED),
}


def entry(name: str, role: str, **more: object) -> dict[str, Any]:
    key = KEYS[name]
    return {"id": id_of(key), "hash": written_hash(key), "principal": name, "tenant": "acme", "role": role, **more}


@asynccontextmanager
async def asking(folder: Path, public: list[str]) -> AsyncGenerator[ServerUnderTest, None]:
    """Runs a server that asks who calls."""
    keys = [entry(role, role) for role in ROLES]
    keys += [entry("disabled", "admin", disabled=True), entry("expired", "admin", expires="2026-01-01T00:00:00Z")]
    settings: dict[str, Any] = {
        **SCRIPTED,
        "auth": {"keys": keys, "roles": {"powerless": []}, "public": public},
        "log": {"access": True},
    }
    async with serving(folder, settings, scripted_kinds(ScriptedModel())) as running:
        yield running


@pytest.fixture
async def server(tmp_path: Path) -> AsyncGenerator[ServerUnderTest, None]:
    async with asking(tmp_path, []) as running:
        yield running


async def reflected(server: ServerUnderTest, *asked: reflection_pb2.ServerReflectionRequest) -> list[Any]:
    method = cast("Any", server.channel).stream_stream(
        f"/{REFLECTION}/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    return [answer async for answer in method(iter(asked), metadata=tuple(bearer(KEYS["admin"])), timeout=20)]


async def methods_of(server: ServerUnderTest) -> dict[str, tuple[bool, str]]:
    """Returns every method's full name, whether it answers in a stream, and the permission that it declares."""
    [listed] = await reflected(server, reflection_pb2.ServerReflectionRequest(list_services=""))
    names = [service.name for service in listed.list_services_response.service]
    answers = await reflected(server, *(reflection_pb2.ServerReflectionRequest(file_containing_symbol=name) for name in names))
    found: dict[str, tuple[bool, str]] = {}
    for name, answer in zip(names, answers, strict=True):
        files = [descriptor_pb2.FileDescriptorProto.FromString(one) for one in answer.file_descriptor_response.file_descriptor_proto]
        [service] = [one for file in files for one in file.service if f"{file.package}.{one.name}" == name]
        for method in service.method:
            extensions: Any = method.options.Extensions
            declared = permission_pb2.Permission.Name(extensions[permission_pb2.permission]).removeprefix("PERMISSION_").lower()
            found[f"/{name}/{method.name}"] = (method.server_streaming, STANDARD.get(name, declared))
    return found


def contract_methods() -> set[str]:
    """Returns the methods of the contract, as its generated modules have them."""
    found: set[str] = set()
    for module in pkgutil.walk_packages(antiphon.api.__path__, "antiphon.api."):
        if module.name.endswith("_pb2"):
            file: FileDescriptor = importlib.import_module(module.name).DESCRIPTOR
            found |= {f"/{service.full_name}/{method.name}" for service in file.services_by_name.values() for method in service.methods}
    return found


def reachable(methods: dict[str, tuple[bool, str]], way: str) -> dict[str, tuple[bool, str]]:
    """Leaves out what the second port does not serve: it has routes of its own for health, and no reflection."""
    return {name: one for name, one in methods.items() if way == "gRPC" or name.split("/")[1] not in STANDARD}


async def test_reflection_names_every_method_of_the_contract_and_the_standard_ones(server: ServerUnderTest) -> None:
    named = set(await methods_of(server))
    standard = {f"/{HEALTH}/{name}" for name in ("Check", "Watch", "List")} | {f"/{REFLECTION}/ServerReflectionInfo"}
    assert contract_methods() == named - standard
    assert len(named) > len(contract_methods()) > 6


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shown", CREDENTIALS)
async def test_every_method_refuses_every_wrong_credential(
    server: ServerUnderTest, way: str, shown: str, log_entries: list[Any], capfd: pytest.CaptureFixture[str]
) -> None:
    headers, refusal = CREDENTIALS[shown]
    methods = reachable(await methods_of(server), way)
    outcomes = {name: await WAYS[way](server).call(name, headers, streaming=streaming) for name, (streaming, _) in methods.items()}
    assert dict.fromkeys(methods, refusal) == {name: outcome.told for name, outcome in outcomes.items()}
    if refusal == DENIED:
        expected = {name: (("permission", permission),) for name, (_, permission) in methods.items()}
        assert expected == {name: outcome.metadata for name, outcome in outcomes.items()}
    lines = [line for line in log_entries if line["event"] == "call" and line["code"] != "OK"]
    assert sorted((name, *refusal) for name in methods) == sorted((line["method"], line["code"], line["reason"]) for line in lines)
    said = [*map(str, log_entries), *map(str, outcomes.values()), *capfd.readouterr()]
    assert [] == [text for text in said if shows_part_of(headers, text)]


def shows_part_of(headers: list[tuple[str, str]], text: str) -> bool:
    """Whether a text holds a run of a credential's characters; a key's public id alone may be shown."""
    secrets = [part.rpartition("_")[2] for _, value in headers for part in value.split() if len(part) > 16]
    return any(secret[at : at + 8] in text for secret in secrets for at in range(min(len(secret), 64) - 8))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("role", ROLES)
async def test_each_role_opens_what_it_says_and_nothing_else(server: ServerUnderTest, way: str, role: str) -> None:
    methods = reachable(await methods_of(server), way)
    may = BUILT_IN_ROLES.get(role, ())
    outcomes = {
        name: await WAYS[way](server).call(name, bearer(KEYS[role]), streaming=streaming) for name, (streaming, _) in methods.items()
    }
    assert {name: permission in may for name, (_, permission) in methods.items()} == {name: let_in(one) for name, one in outcomes.items()}


def let_in(outcome: Outcome) -> bool:
    """Whether a call was not refused for who made it; what it then says of an empty request is its own matter."""
    return outcome.code not in {"UNAUTHENTICATED", "PERMISSION_DENIED"}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("shown", "told"),
    [("none", MISSING), ("wrong", INVALID), ("disabled", DISABLED), ("a role without permissions", ("UNIMPLEMENTED", "METHOD_NOT_FOUND"))],
)
async def test_a_method_that_is_not_there_is_told_to_known_callers_alone(
    server: ServerUnderTest, way: str, shown: str, told: tuple[str, str]
) -> None:
    outcome = await WAYS[way](server).call("/antiphon.api.model.v1.ModelService/Invented", CREDENTIALS[shown][0], streaming=False)
    assert told == outcome.told


async def test_the_log_names_who_called_and_never_the_secret(server: ServerUnderTest, log_entries: list[Any]) -> None:
    await GrpcWay(server).call("/antiphon.api.model.v1.ModelService/ListModels", bearer(KEYS["user"]), streaming=False)
    [line] = [line for line in log_entries if line["event"] == "call"]
    assert ("user", "acme", f"key:{id_of(KEYS['user'])}") == (line["principal"], line["tenant"], line["credential"])


PAGES = {"/health": "health_read", "/ready": "health_read", "/metrics": "metrics_read"}


async def read_page(server: ServerUnderTest, path: str, headers: list[tuple[str, str]]) -> int:
    """Reads a page of the second port; returns the status."""
    async with aiohttp.ClientSession() as session, session.get(server.http_url + path, headers=headers) as response:
        await response.read()
        return response.status


@pytest.mark.parametrize("shown", CREDENTIALS)
async def test_every_page_refuses_every_wrong_credential(server: ServerUnderTest, shown: str) -> None:
    headers, refusal = CREDENTIALS[shown]
    statuses = {path: await read_page(server, path, headers) for path in PAGES}
    assert dict.fromkeys(PAGES, 403 if refusal == DENIED else 401) == statuses


@pytest.mark.parametrize("role", ROLES)
async def test_each_role_reads_the_pages_that_it_says(server: ServerUnderTest, role: str) -> None:
    may = BUILT_IN_ROLES.get(role, ())
    found = {path: await read_page(server, path, bearer(KEYS[role])) for path in PAGES}
    assert {path: 200 if permission in may else 403 for path, permission in PAGES.items()} == found


@pytest.mark.parametrize("public", [["health"], ["reflection"], ["health", "reflection"], []], ids=" and ".join)
async def test_what_is_public_is_served_whatever_is_shown(tmp_path: Path, public: list[str]) -> None:
    names = {"health": HEALTH, "reflection": REFLECTION}
    async with asking(tmp_path, public) as opened:
        methods = await methods_of(opened)
        for shown in ("none", "wrong", "disabled", "a role without permissions"):
            headers, refusal = CREDENTIALS[shown]
            for name, (streaming, _) in methods.items():
                open_to_all = name.split("/")[1] in {names[one] for one in public}
                outcome = await GrpcWay(opened).call(name, headers, streaming=streaming)
                expected = (name, shown, True, "") if open_to_all else (name, shown, False, refusal[1])
                assert expected == (name, shown, let_in(outcome), "" if let_in(outcome) else outcome.reason)
