"""The guards of one drill, wired: what is asked before it begins, what watches while it runs, what is given back."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from checks.admission import before_anything, named_at_all, named_for_production
from commands.world import Options, World
from drill.aws import AwsFailed
from drill.drill import Drill
from drill.errors import Refused
from drill.lock import ExclusiveLock
from drill.planning import PlanningDrill
from drill.read_only import OnlyReads, ReadOnlyAws
from drill.redact import keep_secret
from drill.rehearsal import Rehearsal, rehearse
from drill.session import failure
from drill.stop import Condition, StopConditions, in_aws, in_run
from drill.tags import require_tags
from drill.target import Target
from drill.vigil import Vigil

SECRET_NAME = re.compile(r"SECRET|TOKEN|PASSWORD|PASSWD|API_?KEY|PRIVATE_?KEY")


def hide_environment() -> None:
    """What the environment calls secret is never shown nor kept by this process."""
    keep_secret(*(value for name, value in os.environ.items() if SECRET_NAME.search(name)))


def require_named(target: Target, options: Options) -> None:
    """Before any world is opened: the target was meant. Refused otherwise."""
    named_at_all(target, options.explicit)
    named_for_production(target, options.production)


@dataclass
class Safeguards:
    """Of one drill in one world."""

    world: World
    lock: ExclusiveLock
    _conditions: tuple[Condition, ...] = ()
    _seen: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, world: World) -> Safeguards:
        """For a drill that has not begun."""
        return cls(world, ExclusiveLock.of(world.target, world.aws, world.clock))

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """While a run is being made: what fails meanwhile gives the lock back."""
        try:
            yield
        except BaseException:
            self.lock.release()
            raise

    def ask(self) -> None:
        """Ask every guard, once. Refused when one says no."""
        world = self.world
        if not self._seen:
            guards = before_anything(world.aws, world.target, world.clock, self._declared)
            self._seen = {name: _asked(name, guard) for name, guard in guards.items()}

    def admit(self, run_id: str, folder: Path) -> dict[str, str]:
        """Ask every guard, then take the lock; what each said, by name. Refused, with nothing held, otherwise."""
        self.ask()
        return self._seen | {"lock": self.lock.acquire(run_id, folder)}

    def watch_over(self, drill: Drill) -> Vigil:
        """From now on the drill is stopped when it must be, and touches nothing that it may not."""
        inside = in_run(drill.target, drill.timeline, drill.clock.monotonic_s(), lambda: drill.dead)
        vigil = Vigil(
            self.lock, StopConditions(drill.clock, (*inside, *self._conditions)), drill.interrupts, drill.timeline
        )

        def before_touching(resources: tuple[str, ...]) -> None:
            vigil.before_touching()
            require_tags(drill.aws, drill.target, resources)

        drill.vigil, drill.before_touching = vigil.look, before_touching
        return vigil

    def rehearse(self, drill: Drill, vigil: Vigil, scenario: Callable[[Rehearsal], None]) -> None:
        """Walk through the scenario; only then may the drill touch anything.

        Refused for what is outside the blast radius or lacks its tags. What could not be prepared is refused later,
        when the scenario's own guards have had their say: they know better why.
        """
        walk = Rehearsal(drill.target, ReadOnlyAws(drill.aws), drill.clock, load=drill.load, run_id=drill.run_id)
        said = drill.look("blast radius", lambda: rehearse(walk, scenario))
        drill.look("required tags", lambda: require_tags(drill.aws, drill.target, walk.touched))
        assert said
        vigil.refused = "; ".join(walk.unprepared)

    def _declared(self) -> tuple[Condition, ...]:
        self._conditions = in_aws(self.world.target, self.world.aws, self.world.clock)
        return self._conditions


def show_in_plan(drill: PlanningDrill, options: Options) -> None:
    """The same guards in a plan: run where they read the world, told where they depend on when and how it is run."""
    target, clock = drill.target, drill.clock
    if target.production:
        drill.look("production", OnlyReads(lambda: f"the drill needs --production {target.name}"))
    if target.safety.windows:
        drill.look("time window", OnlyReads(lambda: f"only in {'; '.join(target.safety.windows)}"))
    drill.look("stop conditions", OnlyReads(lambda: _shown(in_aws(target, drill.aws, clock))))
    drill.look("lock", lambda: None)
    drill.before_touching = lambda resources: require_tags(drill.aws, target, resources)


def _shown(conditions: tuple[Condition, ...]) -> str:
    told = [f"{c.name}{f' (now true: {why})' if (why := c.now()) else ''}" for c in conditions]
    return ", ".join(["duration", "stop file of the run", *told])


def _asked(name: str, guard: Callable[[], str]) -> str:
    """What the guard said; AWS's own errors are refusals too."""
    try:
        return guard()
    except (AwsFailed, ClientError, BotoCoreError) as error:
        raise Refused(f"{name}: AWS could not be asked: {failure(error)}") from error
