"""A game-day plan says all that is wrong with it at once; its record survives a death, and tells its state."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from drill.clock import FakeClock
from drill.errors import Refused, UsageError
from drill.gameday import load_plan, read_plan, require_plan
from drill.gameday_log import LOG_FILE, GameDayLog, Record, read_log
from drill.gameday_state import State, deviations, state_of

PLAN = """
format = 1
name = "spring"
[hard_stop]
after_s = 3600
[[role]]
name = "lead"
[[step]]
kind = "hold"
id = "ready"
message = "Ready?"
release = ["lead"]
[[step]]
kind = "drill"
id = "loss"
target = "core-banking"
scenarios = ["scenarios/a.py::test_a", "scenarios/a.py::test_b"]
set = ["objectives.rto_s=300"]
"""
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def problems(text: str) -> str:
    """What is wrong with a plan, all of it."""
    with pytest.raises(UsageError) as error:
        require_plan("plan.toml", read_plan(text))
    return str(error.value)


def test_a_plan_gives_its_drills_and_holds_in_order() -> None:
    """Several scenarios of a step are drills of their own, each with a number."""
    plan = require_plan("plan.toml", read_plan(PLAN))
    assert [(d.id, d.node, d.step.settings) for d in plan.drills] == [
        ("loss.1", "scenarios/a.py::test_a", ("objectives.rto_s=300",)),
        ("loss.2", "scenarios/a.py::test_b", ("objectives.rto_s=300",)),
    ]
    assert [h.id for h in plan.holds] == ["ready"]


def test_every_problem_of_a_plan_is_told_at_once() -> None:
    """Unknown keys, wrong values, a missing hard stop, unknown roles and doubled names, in one error."""
    told = problems("""
        format = 2
        name = "Spring Day"
        colour = "red"
        [hard_stop]
        [[role]]
        name = "lead"
        [[role]]
        name = "lead"
        [[step]]
        kind = "hold"
        id = "ready"
        message = ""
        release = ["boss"]
        [[step]]
        kind = "party"
        id = "ready"
        """)
    for words in ("format", "name: ", "colour", "hard_stop: a game day needs a hard stop", "step.0.hold.message"):
        assert words in told, words
    for words in ("'party'", "'lead' stands there twice", "'ready' stands there twice", "the role 'boss'", "no step"):
        assert words in told, words
    assert told.startswith("plan.toml: 10 problem(s)"), told


def test_what_is_no_toml_or_no_file_is_told(tmp_path: Path) -> None:
    """In a sentence, with the name of the file."""
    assert "not TOML" in problems("= nothing")
    with pytest.raises(UsageError, match=r"nowhere\.toml: cannot be read as a game day"):
        load_plan(tmp_path / "nowhere.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"bytes\.toml: cannot be read as a game day"):
        load_plan(tmp_path / "bytes.toml")


@pytest.mark.parametrize(
    ("table", "after_s"),
    [
        ("after_s = 3600", 3600),
        ("at = 2026-01-01T09:10:00+09:00", 600),
        ("after_s = 3600\nat = 2026-01-01T09:10:00+09:00", 600),
    ],
)
def test_the_hard_stop_is_the_earlier_of_date_and_duration(table: str, after_s: float) -> None:
    """Counted from the begin; a date has its own offset."""
    plan = require_plan("p", read_plan(PLAN.replace("after_s = 3600", table)))
    assert plan.hard_stop.instant(BEGAN) == BEGAN + timedelta(seconds=after_s)


def test_a_hard_stop_without_an_offset_is_refused() -> None:
    """Nobody knows which midnight is meant."""
    assert "hard_stop.at" in problems(PLAN.replace("after_s = 3600", "at = 2026-01-01T09:10:00"))


def test_a_record_that_was_torn_by_a_death_is_cut_off_and_the_others_stay(tmp_path: Path) -> None:
    """What was written before and after it is read."""
    first = GameDayLog(tmp_path, FakeClock())
    first.add("begun", name="spring")
    first.close()
    with (tmp_path / LOG_FILE).open("a") as file:
        file.write('{"at": "2026-01-01T00:')
    assert [r.event for r in read_log(tmp_path)] == ["begun"]
    again = GameDayLog(tmp_path, FakeClock())
    again.add("resumed")
    again.close()
    assert [r.event for r in read_log(tmp_path)] == ["begun", "resumed"]


def test_a_game_day_is_carried_on_by_one_process_only(tmp_path: Path) -> None:
    """The second is refused, until the first has let go."""
    log = GameDayLog(tmp_path, FakeClock())
    with pytest.raises(Refused, match="runs in another process"):
        GameDayLog(tmp_path, FakeClock())
    log.close()
    GameDayLog(tmp_path, FakeClock()).close()


@pytest.mark.parametrize("line", ["nonsense", "[]", '{"at": "2026-01-01T00:00:00", "event": "begun", "data": {}}'])
def test_a_record_that_is_none_is_named(tmp_path: Path, line: str) -> None:
    """File and line; never passed over."""
    (tmp_path / LOG_FILE).write_text(f"{line}\n")
    with pytest.raises(ValueError, match=r"gameday\.jsonl, line 1"):
        read_log(tmp_path)


def test_no_secret_gets_into_the_record(tmp_path: Path) -> None:
    """What a person types is redacted as all evidence is."""
    log = GameDayLog(tmp_path, FakeClock())
    log.add("observation", text="password=hunter2hunter2")
    log.close()
    assert "hunter2" not in (tmp_path / LOG_FILE).read_text()


def story(*told: tuple[str, dict[str, Any]]) -> State:
    """The state after these records, a minute apart."""
    plan = require_plan("p", read_plan(PLAN))
    return state_of(plan, [Record(BEGAN + timedelta(minutes=n), event, data) for n, (event, data) in enumerate(told)])


def drill(name: str, attempt: int = 1) -> tuple[str, dict[str, Any]]:
    """A drill is started."""
    return "drill", {"drill": name, "attempt": attempt, "pid": 1, "html": f"/x/{name}-{attempt}.html"}


def ended(name: str, verdict: str, code: int, attempt: int = 1, finished: bool = True) -> tuple[str, dict[str, Any]]:
    """It has ended."""
    said = {"verdict": verdict, "exit_code": code, "reason": "", "finished": finished, "runs": []}
    return "ended", {"drill": name, "attempt": attempt, "stopped": "" if finished else "by SIGINT", **said}


BEGUN = ("begun", {"name": "spring"})
HELD = ("hold", {"step": "ready"})
RELEASED = ("released", {"step": "ready", "role": "lead", "who": "", "via": "terminal"})


def test_what_is_left_is_what_was_neither_released_nor_finished() -> None:
    """A finished drill is never started again, whatever it showed; one that was stopped is."""
    assert [s.id for s in story(BEGUN, HELD).ahead()] == ["ready", "loss.1", "loss.2"]
    after = (BEGUN, HELD, RELEASED, drill("loss.1"), ended("loss.1", "INVALID", 11))
    assert [s.id for s in story(*after).ahead()] == ["loss.2"]
    stopped = (*after, drill("loss.2"), ended("loss.2", "INVALID", 11, finished=False))
    assert [s.id for s in story(*stopped).ahead()] == ["loss.2"]
    done = (*stopped, drill("loss.2", 2), ended("loss.2", "PASS", 0, 2))
    assert story(*done).ahead() == ()


def test_a_drill_whose_end_nobody_noted_is_running_or_was_killed() -> None:
    """It is not done, and it is told as a deviation."""
    state = story(BEGUN, HELD, RELEASED, drill("loss.1"))
    assert state.running is not None
    assert state.running.drill == "loss.1"
    assert "loss.1: nobody has noted how attempt 1 ended" in deviations(state)


def test_deviations_are_what_was_stopped_skipped_repeated_and_interrupted() -> None:
    """A day that went to plan has none."""
    whole = (BEGUN, HELD, RELEASED, drill("loss.1"), ended("loss.1", "PASS", 0), drill("loss.2"))
    assert deviations(story(*whole, ended("loss.2", "FAIL", 1), ("closed", {"exit_code": 1}))) == ()
    told = deviations(
        story(
            BEGUN,
            HELD,
            RELEASED,
            drill("loss.1"),
            ended("loss.1", "INVALID", 11, finished=False),
            ("resumed", {}),
            drill("loss.1", 2),
            ended("loss.1", "PASS", 0, 2),
            ("stopping", {"reason": "the hard stop has come"}),
            ("closed", {"exit_code": 11}),
        )
    )
    assert told == (
        "interrupted, and resumed at 00:05:00Z",
        "stopped at 00:08:00Z: the hard stop has come",
        "loss.1: attempt 1 was stopped: by SIGINT",
        "loss.1: started again at 00:06:00Z, attempt 2",
        "loss.2: never started",
    )


def test_a_record_that_does_not_fit_the_plan_is_named() -> None:
    """Of another plan, or damaged."""
    with pytest.raises(ValueError, match="record 'hold'"):
        story(BEGUN, ("hold", {"step": "unknown"}))
    with pytest.raises(ValueError, match="record 'ended'"):
        story(BEGUN, ended("loss.1", "PASS", 0))
