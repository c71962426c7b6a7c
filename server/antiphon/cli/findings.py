"""What the doctor can find: one fact about this machine or the server, and how to mend it."""

from __future__ import annotations

import enum
from dataclasses import asdict, dataclass


class Verdict(enum.Enum):
    """How bad it is."""

    WORKS = "works"
    NOTE = "note"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact.

    Attributes:
        subject: What was looked at.
        verdict: How it is; BROKEN only where something that is needed does not work.
        told: What was found.
        mend: What to do about it; empty where there is nothing to do.
        source: Who says so, where it is not the doctor itself.
    """

    subject: str
    verdict: Verdict
    told: str
    mend: str = ""
    source: str = ""

    def to_dict(self) -> dict[str, str]:
        """The same for JSON."""
        return asdict(self) | {"verdict": self.verdict.value}
