"""When a provider wants to be asked again."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_S = 1.0
LONGEST_S = 86_400.0


def retry_after_s(headers: Mapping[str, str], now: datetime | None = None) -> float:
    """Returns how long to wait, in seconds: from `retry-after-ms` or `Retry-After` (seconds or an HTTP date), else a second.

    Args:
        headers: The reply's headers; looked up in lower case.
        now: The time that a date is compared with.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return _bounded(milliseconds / 1000)
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None:
        return _bounded(seconds)
    try:
        date = parsedate_to_datetime(value) if value else None
    except ValueError:
        date = None
    if date is None:
        return DEFAULT_S
    # A date without a zone is in UTC, as all HTTP dates are.
    return _bounded((date.replace(tzinfo=date.tzinfo or UTC) - (now or datetime.now(UTC))).total_seconds())


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), LONGEST_S)
