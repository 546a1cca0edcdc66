"""The split of a recovery names the step that took longest and the one in which the limit ran out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drill.verdict import Interval
from reports.run import Run
from reports.split import later, said, split, steps_of
from tests.reports.runs import STEPS, judgement, run


def of(rto_s: float = 600.0, steps: tuple[tuple[str, Interval | None, str], ...] = STEPS) -> Run:
    """The hand-written run with a split."""
    return run(judgement=replace(judgement(rto_s=rto_s), phases=steps))


def words(found: Run) -> str:
    """What is said of its failover."""
    window = found.windows[0]
    return said(found, window, steps_of(found, window))


def test_steps_stand_in_the_order_in_which_they_happened() -> None:
    """Each step counts from the one before it, on the harness's clock alone."""
    found = of()
    steps = steps_of(found, found.windows[0])
    assert [(s.since, s.name) for s in steps] == [
        ("onset", "detected"),
        ("detected", "decided"),
        ("decided", "traffic switched"),
        ("traffic switched", "data promoted"),
        ("data promoted", "clients recovered"),
    ]
    assert [(s.took.low_s, s.took.high_s) for s in steps] == [(70, 75), (23, 33), (45, 53), (49, 58), (32, 43)]


@pytest.mark.parametrize(
    ("rto_s", "told"),
    [
        (600.0, "Longest: onset to detected, [70.0, 75.0 lab s]."),
        (120.0, "The limit of 120 lab s ran out before this was done: traffic switched."),
        (240.0, "The limit of 240 lab s may have run out before this was done: clients recovered."),
    ],
)
def test_miss_names_its_owner(rto_s: float, told: str) -> None:
    """The limit ran out during a step with a name; a limit that was met did not."""
    assert words(of(rto_s)).endswith(told)


def test_recovery_that_nobody_saw_names_the_last_step() -> None:
    """When the last step that was seen came in time, what followed it did not."""
    assert words(of(60.0, (("failover: detected", Interval(40.0, 45.0), "harness clock"),))).endswith(
        "The limit of 60 lab s ran out after the last step that was seen: detected."
    )


def test_step_before_the_onset_is_not_its_cost() -> None:
    """What was over when users lost the service took none of their time."""
    early = (("failover: decided", Interval(-9.0, -2.0), "harness clock"), *STEPS)
    found = of(steps=early)
    assert steps_of(found, found.windows[0])[0].name == "detected"


def test_window_without_steps_has_no_split() -> None:
    """Nothing is drawn where no step was seen."""
    assert split(of(steps=())) == ""
    assert "failback" not in split(of())


def test_what_came_after_the_recovery_took_none_of_its_time() -> None:
    """A store that nobody waited for is told below the steps, and is never the longest of them."""
    found = of(steps=(*STEPS, ("failover: data promoted, catalog", Interval(400.0, 900.0), "harness clock")))
    window = found.windows[0]
    assert steps_of(found, window) == steps_of(of(), window)
    assert later(found, window) == (("data promoted, catalog", Interval(400.0, 900.0)),)
    assert "recovered: data promoted, catalog, [400.0, 900.0 lab s] from the onset." in split(found)
    assert "Seen only" not in split(of())
