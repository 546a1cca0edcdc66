"""A lab that is set otherwise than its target says is an override: recorded, shown, and never counted by a gate."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from commands.lab_settings import set_otherwise
from commands.running import Run, Scenario
from commands.world import TARGETS, Options, open_world
from drill.interrupt import Interrupts
from drill.target import load_target
from drill.target_tables import Lab
from lab.launch import LabInfo

AS_DECLARED = Lab(system="core-banking", speed=10.0, settings={"dynamodb.lag_s": "1"})


def info(folder: Path, speed: float = 10.0, settings: tuple[str, ...] = ("dynamodb.lag_s=1",)) -> LabInfo:
    """A lab of core-banking that nobody reaches."""
    there, url = ("127.0.0.1", 53), "http://127.0.0.1:1"
    files = (folder, folder, folder)
    return LabInfo("core-banking", speed, 0.0, 0.0, "1" * 12, url, there, {}, 80, *files, 1, settings=settings)


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


def test_a_run_in_a_lab_that_was_set_otherwise_says_so(tmp_path: Path) -> None:
    """In the header, which is sealed, beside what --set changed; the digest of the target is as before."""
    state, shipped = tmp_path / "lab.json", load_target(TARGETS / "core-banking.toml", ["objectives.rto_s=60"])
    state.write_text(json.dumps(info(tmp_path, 33.0, ("dynamodb.lag_s=9",)).to_json()))
    assert shipped.lab is not None
    speed = f"--lab-speed 33 (the target: {shipped.lab.speed:g})"
    said = ["objectives.rto_s=60", speed, "--lab-set dynamodb.lag_s=9"]
    with open_world(shipped, Options(lab_attach=state)) as world:
        assert (list(world.target.overrides), world.target.digest) == (said, shipped.digest)
        run = Run(Scenario("s", "S."), replace(world, lab=None), tmp_path / "runs", Interrupts(), watched=False)
        assert json.loads((run.folder / "run.json").read_text())["overrides"] == said
