"""Structured logs: one event a line, JSON or readable."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import orjson
import structlog

from antiphon.telemetry.redaction import Redactor

if TYPE_CHECKING:
    from antiphon.config import LogSection
    from antiphon.telemetry.log_writer import LogWriter

Logger = structlog.typing.FilteringBoundLogger


# How much of a text of a caller's invention a line holds.
_LOGGED_CHARACTERS = 256
# What this server makes itself, anew for each line: looking for secrets in it would cost as much as the rest of the line.
_OUR_OWN = frozenset({"timestamp", "level", "logger", "call_id", "completion_id", "trace_id", "span_id"})


def configure_logs(
    section: LogSection, writer: LogWriter, redactor: Redactor | None = None, *, traced: bool = False, worker: int | None = None
) -> None:
    """Sends structlog's events, and the standard library's warnings, to the writer.

    Args:
        section: What is written, and how.
        writer: Takes the lines.
        redactor: Takes secrets out of them; None: one that knows no secret by name.
        traced: Whether there are traces, whose ids lines of a call then bear.
        worker: Which of several processes this is, to be named in each line; None for one that is alone.
    """
    console = section.format == "console" or (section.format == "auto" and sys.stderr.isatty())
    level = logging.getLevelNamesMapping()[section.level.upper()]
    structlog.configure(
        processors=[
            *(() if worker is None else (_naming(worker),)),
            *((_naming_trace(),) if traced else ()),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _redacting(redactor or Redactor()),
            _readable if console else _json,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _LineLogger(writer),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_Forwarding()], force=True)


def _naming(worker: int) -> structlog.typing.Processor:
    def name_worker(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["worker"] = worker
        return event

    return name_worker


def _naming_trace() -> structlog.typing.Processor:
    # Only here: a server without traces loads nothing of them.
    from antiphon.telemetry.propagation import current_trace

    def name_trace(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        found = current_trace()
        if found is not None and "trace_id" not in event:
            event["trace_id"], event["span_id"] = found
        return event

    return name_trace


def _redacting(redactor: Redactor) -> structlog.typing.Processor:
    """Makes the step that takes secrets out of each value: a line as a whole would no longer be JSON where a secret is a number."""
    text = redactor.text

    def redact(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        for key, value in event.items():
            if isinstance(value, str):
                if key not in _OUR_OWN:
                    event[key] = text(value)
            elif not isinstance(value, int | float):
                event[key] = redactor.value(value)
        return event

    return redact


def logger(name: str) -> Logger:
    """Returns the logger of a part of the server, named in each of its lines."""
    return structlog.get_logger().bind(logger=name)


def loggable(text: str) -> str:
    """Returns a text of a caller's invention as a log can hold it: short, in ASCII, without anything that a terminal obeys."""
    return text[:_LOGGED_CHARACTERS].encode("unicode_escape").decode()[:_LOGGED_CHARACTERS]


class _LineLogger:
    """What structlog calls with a rendered line."""

    def __init__(self, writer: LogWriter) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = writer.write


class _Forwarding(logging.Handler):
    """Passes records of libraries on to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        exception = record.exc_info if record.exc_info and record.exc_info[0] else None
        logger(record.name).log(record.levelno, record.getMessage(), exc_info=exception)


def _json(_: object, __: str, event: Any) -> bytes:
    try:
        return orjson.dumps(event, default=repr)
    except TypeError:
        # Half a surrogate, a number of more than 64 bits, a key that is no text: logging must not fail for what it is told.
        return orjson.dumps({str(key): ascii(value) if not isinstance(value, str) else _encodable(value) for key, value in event.items()})


def _readable(_: object, __: str, event: Any) -> bytes:
    moment, level, text = event.pop("timestamp"), event.pop("level"), event.pop("event")
    event.pop("logger", None)
    exception = event.pop("exception", None)
    facts = " ".join(f"{key}={_on_one_line(value)}" for key, value in event.items())
    line = f"{moment[11:19]} {level:<7} {_on_one_line(text)} {facts}".rstrip()
    return _encodable(f"{line}\n{exception}" if exception else line).encode()


def _on_one_line(value: object) -> str:
    """Keeps what a caller sent from looking like a line, or a colour, of ours."""
    text = str(value)
    return text if text.isprintable() else repr(text)


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
