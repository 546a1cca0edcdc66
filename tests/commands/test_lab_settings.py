"""A lab that is set otherwise than its target says is an override: recorded, shown, and never counted by a gate."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from checks.judge import judge
from checks.seal import seal_digest
from commands.lab_settings import Said, asked, set_otherwise, told_meanwhile
from commands.lab_watch import note_told
from commands.main import main
from commands.running import Run, Scenario
from commands.world import TARGETS, Options, World, open_world
from drill.clock import SystemClock
from drill.errors import UsageError
from drill.interrupt import Interrupts
from drill.target import load_target
from drill.target_tables import Lab
from drill.timeline import Event, Timeline, load_history
from lab.aws.misbehave import parse_all
from lab.aws.server import AwsServer
from lab.clock import LabClock
from lab.launch import LabInfo
from reports.overridden import TOLD, overrides_of
from reports.record import record_of
from tests.checks.histories import sealed
from tests.reports.records import record, whole

AS_DECLARED = Lab(system="core-banking", speed=10.0, settings={"dynamodb.lag_s": "1"})
HAND = "(told by hand before the drill)"


def info(
    folder: Path,
    speed: float = 10.0,
    settings: tuple[str, ...] = ("dynamodb.lag_s=1",),
    url: str = "http://127.0.0.1:1",
) -> LabInfo:
    """The state of a lab of core-banking."""
    there, files = ("127.0.0.1", 53), (folder, folder, folder)
    return LabInfo("core-banking", speed, 0.0, 0.0, "1" * 12, url, there, {}, 80, *files, 1, settings=settings)


@pytest.fixture(scope="module")
def server() -> Iterator[AwsServer]:
    """The API of a lab, its control path with it."""
    aws = AwsServer("127.0.0.1", 0, LabClock.starting_now(100.0))
    aws.start()
    yield aws
    aws.stop()


def kept(server: AwsServer, folder: Path, speed: float = 33.0, settings: tuple[str, ...] = ()) -> LabInfo:
    """That lab as it was started; told nothing."""
    server.behave()
    server.describes({"system": "core-banking", "speed": speed, "settings": list(settings)})
    return info(folder, speed, settings, server.url)


def state_file(folder: Path, lab: LabInfo) -> Path:
    """What `drill lab up` writes."""
    path = folder / "lab.json"
    path.write_text(json.dumps(lab.to_json()))
    return path


@pytest.mark.parametrize(
    ("speed", "settings", "said"),
    [
        (10.0, ("dynamodb.lag_s=1",), ()),
        (10.0, ("dynamodb.lag_s=9", "dynamodb.lag_s=1"), ()),
        (20.0, ("dynamodb.lag_s=1",), ("--lab-speed 20 (the target: 10)",)),
        (10.0, ("dynamodb.lag_s=1", "dynamodb.lag_s=9"), ("--lab-set dynamodb.lag_s=9 (the target: 1)",)),
        (10.0, ("dynamodb.lag_s=1", "misbehave=a; b=c"), ("--lab-set misbehave=a; b=c",)),
        (10.0, (), ("--lab-set dynamodb.lag_s left out (the target: 1)",)),
    ],
)
def test_what_differs_from_the_target_is_an_override(
    tmp_path: Path, speed: float, settings: tuple[str, ...], said: tuple[str, ...]
) -> None:
    """Speed and settings, by whoever started the lab; the last of a name counts; as declared is no override."""
    told = LabInfo.from_json(json.loads(json.dumps(info(tmp_path, speed, settings).to_json())))
    assert set_otherwise(AS_DECLARED, told) == said


def test_a_run_in_a_lab_that_was_set_otherwise_says_so(tmp_path: Path, server: AwsServer) -> None:
    """In the header, which is sealed, beside what --set changed; the digest of the target is as before."""
    state, shipped = tmp_path / "lab.json", load_target(TARGETS / "core-banking.toml", ["objectives.rto_s=60"])
    state.write_text(json.dumps(kept(server, tmp_path, 33.0, ("dynamodb.lag_s=9",)).to_json()))
    assert shipped.lab is not None
    speed = f"--lab-speed 33 (the target: {shipped.lab.speed:g})"
    said = ["objectives.rto_s=60", speed, "--lab-set dynamodb.lag_s=9"]
    with open_world(shipped, Options(lab_attach=state)) as world:
        assert (list(world.target.overrides), world.target.digest) == (said, shipped.digest)
        run = Run(Scenario("s", "S."), replace(world, lab=None), tmp_path / "runs", Interrupts(), watched=False)
        assert json.loads((run.folder / "run.json").read_text())["overrides"] == said


@pytest.mark.parametrize(
    ("started", "typed", "said"),
    [
        ("", [], []),
        ("stale events delay_s=20", [], []),
        ("", ["hang ecs"], [f"--lab-set misbehave=hang ecs:*@* {HAND}"]),
        ("hang ecs", ["hang ecs"], [f"--lab-set misbehave=hang ecs:*@* {HAND}"]),
        ("hang ecs", ["--clear"], [f"--lab-set misbehave=hang ecs:*@* left out {HAND}"]),
        ("", ["hang ecs", "--clear"], []),
    ],
)
def test_what_a_kept_lab_was_told_before_the_drill_is_an_override(
    tmp_path: Path, server: AwsServer, started: str, typed: list[str], said: list[str]
) -> None:
    """The lab is asked, whatever its state file says; what was undone in time is none."""
    declared = Lab(system="core-banking", speed=33.0, settings={"misbehave": started} if started else {})
    lab = kept(server, tmp_path, settings=tuple(f"{k}={v}" for k, v in declared.settings.items()))
    server.misbehave(*parse_all(started))
    state = state_file(tmp_path, lab)
    for words in typed:
        assert main(["lab", "misbehave", "--state", str(state), words]) == 0
    shipped = load_target(TARGETS / "core-banking.toml").model_copy(update={"lab": declared})
    with open_world(shipped, Options(lab_attach=state)) as world:
        assert list(world.target.overrides) == said


def test_what_a_lab_is_told_while_the_drill_runs_is_an_override_too(
    tmp_path: Path, server: AwsServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also what was undone before the end; what was told and undone before the begin is not."""
    state = state_file(tmp_path, kept(server, tmp_path))
    shipped = load_target(TARGETS / "core-banking.toml")
    assert main(["lab", "misbehave", "--state", str(state), "hang rds"]) == 0
    assert main(["lab", "misbehave", "--state", str(state), "--clear"]) == 0
    with open_world(shipped, Options(lab_attach=state)) as world:
        assert [o for o in world.target.overrides if "by hand" in o] == []
        assert noted(tmp_path / "quiet", world) == ()
        assert main(["lab", "misbehave", "--state", str(state), "stale ecs delay_s=9"]) == 0
        assert main(["lab", "misbehave", "--state", str(state), "--clear"]) == 0
        assert noted(tmp_path / "told", world) == (
            "--lab-set misbehave=stale ecs:*@* delay_s=9 (told by hand while the drill ran)",
            "--lab-set misbehave=behave again (told by hand while the drill ran)",
        )
    capsys.readouterr()


