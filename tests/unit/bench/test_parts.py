"""The bench's setups are configurations that a server takes, and a part's cost is what its runs differ by from their neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
import yaml

from antiphon.calls.interceptors import Steps
from antiphon.config import load
from antiphon.plugins import load_provider_types
from bench.pairing.access import make_access
from bench.pairing.scenarios import SCENARIOS
from bench.pairing.setups import EVERYTHING, SETUPS, Setup
from bench.pairing.stripped import fewer
from bench.parts import Cost, table

if TYPE_CHECKING:
    from pathlib import Path

    from bench.pairing.rounds import Run


def run(cpu_us: float, wall_s: float = 1.0) -> Run:
    figures: dict[str, Any] = {"server_cpu_us_per_call": cpu_us, "server_cpu_us_per_token": cpu_us / 20, "wall_s": wall_s}
    return cast("Run", figures)


@pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS)
def test_every_setup_is_a_valid_configuration(setup: Setup, tmp_path: Path) -> None:
    document = setup.config(50051, 8080, "http://127.0.0.1:9", make_access(tmp_path))
    file = tmp_path / "antiphon.yaml"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    config = load(load_provider_types(), file=file, environment={})
    assert setup.tls == config.tls.enabled
    assert setup.key == config.auth.identifies
    assert setup.access_log == config.log.access
    assert setup.workers == config.server.workers
    assert ("otlp" if setup.sample_ratio else "off") == config.telemetry.traces
    assert setup.record_content == config.telemetry.record_content


def test_everything_means_every_part_that_a_production_server_has_on() -> None:
    assert (EVERYTHING.tls, EVERYTHING.key, EVERYTHING.access_log, EVERYTHING.sample_ratio > 0) == (True, True, True, True)


def test_a_part_costs_what_it_adds_to_the_mean_of_its_neighbours() -> None:
    cost = Cost("TLS", SCENARIOS[0], bases=[(run(100), run(120)), (run(120), run(100))], runs=[run(140, 2.0), run(130, 2.0)])
    assert [20, 30] == cost.differences_us
    assert 0.5 == cost.throughput
    assert "| TLS | unary | 110.0 a call | **+25.0** (+22.5..+27.5; +20.0..+30.0) | +22.7 % | x 0.50 |" == table([cost]).splitlines()[-1]


def test_a_step_that_is_taken_out_costs_what_is_saved() -> None:
    cost = Cost("admission", SCENARIOS[0], saved=True, bases=[(run(100), run(100))], runs=[run(90)])
    assert [10] == cost.differences_us


def test_a_step_that_is_not_there_cannot_be_taken_out() -> None:
    with pytest.raises(SystemExit, match="no step is called Missing"):
        fewer(Steps(of_calls=[], of_requests=[]), {"Missing"})
