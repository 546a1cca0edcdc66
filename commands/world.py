"""From options to a target that can be reached: the lab is started (or attached to), the connection filled in."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from commands.lab_settings import Said, asked, set_otherwise
from drill.aws import Aws
from drill.child import REPOSITORY
from drill.clock import Clock, SystemClock
from drill.errors import UsageError
from drill.ip_ranges import GLOBAL
from drill.models import regions
from drill.target import Connection, Target, load_target
from lab.launch import Lab, LabError, LabInfo, launch

TARGETS = REPOSITORY / "targets"
RUNS = REPOSITORY / "reports" / "runs"
CALIBRATION = REPOSITORY / "reports" / "calibration.json"
"""What `drill calibrate` found on this machine (drill/calibration.py)."""
MAX_SPEED = 1000.0
RELEASE = re.compile(r"[A-Za-z0-9._:/@+-]{0,200}")


@dataclass(frozen=True)
class Options:
    """What a person asked for.

    target: a name in targets/ or a path to a TOML file; settings: `--set` strings; lab_speed: lab seconds per wall
    second, None for the target's, of which lab_pace is then taken (commands/again.py); lab_port: first of the lab's
    fixed ports, None for free ones; lab_settings: `--lab-set` strings; lab_attach: state file of a lab that is
    running already; release: what is drilled, by its build or commit, "" when nobody said; explicit: whether a person
    named the target; production: the name typed with `--production`.
    """

    target: str = "core-banking"
    settings: tuple[str, ...] = ()
    lab_speed: float | None = None
    lab_pace: float = 1.0
    lab_port: int | None = None
    lab_settings: tuple[str, ...] = ()
    lab_attach: Path | None = None
    runs: Path = field(default=RUNS)
    release: str = ""
    explicit: bool = True
    production: str | None = None


@dataclass(frozen=True)
class World:
    """A target that can be reached. lab: None on AWS; owned: the lab when this process has started it.

    said: what the lab said of itself when this world was opened.
    """

    target: Target
    aws: Aws
    clock: Clock
    lab: LabInfo | None
    owned: Lab | None = None
    said: Said | None = None


def release_of(option: str | None, environment: str | None) -> str:
    """The release that a person, or else the environment, named. UsageError for one that no line could show."""
    release = environment or "" if option is None else option
    if not RELEASE.fullmatch(release) or (option is not None and not option):
        raise UsageError(
            f"--release {release[:80]!r}: a build or commit id has 1 to 200 letters, digits or ._:/@+-; "
            "example: --release 4f2c1ab"
        )
    return release


def resolve_target(options: Options) -> Target:
    """Read and check the target that the options name. UsageError before anything is started."""
    path = Path(options.target) if options.target.endswith(".toml") else TARGETS / f"{options.target}.toml"
    target = load_target(path, options.settings)
    _check_regions(target)
    _check_lab_options(target, options)
    return target


class LabPlan(NamedTuple):
    """Which lab a drill needs; see lab.launch.Opening. Two drills of one plan could use the same."""

    system: str
    speed: float
    port_base: int | None
    settings: tuple[str, ...]


def plan_of(target: Target, options: Options) -> LabPlan:
    """The lab that this target needs with these options."""
    assert target.lab is not None
    settings = tuple(f"{k}={v}" for k, v in target.lab.settings.items()) + options.lab_settings
    speed = options.lab_speed or target.lab.speed * options.lab_pace
    return LabPlan(target.lab.system, speed, options.lab_port, settings)


def started(plan: LabPlan) -> Lab:
    """A lab that serves. LabError when it does not come up."""
    return launch(*plan)


@contextlib.contextmanager
def open_world(target: Target, options: Options, start: Callable[[LabPlan], Lab] = started) -> Iterator[World]:
    """Start what must be started and give the world; stop it at the end. UsageError when the lab cannot start."""
    if target.lab is None:
        yield World(target, Aws.of(target), SystemClock(), None)
        return
    with _lab(target, options, start) as (info, owned):
        said = asked(info)
        yield World(_bound(target, info, said), Aws(info.aws_endpoint), SystemClock(info.speed), info, owned, said)


@contextlib.contextmanager
def _lab(target: Target, options: Options, start: Callable[[LabPlan], Lab]) -> Iterator[tuple[LabInfo, Lab | None]]:
    if options.lab_attach is not None:
        yield _attached(options.lab_attach, target), None
        return
    try:
        lab = start(plan_of(target, options))
    except LabError as error:
        raise UsageError(str(error)) from error
    with lab:
        yield lab.info, lab


def _attached(path: Path, target: Target) -> LabInfo:
    assert target.lab is not None
    info = _lab_info(path)
    if (info.system, info.account) != (target.lab.system, target.account):
        raise UsageError(
            f"--lab-attach {path}: that lab plays {info.system} in account {info.account}, target {target.name} is "
            f"{target.lab.system} in {target.account}; attach to another lab, or name another --target"
        )
    return info


def _lab_info(path: Path) -> LabInfo:
    try:
        return LabInfo.from_json(json.loads(path.read_text()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"--lab-attach {path}: no lab to attach to ({error}); start one with `drill lab up core-banking`, "
            "which prints the path"
        ) from error


def _bound(target: Target, info: LabInfo, said: Said) -> Target:
    connection = Connection(
        aws_endpoint=info.aws_endpoint,
        authoritative=(_address(info.dns_authoritative),),
        resolvers={region: _address(server) for region, server in info.resolvers.items()},
        http_port=info.http_port,
        scheme=info.scheme or None,
    )
    otherwise = set_otherwise(target.lab, info, said.rules) if target.lab else ()
    return target.model_copy(update={"connection": connection, "overrides": (*target.overrides, *otherwise)})


def _address(server: tuple[str, int]) -> str:
    return f"{server[0]}:{server[1]}"


def _check_regions(target: Target) -> None:
    known = regions("aws")
    used = {target.regions.primary, target.regions.standby, target.regions.observer}
    used |= {resource.region for resource in target.resources.values()} | target.regions.cidrs.keys()
    unknown = sorted(used - known - {GLOBAL})
    if unknown:
        raise UsageError(
            f"target {target.name}: unknown Region {', '.join(unknown)}; known: {', '.join(sorted(known))}"
        )


def _check_lab_options(target: Target, options: Options) -> None:
    given = {
        "--lab-speed": options.lab_speed,
        "--lab-port": options.lab_port,
        "--lab-set": options.lab_settings or None,
        "--lab-attach": options.lab_attach,
    }
    named = [name for name, value in given.items() if value is not None]
    if target.lab is None and named:
        raise UsageError(f"{', '.join(named)}: target {target.name} is not a lab; leave it out")
    if options.lab_attach and len(named) > 1:
        raise UsageError(
            f"--lab-attach takes a lab as it runs: leave out {', '.join(n for n in named if n != '--lab-attach')}"
        )
    if options.lab_speed is not None and not 0 < options.lab_speed <= MAX_SPEED:
        raise UsageError(f"--lab-speed {options.lab_speed:g}: must be above 0 and at most {MAX_SPEED:g}; example: 10")
    if options.lab_port is not None and not 1024 <= options.lab_port <= 65000:
        raise UsageError(f"--lab-port {options.lab_port}: must lie in 1024..65000; example: --lab-port 5050")
