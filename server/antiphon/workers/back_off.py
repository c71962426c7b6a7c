"""When a process that died is started again."""

from __future__ import annotations

# A process that served this long did not die of its start.
_SETTLED_S = 2.0
_FREE_DEATHS = 2
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 30.0


class BackOff:
    """Waits before a start only after several deaths right after a start."""

    def __init__(self) -> None:
        self._early_deaths = 0

    def wait_after_death_s(self, served_s: float) -> float:
        """Notes a death; returns how long to wait before the next start.

        Args:
            served_s: How long the process served; 0 for one that never did.
        """
        if served_s >= _SETTLED_S:
            self._early_deaths = 0
            return 0.0
        self._early_deaths += 1
        beyond = self._early_deaths - _FREE_DEATHS
        return 0.0 if beyond <= 0 else min(_FIRST_WAIT_S * 2.0 ** (beyond - 1), _LONGEST_WAIT_S)
