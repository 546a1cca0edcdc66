"""The system's own machines that gave up, from their harvested histories."""

from __future__ import annotations

from checks.automation import SOURCE, gave_up
from tests.checks.histories import OSAKA, Story


def told(*stamps: tuple[str, str]) -> list[str]:
    """What is said of those stamps, (machine, detail) each."""
    story = Story()
    for number, (name, detail) in enumerate(stamps):
        at = f"2026-01-01T00:00:{number:02}+00:00"
        story.mark(500, "signal", source=SOURCE, region=OSAKA, name=name, at=at, detail=detail)
    return list(gave_up(story.history()))


def test_a_machine_that_failed_is_named_with_its_step_and_reason() -> None:
    """One that succeeded is not, though their events interleave."""
    (said,) = told(
        ("Failover", "ExecutionStarted"),
        ("Failover", "PassStateEntered ParseInput"),
        ("Initiator", "TaskStateEntered CheckAlarms"),
        ("Failover", "TaskStateEntered SwitchOver"),
        ("Initiator", "ExecutionSucceeded"),
        ("Failover", "ExecutionFailed InvalidDBClusterStateFault: it is the writer"),
    )
    assert said == (
        f"Failover in {OSAKA}: ExecutionFailed at 2026-01-01T00:00:05+00:00 at its step SwitchOver "
        "(InvalidDBClusterStateFault: it is the writer)"
    )


def test_a_history_without_machines_says_nothing() -> None:
    """Nor does a source that could not be read."""
    story = Story().mark(500, "signal", source=SOURCE, region="", name="m", at=None, detail="AccessDenied")
    assert list(gave_up(story.history())) == []
