"""A whole drill on a game day: what passes by itself passes there, seen on the board while it runs."""

from __future__ import annotations

import pytest

from tests.checks.worlds import eventually
from tests.commands.days import HOLD, Place, place, running

pytestmark = [pytest.mark.alone, pytest.mark.long]

__all__ = ["place"]  # a fixture
BANK = """
[[step]]
kind = "drill"
id = "service-loss"
target = "core-banking"
scenarios = ["scenarios/test_core_banking.py::test_service_loss_and_return"]
"""
DRILL_S = 300.0


def test_a_drill_of_the_lab_passes_on_a_game_day(place: Place) -> None:
    """0, with the hold that a person released, the measured intervals in the report, and a running clock before."""
    with running(place, place.plan(HOLD, BANK)) as day:
        eventually(lambda: day.said("HOLD ready"), DRILL_S)
        day.type("go deputy, <name>")
        eventually(lambda: day.said("in_force"), DRILL_S)
        day.type("the canary is red")
        day.process.wait(DRILL_S)
    assert day.process.returncode == 0, day.out.read_text()
    (run,) = place.run_folders()
    assert (run / "report.html").is_file()
    for words in ("| service-loss | 1 | recovery time, failover |", "the canary is red", "| deputy | &lt;name&gt; |"):
        assert words in place.report, words
    assert "## Deviations from the plan\n\nnone" in place.report