def noted(folder: Path, world: World) -> tuple[str, ...]:
    """The overrides of a run of that world that ends now."""
    timeline = Timeline.create(folder, SystemClock(), {})
    note_told(timeline, world)
    timeline.close()
    return overrides_of(load_history(folder))


def test_what_was_told_meanwhile_is_in_the_record_that_the_gate_reads() -> None:
    """Beside what the header says; without it the same run has none."""
    words = "--lab-set misbehave=hang ecs:*@* (told by hand while the drill ran)"
    bare = whole()
    marks = (*bare.events[:-1], Event(bare.events[-1].at_s, TOLD, {"words": words}), bare.events[-1])
    told = sealed(dataclasses.replace(bare, events=marks))
    assert record_of(told, judge(told), seal_digest(told)).target.overrides == [words]
    assert record().target.overrides == []


def test_more_than_is_kept_is_counted() -> None:
    """A lab that was told a thousand things before tells how many came after."""
    before = Said("s", 1.0, (), told=("hang",) * 1000, times_told=1000)
    assert told_meanwhile(before, before) == ()
    (words,) = told_meanwhile(before, replace(before, times_told=1003))
    assert "3 times more" in words


def test_a_lab_that_is_gone_or_another_is_refused(tmp_path: Path, server: AwsServer) -> None:
    """A state file that was edited, or that a dead lab left behind, is no lab's word."""
    lab = kept(server, tmp_path)
    with pytest.raises(UsageError, match="is another than its state file says"):
        asked(replace(lab, settings=("dynamodb.lag_s=0",)))
    with pytest.raises(UsageError, match="is another than its state file says"):
        asked(replace(lab, speed=1.0))
    with pytest.raises(UsageError, match="no lab answers"):
        asked(replace(lab, aws_endpoint="http://127.0.0.1:1"))
    server.describes({})
    with pytest.raises(UsageError, match="of another version"):
        asked(lab)
