"""A log line is one line, whatever is in it: JSON for machines, readable for people, and the libraries' warnings among them."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, Literal, cast

import pytest
import structlog

from antiphon.config import LogSection
from antiphon.telemetry.logs import configure_logs, logger

if TYPE_CHECKING:
    from collections.abc import Generator

    from antiphon.telemetry.log_writer import LogWriter


class Lines:
    """Takes lines as a LogWriter does."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def write(self, line: bytes) -> None:
        self.lines.append(line)


@pytest.fixture
def lines() -> Generator[Lines]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield Lines()
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def configured(
    lines: Lines, form: Literal["json", "console"] = "json", level: Literal["debug", "info", "warning", "error"] = "info"
) -> None:
    configure_logs(LogSection(format=form, level=level), cast("LogWriter", lines))


def test_a_json_line_holds_every_fact(lines: Lines) -> None:
    configured(lines)
    logger("antiphon.test").info("call", call_id="c-1", duration_ms=1.5, odd=b"\xff")
    [line] = lines.lines
    told: dict[str, Any] = json.loads(line)
    assert isinstance(told.pop("timestamp"), str)
    assert {"event": "call", "level": "info", "logger": "antiphon.test", "call_id": "c-1", "duration_ms": 1.5, "odd": "b'\\xff'"} == told


def test_levels_below_the_configured_one_are_not_written(lines: Lines) -> None:
    configured(lines, level="warning")
    logger("x").info("no")
    logger("x").warning("yes")
    assert [b"yes"] == [json.loads(line)["event"].encode() for line in lines.lines]


def test_a_readable_line(lines: Lines) -> None:
    configured(lines, "console")
    logger("x").info("call", code="OK", messages=2)
    [line] = lines.lines
    assert line.endswith(b"info    call code=OK messages=2")


@pytest.mark.parametrize("form", ["json", "console"])
def test_an_exception_is_told_with_its_trace(lines: Lines, form: Literal["json", "console"]) -> None:
    configured(lines, form)
    logger("x").error("fault", exc_info=RuntimeError("broken"))
    [line] = lines.lines
    assert b"RuntimeError: broken" in line


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("text", ["\ud800 half", "line\nline", "\x00", "👩", "x" * 100_000, 2**70, float("nan"), {1: 2}, {"k": {3}}])
def test_no_value_makes_logging_fail(lines: Lines, form: Literal["json", "console"], text: object) -> None:
    configured(lines, form)
    logger("x").warning("odd", value=text)
    logger("x").error("odd", method="m", exc_info=ValueError(text))
    assert 2 == len(lines.lines)
    if form == "json":
        assert ["odd", "odd"] == [json.loads(line)["event"] for line in lines.lines]
        assert [False, False] == [b"\n" in line for line in lines.lines]


def test_a_caller_cannot_write_lines_of_its_own(lines: Lines) -> None:
    configured(lines, "console")
    logger("x").info("call", value="a\n12:00:00 error forged\x1b[31m")
    [line] = lines.lines
    assert b"\n" not in line
    assert b"\x1b" not in line


def test_warnings_of_libraries_are_passed_on(lines: Lines) -> None:
    configured(lines)
    logging.getLogger("library").warning("careful: %s", "x")
    logging.getLogger("library").info("chatter")
    logging.getLogger("library").error("failed", exc_info=OSError("gone"))
    first, second = (json.loads(line) for line in lines.lines)
    assert ("careful: x", "library", "warning") == (first["event"], first["logger"], first["level"])
    assert "OSError: gone" in second["exception"]
