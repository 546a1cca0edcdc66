"""A condition for scenarios: clients are served, and badly, by the level that the target declares."""

from __future__ import annotations

from dataclasses import dataclass

from checks.recovery_time import looks_of
from checks.service_level import Level, runs_below
from drill.errors import UsageError
from drill.probes import NEW, PULSE
from drill.service_level import ServiceLevel
from drill.target import Target
from drill.timeline import Timeline


def below_level(target: Target) -> BelowLevel:
    """New clients of `target` are served below its level. UsageError when it declares none."""
    if target.service_level is None:
        raise UsageError(
            f"target {target.name} does not say what being served well means: give it a [service_level] "
            "(docs/writing-a-target.md)"
        )
    return BelowLevel(target.service_level)


@dataclass(frozen=True)
class BelowLevel:
    """The share of quick looks that are served well is below the level, over the level's whole window."""

    level: ServiceLevel

    def __str__(self) -> str:
        return f"a share below {self.level.success_ratio:.1%} of clients served well"

    def reached(self, timeline: Timeline, since_s: float) -> float | None:
        """The result of the first look sent since `since_s` (monotonic wall seconds) whose window is below."""
        level = Level.of(self.level, timeline.clock.speed)
        looks = looks_of([o for o in timeline.observations if o.probe == PULSE and o.vantage == NEW])
        for _, first, last in runs_below(looks, level):
            found = next((k for k in looks[first : last + 1] if k.sent_s >= since_s), None)
            if found is not None:
                return found.done_s
        return None

    def begun(self, timeline: Timeline, since_s: float) -> float | None:
        """There is nothing between held and below."""
        return self.reached(timeline, since_s)
