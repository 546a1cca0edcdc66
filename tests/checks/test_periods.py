"""The phase of an alarm's period by AWS's own clock."""

from __future__ import annotations

from pathlib import Path

import pytest

from checks.periods import seconds_until_phase
from tests.checks.cloud import cloud


def test_it_is_the_time_until_that_second_of_the_period(tmp_path: Path) -> None:
    """Between now and one period, and on the lab's clock that second of a minute."""
    with cloud(tmp_path) as made:
        clock = made.server.clock
        before_s = clock.now_s()
        wait_s = seconds_until_phase(made.aws, made.target, "standby_alarm", 15.0)
        after_s = clock.now_s()
    assert 0 <= wait_s < 60
    # AWS's date has whole seconds, and the answer is as old as the call took.
    assert (before_s - 1 + wait_s) % 60 == pytest.approx(15.0, abs=after_s - before_s + 2)
