"""What the documentation, the alerts and the dashboard say of metrics and log lines is what the server tells."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

import antiphon
from antiphon.telemetry.metrics import Metrics
from antiphon.workers import metrics_of_all
from tests.support.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/MONITORING.md").read_text(encoding="utf-8")
SERVER = Path(antiphon.__file__).parent
LEVELS = {"debug": "debug", "info": "info", "warning": "warning", "error": "error", "exception": "error"}
# Written where no call of a logger has its words in it.
WRITTEN_OTHERWISE = {("warning", "log lines dropped"), ("info", "draining"), ("info", "draining: the supervisor is gone")}


def table(first: str) -> list[list[str]]:
    """Returns the rows of the page's table whose head begins with a word."""
    rows: list[list[str]] = []
    lines = iter(PAGE.splitlines())
    for line in lines:
        if line.startswith(f"| {first} |"):
            next(lines)
            for row in lines:
                if not row.startswith("|"):
                    return rows
                rows.append([cell.strip() for cell in row.strip("|").split("|")])
    return rows


def families() -> dict[str, tuple[str, set[str]]]:
    """Returns the server's metrics by the name that a query has for them, each with its kind and labels."""
    found: dict[str, tuple[str, set[str]]] = {}
    metrics = Metrics()
    for instrument in vars(metrics).values():
        if hasattr(instrument, "known") and instrument._labels:
            instrument.labels(*("x" for _ in instrument._labels))
    answer = metrics.models.answer("p", "m", timed=True)
    for instrument in vars(metrics.models).values():
        if hasattr(instrument, "known"):
            instrument.labels(*("x" for _ in instrument._labels))
    del answer
    for family in metrics.registry.collect():
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        found[family.name + ("_total" if family.type == "counter" else "")] = (family.type, labels)
    one = {"worker": 1, "up": 1, "restarts": 0, "scrape_failures": 0}
    for family in text_string_to_metric_families("\n".join(metrics_of_all._about_workers([one])) + "\n"):
        found[family.name + ("_total" if family.type == "counter" else "")] = (family.type, {"worker"})
    return found


FAMILIES = families()
SERIES = set(FAMILIES) | {
    f"{name}_{end}" for name, (kind, _) in FAMILIES.items() if kind == "histogram" for end in ("bucket", "sum", "count")
}


def test_the_table_of_metrics_names_every_metric_and_no_other() -> None:
    described = {row[0].strip("`"): (row[1], set(re.findall(r"`(\w+)`", row[2]))) for row in table("metric")}
    # The collector of garbage has labels where the runtime has run it.
    assert set(FAMILIES) == set(described)
    assert [] == [name for name, told in described.items() if not name.startswith(("python_", "process_")) and told != FAMILIES[name]]


def test_metrics_are_named_in_base_units() -> None:
    assert [] == [name for name in FAMILIES if re.search(r"_(ms|milliseconds|us|kb|mb|minutes)(_|$)", name)]
    assert [] == [name for name, (kind, _) in FAMILIES.items() if (kind == "counter") != name.endswith("_total")]


def logged() -> Iterator[tuple[str, str, set[str], bool]]:
    """Yields each event that the code logs: its level, its words, its fields, and whether there may be more of them."""
    for path in SERVER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS):
                continue
            if "log" not in ast.unparse(node.func.value).lower() or not node.args:
                continue
            words = node.args[0]
            if isinstance(words, ast.Constant) and isinstance(words.value, str):
                fields = {keyword.arg for keyword in node.keywords if keyword.arg}
                yield LEVELS[node.func.attr], words.value.replace("`", ""), fields, any(not keyword.arg for keyword in node.keywords)


def described_events() -> dict[tuple[str, str], set[str]]:
    return {(row[1].strip("`"), row[0]): set(re.findall(r"`(\w+)`", row[2])) for row in table("event")}


def test_the_table_of_events_names_every_event_with_its_level() -> None:
    assert {(level, words) for level, words, _, _ in logged()} | WRITTEN_OTHERWISE == set(described_events())


def test_the_table_of_events_names_every_field() -> None:
    described = described_events()
    missing = [(words, fields - described[level, words]) for level, words, fields, _ in logged() if fields - described[level, words]]
    assert [] == missing


