"""The guards and stop conditions as a person meets them: the real commands, in sessions of their own, on one lab."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from drill.clock import SystemClock
from drill.hours import DAYS
from lab.launch import launch
from tests.e2e.drilling import LIMIT_S, ROOT, Drilled, drill, start, verb, wait_for_phase

pytestmark = pytest.mark.alone

SHIPPED = (ROOT / "targets" / "core-banking.toml").read_text()
HEADLINE = ("-m", "failover and headline")


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The state file of a lab that is up; the first session puts the safety stack there, with the lock's table."""
    with launch("core-banking", 20.0) as lab:
        path = tmp_path_factory.mktemp("lab") / "lab.json"
        path.write_text(json.dumps(lab.info.to_json()))
        yield path


def changed(folder: Path, *pairs: tuple[str, str]) -> str:
    """The option that names a copy of the shipped target with some text replaced."""
    text = SHIPPED
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new, 1)
    path = folder / "changed.toml"
    path.write_text(text)
    return f"--target={path}"


def refused(drilled: Drilled, words: str) -> None:
    """Exit 12 with that sentence; no run folder, or one in which nothing was touched."""
    assert drilled.code == 12, drilled.output
    assert words in drilled.output
    assert "Traceback" not in drilled.output
    journals = drilled.runs.glob("*/journal.jsonl")
    assert not [path for path in journals if '"change"' in path.read_text()]


@pytest.mark.long
def test_production_must_be_typed(state: Path, tmp_path: Path) -> None:
    """Refused with what to type; nothing was asked of the account."""
    target = changed(tmp_path, ('kind = "lab"', 'kind = "lab"\nproduction = true'))
    words = "target core-banking is production; if you mean it, type: --production core-banking"
    refused(drill(tmp_path / "runs", *HEADLINE, target, f"--lab-attach={state}"), words)


@pytest.mark.long
def test_outside_its_hours_a_target_is_left_alone(state: Path, tmp_path: Path) -> None:
    """The window is three days from now."""
    day = DAYS[(SystemClock().wall() + timedelta(days=3)).weekday()]
    target = changed(tmp_path, ("[safety]\n", f'[safety]\nwindows = ["{day} 00:00-24:00 UTC"]\n'))
    done = drill(tmp_path / "runs", *HEADLINE, target, f"--lab-attach={state}")
    refused(done, f"outside the windows of target core-banking: {day} 00:00-24:00 UTC")
    assert not list((tmp_path / "runs").glob("*-core-banking"))


@pytest.mark.long
def test_a_step_outside_the_blast_radius_refuses_the_whole_drill(state: Path, tmp_path: Path) -> None:
    """The second step of the scenario may not touch its service, so the first does not arm its rule."""
    service = '"*SampleMultiRegionAppTransactionFargateService*", "*SampleMultiRegionAppParamTable*"'
    target = changed(tmp_path, (service, service.partition(", ")[2]))
    done = drill(tmp_path / "runs", *HEADLINE, target, f"--lab-attach={state}")
    refused(done, "is outside the blast radius of target core-banking")
    assert done.journal() == {}


@pytest.mark.long
def test_what_lacks_its_tags_refuses_the_whole_drill(state: Path, tmp_path: Path) -> None:
    """Named, with the line that tags it."""
    target = changed(tmp_path, ('required_tags = { drill = "allowed" }', 'required_tags = { tier = "test" }'))
    done = drill(tmp_path / "runs", *HEADLINE, target, f"--lab-attach={state}")
    refused(done, "it needs the tags tier=test, it has drill=allowed; if it may be changed, type:")
    assert "aws ecs tag-resource --resource-arn arn:aws:ecs:ap-northeast-1:" in done.output


@pytest.mark.long
def test_a_second_drill_is_refused_and_an_operator_stops_the_first(state: Path, tmp_path: Path) -> None:
    """The lock is taken before anything is injected; `drill stop` ends it in order, with the reason in evidence."""
    runs, attach = tmp_path / "runs", f"--lab-attach={state}"
    first = start(runs, *HEADLINE, attach, "--set=timings.baseline_s=2000")
    try:
        wait_for_phase(runs, "baseline")
        refused(drill(tmp_path / "other", *HEADLINE, attach), "core-banking is being drilled: run ")
        shown = verb("unlock", "--target=core-banking", attach)
        assert shown[0] == 12, shown[1]
        assert "machine: run " in shown[1]
        assert "account: run " in shown[1]
        assert "alive" in shown[1]
        told = verb("stop", str(runs / "latest"), "--reason=customers call")
        assert told[0] == 0, told[1]
        output, _ = first.communicate(timeout=LIMIT_S)
    finally:
        first.kill()
    ended = Drilled(first.returncode, output, runs)
    assert ended.code == 11, output
    assert len(ended.events("stopped")) == 1
    assert any("stopped: " in e["reason"] and "customers call" in e["reason"] for e in ended.events("invalid"))
    assert set(ended.journal().values()) == {"restored"}
    free = verb("unlock", "--target=core-banking", attach)
    assert free == (0, "core-banking: nobody holds the lock\n")


@pytest.mark.long
def test_whose_lock_it_is_must_be_said(tmp_path: Path) -> None:
    """A lab is known by its state file."""
    code, said = verb("unlock", "--target=core-banking")
    assert code == 4
    assert "say which one with --lab-attach" in said
