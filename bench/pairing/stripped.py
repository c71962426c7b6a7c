"""Runs Antiphon without some steps of its chain: `python -m bench.pairing.stripped Access,Admission serve --config FILE`.

Only for seeing what a step costs that no setting switches off. A step that is not there is an error, so that a row of the table cannot measure nothing.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from antiphon import app
from antiphon.cli.main import run

if TYPE_CHECKING:
    from collections.abc import Callable

    from antiphon.calls.interceptors import Steps


def strip(names: set[str]) -> None:
    """Has the chain built without the steps of these class names."""
    whole: Callable[..., Steps] = app.in_order

    def in_order(*arguments: Any, **options: Any) -> Steps:
        return fewer(whole(*arguments, **options), names)

    app.in_order = in_order


def fewer(steps: Steps, names: set[str]) -> Steps:
    """Returns the steps without those of these class names.

    Raises:
        SystemExit: One of them is not there.
    """
    there = {type(step).__name__ for step in (*steps.of_calls, *steps.of_requests)}
    if missing := names - there:
        raise SystemExit(f"no step is called {', '.join(sorted(missing))}; there are {', '.join(sorted(there))}")
    return replace(
        steps,
        of_calls=[step for step in steps.of_calls if type(step).__name__ not in names],
        of_requests=[step for step in steps.of_requests if type(step).__name__ not in names],
    )


if __name__ == "__main__":
    strip(set(sys.argv.pop(1).split(",")))
    run()