def expressions() -> dict[str, str]:
    """Returns every query of the files, by where it stands."""
    found: dict[str, str] = {}
    for file in ("rules.yaml", "alerts.yaml"):
        for group in yaml.safe_load((ROOT / "deploy/prometheus" / file).read_text(encoding="utf-8"))["groups"]:
            for rule in group["rules"]:
                found[f"{file} {rule.get('record') or rule['alert']}"] = rule["expr"]
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            found[f"{panel['title']} {target['refId']}"] = target["expr"]
    return found


def dashboard() -> dict[str, Any]:
    return json.loads((ROOT / "deploy/grafana/antiphon.json").read_text(encoding="utf-8"))


def recorded() -> set[str]:
    document = yaml.safe_load((ROOT / "deploy/prometheus/rules.yaml").read_text(encoding="utf-8"))
    return {rule["record"] for group in document["groups"] for rule in group["rules"]}


def selectors(expression: str) -> list[Any]:
    """Returns what a query selects.

    Raises:
        ValueError: It is no query.
    """
    found: list[Any] = []

    def visit(node: Any) -> bool:
        if isinstance(node, promql_parser.MatrixSelector):
            found.append(node.vector_selector)
        elif isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        return True

    promql_parser.walk(promql_parser.parse(expression.replace("$__rate_interval", "5m")), visit)
    return found


@pytest.mark.parametrize("place", expressions())
def test_every_query_can_be_parsed_and_asks_for_what_there_is(place: str) -> None:
    asked = selectors(expressions()[place])
    assert asked
    assert set() == {one.name for one in asked} - SERIES - recorded() - {"up"}
    for one in asked:
        family = next((name for name in FAMILIES if one.name in {name, f"{name}_bucket", f"{name}_sum", f"{name}_count"}), None)
        if family is not None:
            labels = {matcher.name for matcher in one.matchers.matchers}
            assert set() == labels - FAMILIES[family][1] - {"job", "instance", "worker"}


@pytest.mark.parametrize("expression", ["sum(rate(antiphon_calls_total[5m])", "rate(antiphon_calls_total)", "sum by (", "up > > 1"])
def test_what_is_no_query_is_seen(expression: str) -> None:
    with pytest.raises(ValueError):
        selectors(expression)


def alerts() -> list[dict[str, Any]]:
    document = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def anchors() -> set[str]:
    return {re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in PAGE.splitlines() if line.startswith("#")}


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_every_alert_says_what_it_is_how_bad_and_what_to_do(alert: dict[str, Any]) -> None:
    page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    assert "docs/MONITORING.md" == page
    assert anchor in anchors()
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert alert["annotations"]["summary"]
    assert alert["annotations"]["description"]
    assert re.fullmatch(r"\d+[mh]", alert["for"])


def test_every_section_of_what_to_watch_has_its_alert() -> None:
    sections = re.findall(r"^### (.+)$", PAGE, re.MULTILINE)
    linked = {alert["annotations"]["runbook_url"].partition("#")[2] for alert in alerts()}
    assert {section.lower().replace(" ", "-") for section in sections} == linked


def test_the_dashboard_has_a_place_for_each_panel_and_explains_it() -> None:
    panels = dashboard()["panels"]
    assert len(panels) == len({panel["id"] for panel in panels})
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(places) == len(set(places))
    assert [] == [panel["title"] for panel in panels if panel["type"] != "row" and not panel.get("description")]


def test_the_scrape_example_names_the_rules_beside_it() -> None:
    document = yaml.safe_load((ROOT / "deploy/prometheus/scrape.yaml").read_text(encoding="utf-8"))
    assert [] == [name for name in document["rule_files"] if not (ROOT / "deploy/prometheus" / name).is_file()]
    in_page = yaml.safe_load(PAGE.split("```yaml\n", 1)[1].split("```", 1)[0])
    [here], [there] = document["scrape_configs"], in_page["scrape_configs"]
    assert {**there, "scrape_interval": "15s"} == here


async def test_a_served_page_holds_nothing_that_the_table_does_not_name(tmp_path: Path) -> None:
    async with serving(tmp_path, {}) as server:
        text = await server.application.metrics.text()
    names = {family.name + ("_total" if family.type == "counter" else "") for family in text_string_to_metric_families(text)}
    assert set() == names - set(FAMILIES)
