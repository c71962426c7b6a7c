"""`antiphon models` shows what a server has, to people and to scripts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from typer.testing import CliRunner

from antiphon.api.model.v1.model_service_pb2 import GetModelResponse, Prices
from antiphon.cli.main import app
from tests.unit.client.fake_server import Failure, FakeServer, model

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.cli.terminal import Terminal


def test_a_pipe_gets_a_line_a_model(server: FakeServer) -> None:
    result = CliRunner().invoke(app, ["models"])
    assert (0, "acme/large\t\t8192\tready\nlocal/tiny\tdefault\t8192\tready\n") == (result.exit_code, result.stdout)
    assert 1 == len(server.calls)


def test_a_terminal_gets_a_table(server: FakeServer, open_terminal: Callable[..., Terminal]) -> None:
    terminal = open_terminal("models").see("model").see("acme/large").see("8,192").see("local/tiny").see("default")
    assert 0 == terminal.exit_code()
    assert 1 == len(server.calls)


def test_scripts_get_json(server: FakeServer) -> None:
    result = CliRunner().invoke(app, ["models", "--json"])
    assert ["acme/large", "local/tiny"] == [one["name"] for one in json.loads(result.stdout)]
    one = CliRunner().invoke(app, ["models", "acme/large", "--json"])
    assert ("acme/large", ["CAPABILITY_TOOLS"]) == (json.loads(one.stdout)["name"], json.loads(one.stdout)["capabilities"])
    assert 2 == len(server.calls)


def test_one_model_is_described(server: FakeServer) -> None:
    described = model("acme/large", "big")
    described.prices.CopyFrom(Prices(currency_code="USD", input_micros_per_million=2_500_000, output_micros_per_million=10_000_000))
    described.status = 77  # pyright: ignore[reportAttributeAccessIssue]  # of a later contract
    server.will("GetModel", GetModelResponse(model=described))
    result = CliRunner().invoke(app, ["models", "big"])
    assert 0 == result.exit_code
    facts = dict(line.split(":", 1) for line in result.stdout.splitlines())
    assert {
        "name": "acme/large",
        "provider": "acme",
        "aliases": "big",
        "status": "unknown",
        "context, tokens": "8,192",
        "answer, tokens": "not known",
        "can take": "tools",
        "price per million": "2.5 in, 10 out USD",
    } == {key: value.strip() for key, value in facts.items()}


def test_a_model_that_is_not_there_is_a_line(server: FakeServer) -> None:
    info = ErrorInfo(reason="MODEL_NOT_FOUND", domain="antiphon.api", metadata={"model": "x/y"})
    server.will("GetModel", Failure(grpc.StatusCode.NOT_FOUND, "no such model", [info]))
    result = CliRunner().invoke(app, ["models", "x/y"])
    assert (5, "antiphon: there is no model 'x/y'; `antiphon models` lists what is there\n") == (result.exit_code, result.stderr)
