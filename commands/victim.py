"""A small drill to be killed: real journal, fence, watchdog, executor and restore; no load, nobody to measure.

`python -m commands.victim CONFIG.json` (keys: folder, target, speed, hold_wall_s, stop_at, quiet_wall_s: how long it
is silent when all is put back, settle_wall_s: how long its watchdog looks for late calls). It breaks what `faults_of`
says, one Change inside the other, holds, and puts back. Where it is told to (`stop_at`, names of points), it stops
itself with SIGSTOP, so that whoever torments it can act exactly there:

    record:STATE:NUMBER       the journal has that state of that Change on disk
    before:N, after:N         the N-th call that changes something is about to be sent, has been answered

It says "ready" when it could begin and begins when it is told to (a line on stdin). Its exit code is 0 when it went
as planned, 11 when it was ended early, 20 when something is outstanding.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from commands.sweep import DISMISS_WALL_S, Sweep, start_watchdog
from commands.world import World
from drill.aws import Aws
from drill.call import Call
from drill.change import Change, Fault
from drill.child import read_config
from drill.clock import SystemClock
from drill.drill import Drill
from drill.fence import Fence
from drill.interrupt import Interrupts
from drill.journal import Journal, State
from drill.reach import Reach
from drill.target import Resource, Target
from drill.timeline import Timeline
from drill.verdict import Verdict
from faults.ecs_scale import ScaleEcsService
from faults.events_rule import SetRuleState
from lab.processes import die_with_parent

HOLD_STEP_WALL_S = 0.02
COUNT = "*CountFargateService*"
"""A service that no deposit needs: taking it away starts no failover, however long a torture takes."""
RULE = "drill-torture"
"""A rule that starts nothing: the system's own one, armed again and again, would sooner or later be right to fire."""


@dataclass(frozen=True)
class Together:
    """Several faults as one Change, which no client sees: so that a death between two of its calls is possible."""

    parts: Sequence[Fault]

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """See Fault."""
        changes = [part.prepare(aws, target, run_id) for part in self.parts]
        kinds = dict.fromkeys(change.kind for change in changes)
        joined: dict[str, Any] = {
            key: tuple(item for change in changes for item in getattr(change, key))
            for key in ("resources", "inject", "restore", "faulted", "before", "effective", "healed")
        }
        return replace(changes[0], kind="+".join(kinds), effect="none", **joined)


def faults_of(target: Target) -> tuple[Fault, Fault]:
    """What a victim breaks, the outer Change first."""
    rule = SetRuleState(target.resource("torture_rule"), "DISABLED")
    services = [ScaleEcsService(target.resource(key), 0) for key in ("count", "standby_count")]
    return Together([rule]), Together(services)


def tormented(target: Target) -> Target:
    """The target, with what a victim breaks inside its blast radius."""
    regions = {"count": target.regions.primary, "standby_count": target.regions.standby}
    within = target.resource("transaction").within
    counts = {key: Resource(region=region, within=within, name=COUNT) for key, region in regions.items()}
    counts["torture_rule"] = Resource(region=target.regions.standby, name=RULE)
    allowed = target.blast_radius.resources
    radius = {region: [*allowed.get(region, []), COUNT, RULE] for region in regions.values()}
    return target.model_copy(
        update={
            "resources": {**target.resources, **counts},
            "blast_radius": target.blast_radius.model_copy(update={"resources": {**allowed, **radius}}),
        }
    )


class Points:
    """Where this process stops itself."""

    def __init__(self, stop_at: Sequence[str]) -> None:
        self._stop_at = set(stop_at)

    def reached(self, point: str) -> None:
        """Stop here, if this is where; goes on when somebody continues the process."""
        if point in self._stop_at:
            os.kill(os.getpid(), signal.SIGSTOP)


class PointedJournal(Journal):
    """A journal with a point after each record."""

    points = Points(())

    def record(self, number: int, state: State, **data: Any) -> None:
        """See Journal."""
        super().record(number, state, **data)
        self.points.reached(f"record:{state}:{number}")


class PointedAws(Aws):
    """The executor, with a point before and after each call that changes something."""

    def __init__(self, endpoint_url: str | None, points: Points) -> None:
        super().__init__(endpoint_url)
        self._points, self._made = points, 0

    def run(self, call: Call) -> dict[str, Any]:
        """See Aws."""
        if not call.mutates:
            return super().run(call)
        self._made += 1
        number = self._made
        reply = super().run(call)
        self._points.reached(f"after:{number}")
        return reply


class Victim:
    """One small drill. run: the exit code."""

    def __init__(self, config: dict[str, Any]) -> None:
        folder, target = Path(config["folder"]), Target.model_validate(config["target"])
        points, self._hold_s = Points(config["stop_at"]), float(config["hold_wall_s"])
        clock, aws = SystemClock(float(config["speed"])), PointedAws(target.connection.aws_endpoint, points)
        self._world = World(target, aws, clock, None)
        header = {"run_id": "victim", "target": target.model_dump(mode="json")}
        self._timeline = Timeline.create(folder, clock, header)
        self._journal = PointedJournal(folder / "journal.jsonl", clock, reach=Reach.of(target, clock.speed))
        self._journal.points = points
        self._watchdog = start_watchdog(self._world, self._journal, float(config["settle_wall_s"]))
        self._quiet_s = float(config["quiet_wall_s"])
        self._fence = Fence(self._journal, target.safety.lease_wall_s, self._watchdog)
        aws.admit = _pointed(self._fence, points)
        aws.heard.append(self._journal.called)
        self._interrupts = Interrupts()
        self._drill = Drill(
            target,
            aws,
            clock,
            self._timeline,
            self._journal,
            "victim",
            interrupts=self._interrupts,
            fence=self._fence,
        )

    def run(self) -> int:
        """Break, hold, put back; orderly after a signal, as a session is."""
        self._interrupts.install()
        code = 0
        try:
            if sys.stdin.readline():
                self._scenario()
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - whatever it is, the sweep comes now
            self._timeline.mark("invalid", reason=f"{type(error).__name__}: {error}")
            code = Verdict.INVALID.exit_code
        with self._interrupts.shielded():
            sweep = Sweep(self._world, self._journal, self._fence)
            sweep.run()
            self._watchdog.ending()
            self._world.clock.sleep(self._quiet_s * self._world.clock.speed)
            self._watchdog.done(sweep.limit_wall_s + DISMISS_WALL_S)
        return Verdict.DIRTY.exit_code if self._journal.outstanding() else code

    def _scenario(self) -> None:
        outer, inner = faults_of(self._world.target)
        with self._drill.applied(outer), self._drill.applied(inner):
            clock = self._world.clock
            until_s = clock.monotonic_s() + self._hold_s
            while clock.monotonic_s() < until_s:
                clock.sleep(HOLD_STEP_WALL_S * clock.speed)
                self._drill.look_around()


def _pointed(fence: Fence, points: Points) -> Any:
    """The fence, with a point just behind it: where a call has been admitted, and is not sent yet."""
    made = 0

    def admit(call: Call) -> None:
        nonlocal made
        fence.admit(call)
        made += call.mutates
        if call.mutates:
            points.reached(f"before:{made}")

    return admit


def main() -> int:
    """Run one victim. It ends with its tormentor, also when it is stopped."""
    die_with_parent(os.getppid())
    victim = Victim(read_config())
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    try:
        return victim.run()
    except KeyboardInterrupt:  # it came while restoring, and is raised after that
        return Verdict.INVALID.exit_code


if __name__ == "__main__":
    sys.exit(main())
