"""`make rehearse`, or `python -m tests.rehearsals [short|long]`: play the days, write docs/rehearsals.md.

About two minutes for the short day and six for the long one. Exit code 1: an alert did not fire, or did not end.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from pathlib import Path

from tests.rehearsals import long_day, short_day
from tests.rehearsals.page import PAGE, measured, page, shown
from tests.rehearsals.rehearsal import Rehearsed, stage
from tests.rehearsals.table import REHEARSALS

DAYS = {"short": short_day, "long": long_day}


def rehearse(day: str) -> dict[str, Rehearsed]:
    """Play one day. Raises AssertionError with what did not happen."""
    module = DAYS[day]
    with (
        tempfile.TemporaryDirectory(prefix="ringonce-rehearsal-") as directory,
        stage(Path(directory), module.SETTINGS, module.TYPES) as made,
    ):
        module.play(made)
    expected = {alert for alert, rehearsal in REHEARSALS.items() if rehearsal.day == day}
    missing = expected - set(made.rehearsed)
    assert not missing, f"the {day} day has not rehearsed {missing}"
    return {alert: made.rehearsed[alert] for alert in expected}


def main() -> None:
    """Play what the arguments name, or all."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the broker freezes on purpose
    written = PAGE.read_text(encoding="utf-8")
    found = measured(written)
    for day in sys.argv[1:] or DAYS:
        began = time.monotonic()
        seconds = shown(rehearse(day))
        for alert, (fired, over) in sorted(seconds.items()):
            print(f"{alert}: fires after {fired}, over after {over}")
        print(f"the {day} day: {len(seconds)} alerts in {time.monotonic() - began:.0f} s", flush=True)
        found |= seconds
        PAGE.write_text(page(written, found), encoding="utf-8")


if __name__ == "__main__":
    main()
