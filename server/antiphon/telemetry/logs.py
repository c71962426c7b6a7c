"""Structured logs: one event a line, JSON or readable."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import orjson
import structlog

if TYPE_CHECKING:
    from antiphon.config import LogSection
    from antiphon.telemetry.log_writer import LogWriter

Logger = structlog.typing.FilteringBoundLogger


def configure_logs(section: LogSection, writer: LogWriter) -> None:
    """Sends structlog's events, and the standard library's warnings, to the writer."""
    console = section.format == "console" or (section.format == "auto" and sys.stderr.isatty())
    level = logging.getLevelNamesMapping()[section.level.upper()]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _readable if console else _json,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _LineLogger(writer),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_Forwarding()], force=True)


def logger(name: str) -> Logger:
    """Returns the logger of a part of the server, named in each of its lines."""
    return structlog.get_logger().bind(logger=name)


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
