"""The report says what kind of load there was, and what each cohort of users met."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from drill.timeline import History, Outcome, Request
from drill.verdict import Judgement, Verdict
from reports.demand import rows, said
from reports.run import Run

OK, FAIL = Outcome.OK, Outcome.FAIL


def run(*requests: Request, **load: Any) -> Run:
    """A run with that load."""
    header = {"speed": 10.0, "target": {"load": load}}
    return Run(Path("x"), History(header, requests=requests), Judgement(Verdict.PASS, ()))


@pytest.mark.parametrize(
    ("load", "words"),
    [
        ({"users": 10}, "Closed loop: 10 users"),
        ({"users": 10, "kind": "closed"}, "Closed loop: 10 users"),
        ({"users": 99, "kind": "open", "arrival_rate_per_s": 20.0, "arrivals": "poisson"}, "20 tasks begin per wall"),
    ],
)
def test_the_kind_of_load_is_said(load: dict[str, Any], words: str) -> None:
    """A header of before open loads is a closed one; none at all says nothing."""
    assert words in said(run(**load))
    assert said(run()) == ""


def test_each_cohort_has_its_own_failures_and_latency_from_when_it_was_due() -> None:
    """Sent 0.4 s late, done 0.1 s after: 500 ms. What was unserved has no latency, and counts as failed."""
    kept = Request(1.4, 1.5, "deposit", OK, cohort="kept", planned_s=1.0)
    fresh = Request(2.0, 2.2, "deposit", FAIL, cohort="fresh")
    nobody = Request(3.0, 3.0, "deposit", FAIL, detail="unserved", planned_s=3.0)
    assert rows(run(kept, fresh, nobody)) == [
        ["not recorded", "1", "1 (100.0%)", "1", "-", "-", "-"],
        ["new for each request", "1", "1 (100.0%)", "0", "200.0 ms", "200.0 ms", "200.0 ms"],
        ["kept", "1", "0 (0.0%)", "0", "500.0 ms", "500.0 ms", "500.0 ms"],
    ]
