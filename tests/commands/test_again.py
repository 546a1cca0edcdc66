"""A drill in a lab that was too fast for this machine is drilled once more, slower; nothing else is repeated."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree

import pytest

from checks.lab_speed import LAB_SPEED
from commands.again import too_fast
from commands.drill_session import Session
from commands.gameday_outcome import counted, run_folders
from commands.running import Run
from commands.world import plan_of, resolve_target
from drill.child import REPOSITORY
from drill.timeline import History
from drill.verdict import Finding, Judgement, Verdict, conclude
from reports.overridden import instead_of
from tests.reports.records import run_folder

SLOW = Finding(LAB_SPEED, Verdict.INVALID, "this machine did not hold the lab's speed 2 times")
MISSED = Finding("recovery time, failover", Verdict.FAIL, "misses the limit")
LEFT = Finding("clean-up", Verdict.DIRTY, "not put back")
BLIND = Finding("observer", Verdict.INVALID, "nobody looked")


@dataclass
class Ended:
    """What the session knows of a run that is over."""

    judgement: Judgement | None
    refused: str | None = None
    stopped: bool = False
    folder: Path = Path("20261101T000000Z-a-bank")

    def finish(self) -> Judgement | None:
        """It has."""
        return self.judgement


def ended(*findings: Finding, **changes: Any) -> Run:
    """A run that was judged so."""
    return cast(Run, Ended(conclude(findings), **changes))


@pytest.mark.parametrize(
    ("run", "repeated"),
    [
        (ended(SLOW), True),
        (ended(SLOW, BLIND), True),
        (ended(BLIND), False),
        (ended(SLOW, MISSED), False),
        (ended(SLOW, LEFT), False),
        (ended(SLOW, refused="outside the blast radius"), False),
        (ended(SLOW, stopped=True), False),
        (cast(Run, Ended(None)), False),
    ],
    ids=["slow", "slow and blind", "blind", "slow and missed", "slow and dirty", "refused", "stopped", "not judged"],
)
def test_only_what_the_machine_was_too_slow_for_is_repeated(run: Run, repeated: bool) -> None:
    """Not a miss that stands, not what is left changed, not what a guard refused or a person stopped."""
    assert too_fast(run) is repeated


@pytest.fixture
def session(pytestconfig: pytest.Config) -> Session:
    """A session without options."""
    return Session(pytestconfig)


def test_a_repeated_drill_has_half_the_speed_and_only_the_second_counts(session: Session) -> None:
    """The session's verdict is the second's, its page names the first; the next drill is as fast as before."""
    bank = resolve_target(replace(session.options, target="core-banking"))
    assert bank.lab is not None
    first, second = ended(SLOW), ended(Finding("recovery time, failover", Verdict.PASS, "met"))
    session.runs.append(first)
    assert session.again(since=0)
    assert plan_of(bank, session.options).speed == bank.lab.speed / 2
    assert session.instead_of == first.folder.name
    session.runs.append(second)
    session.go_on()
    assert plan_of(bank, session.options).speed == bank.lab.speed
    assert session.instead_of == ""
    assert session.counted == [second]
    assert session.exit_code(0) == Verdict.PASS.exit_code
    assert session.words([second]) == [
        f"drilled again, slower: {SLOW.reason}; what was left of the first: {first.folder}"
    ]


def test_a_machine_that_is_too_slow_twice_gets_slower_labs(session: Session) -> None:
    """Two drills repeated: the third is not tried at the speed that nobody held."""
    paces = []
    for _ in range(2):
        session.runs.append(ended(SLOW))
        assert session.again(since=len(session.runs) - 1)
        session.runs.append(ended(BLIND))
        session.go_on()
        paces.append(session.options.lab_pace)
    assert paces == [1.0, 0.5]


def test_a_repetition_that_never_came_proves_nothing(session: Session) -> None:
    """Interrupted between the two: no drill of the session counts, and its exit code says so."""
    session.runs.append(ended(SLOW))
    assert session.again(since=0)
    assert session.exit_code(2) == Verdict.INVALID.exit_code


@pytest.mark.parametrize("asked", [{"lab_speed": 25.0}, {"lab_attach": Path("x")}], ids=["speed", "attached"])
def test_a_speed_that_a_person_asked_for_is_kept(session: Session, asked: dict[str, Any]) -> None:
    """And a lab that others use is not ours to start again."""
    session.options = replace(session.options, **asked)
    session.runs.append(ended(SLOW))
    assert (session.again(since=0), session.counted) == (False, session.runs)


def test_a_scenario_without_a_run_repeats_no_earlier_one(session: Session) -> None:
    """One that is not applicable leaves the list of runs as it was."""
    session.runs.append(ended(SLOW))
    assert not session.again(since=1)


TEST = """
from pathlib import Path

def test_drill(request, record_property):
    times = Path(__file__).with_suffix(".times")
    times.write_text(times.read_text() + "x" if times.exists() else "x")
    request.config.drills.runs.append(len(times.read_text()))
    request.node.user_properties.append(("measured", len(times.read_text())))
    assert len(times.read_text()) == 2

def test_other():
    assert False
"""
PLUGIN = """
import pytest
from commands.again import protocol, status

class Drills:
    def __init__(self):
        self.runs = []

    def again(self, since):
        return self.runs[since:] == [1]

    def go_on(self):
        self.runs.append("on")

def pytest_configure(config):
    config.drills = Drills()

def pytest_runtest_protocol(item, nextitem):
    protocol(item, nextitem, item.config.drills)
    return True

def pytest_report_teststatus(report):
    return status(report)
"""


def test_the_second_time_is_what_pytest_tells_of_it(tmp_path: Path) -> None:
    """One test case in JUnit, with the second's properties and without a failure; one "rerun"; a test that fails by
    itself fails as ever, once."""
    (tmp_path / "test_drills.py").write_text(TEST)
    (tmp_path / "conftest.py").write_text(PLUGIN)
    words = (
        "-q",
        "-W",
        "ignore",
        "-p",
        "no:cacheprovider",
        "-c",
        "/dev/null",
        f"--rootdir={tmp_path}",
        "--junitxml=page.xml",
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, "--html=page.html", "--self-contained-html", "test_drills.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    assert done.stdout.startswith("A.F")
    assert "1 failed, 1 passed, 1 rerun" in done.stdout
    suite = next(ElementTree.parse(tmp_path / "page.xml").iter("testsuite"))
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    drilled = next(case for case in suite.iter("testcase") if case.get("name") == "test_drill")
    assert [p.get("value") for p in drilled.iter("property")] == ["2"]
    assert "1 Reruns" in (tmp_path / "page.html").read_text()


def test_a_game_day_counts_the_second(tmp_path: Path) -> None:
    """The run that another one names is left out when it is INVALID, and no other; the report says so."""
    first = run_folder(tmp_path / "first")
    second = run_folder(tmp_path / "second")
    assert counted([first, second]) == (first, second)
    header = second / "run.json"
    header.write_text(header.read_text().replace("{", '{"instead_of": "first", ', 1))
    assert counted([first, second]) == (first, second)
    (first / "events.jsonl").write_text("torn")
    assert counted([first, second]) == (second,)
    header.write_text('{"instead_of": [], "command_line": 5}')
    assert (counted([second]), run_folders(tmp_path, "page.html")) == ((second,), ())
    said = instead_of(History({"instead_of": "first"}))
    assert said == "Drilled instead of first, in which this machine did not hold the lab's speed."
    assert instead_of(History({})) == ""
