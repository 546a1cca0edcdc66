"""Two drills in one session: a lab each, the second's started while the first is reported, and nothing left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.drilling import drill

pytestmark = [pytest.mark.alone, pytest.mark.long]

TWO = ("-m", "failover", "-k", "second_alarm_after_failover or machine_aborted", "--target", "core-banking")
DOWN = "--lab-set=ecs.transaction_desired_count=0"
"""Both drills end at their first guards: INVALID, and soon."""


@pytest.mark.parametrize(("more", "runs"), [((), 2), (("-x",), 1)], ids=["both", "-x: the second never begins"])
def test_each_drill_has_a_lab_of_its_own_and_none_is_left(tmp_path: Path, more: tuple[str, ...], runs: int) -> None:
    """Also not the one that was started ahead for a drill that never came."""
    drilled = drill(tmp_path, *TWO, DOWN, *more)
    assert drilled.code == 11, drilled.output
    headers = [json.loads(path.read_text()) for path in tmp_path.glob("*/run.json") if not path.parent.is_symlink()]
    endpoints = {header["target"]["connection"]["aws_endpoint"] for header in headers}
    assert (len(headers), len(endpoints)) == (runs, runs), drilled.output
