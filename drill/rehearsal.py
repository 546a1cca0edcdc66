"""Walking through a scenario before it is played, so that what it may not touch is refused in time.

The same walk as a plan's, without the guards: the scenario itself runs them when its turn comes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from drill.errors import DrillError, Invalid
from drill.planning import PlanningDrill


@dataclass
class Rehearsal(PlanningDrill):
    """A drill that only walks. unprepared: what could not be prepared although nothing is broken yet, and why."""

    unprepared: list[str] = field(default_factory=list)

    def look(self, name: str, guard: Callable[[], Any]) -> Any:
        """Run nothing; None."""
        return None

    def _prepare(self, fault: object, prepare: Callable[..., Any], unknown: Any) -> tuple[Any, dict[str, Any]]:
        try:
            return super()._prepare(fault, prepare, unknown)
        except DrillError as error:
            self.unprepared.append(str(error))
            return unknown, {"reads": (), "depends_on": (), "planned": False, "note": str(error)}

    @property
    def touched(self) -> tuple[str, ...]:
        """Every resource of the system that is known to be touched; what arms the dead-man is our own."""
        steps = (step for step in self.steps if step.does in ("inject", "act"))
        return tuple(dict.fromkeys(arn for step in steps for arn in step.resources))


def rehearse(drill: Rehearsal, scenario: Callable[[Rehearsal], None]) -> str:
    """Walk through it; what it would touch, in words.

    Refused when that is outside the blast radius or may not be touched; Invalid when it cannot be walked through.
    """
    try:
        scenario(drill)
    except DrillError:
        raise
    except Exception as error:
        raise Invalid(
            f"the scenario cannot be walked through beforehand ({type(error).__name__}: {error}), so nobody knows "
            "what it would touch; it may use of the drill what `drill plan` shows, and nothing else"
        ) from error
    holes = sum(not step.planned for step in drill.steps if step.does in ("inject", "act"))
    known = f"{len(drill.touched)} resources" + (f", {holes} steps known only later" if holes else "")
    return f"would touch {known}"
