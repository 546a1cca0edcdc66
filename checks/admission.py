"""Whether a drill may begin at all: looks that every drill makes, whatever its scenario says, before anything else.

Each is read-only and says yes, in words, or raises Refused. None of them can be left out by a scenario.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from checks.guards import account_matches, regions_known
from drill.aws import Aws
from drill.clock import Clock
from drill.errors import Refused
from drill.hours import open_until
from drill.session import outlive
from drill.stop import Condition, refuse_if_any
from drill.target import Target


def named_for_production(target: Target, typed: str | None) -> str:
    """That a production target's own name was typed as an option. Refused for a missing or another name."""
    if typed is not None and typed != target.name:
        raise Refused(f"--production {typed} was typed, the target is {target.name}; nothing was touched")
    if target.production and typed is None:
        raise Refused(f"target {target.name} is production; if you mean it, type: --production {target.name}")
    return "typed" if target.production else "no production target"


def named_at_all(target: Target, explicit: bool) -> str:
    """That a real account was named by the person who started the drill. Refused when it is only a default."""
    if target.kind != "lab" and not explicit:
        raise Refused(f"target {target.name} is a real account and was not named; type: --target {target.name}")
    return "a lab" if target.kind == "lab" else "named"


def within_hours(target: Target, clock: Clock) -> str:
    """That drills are allowed now, and until the longest that this one may last. Refused otherwise."""
    if not target.safety.hours:
        return "any time"
    windows, now = "; ".join(target.safety.windows), clock.wall()
    longest = timedelta(seconds=target.safety.max_duration_s / clock.speed)
    until = open_until(target.safety.hours, now, longest.total_seconds())
    if until is None:
        raise Refused(f"it is {now:%a %Y-%m-%d %H:%M} UTC, outside the windows of target {target.name}: {windows}")
    if now + longest > until:
        raise Refused(
            f"the window of target {target.name} ends at {until:%a %H:%M} UTC ({windows}), and a drill may last "
            f"until {now + longest:%a %H:%M}; start earlier, or lower safety.max_duration_s"
        )
    return f"inside {windows}"


def credentials_last(aws: Aws, target: Target, clock: Clock) -> str:
    """That the credentials live at least as long as the drill may. Refused when they may not."""
    return outlive(aws.session, target.safety.max_duration_s / clock.speed)


def before_anything(
    aws: Aws, target: Target, clock: Clock, conditions: Callable[[], tuple[Condition, ...]]
) -> dict[str, Callable[[], str]]:
    """The looks at a world that can be reached, by name, in order. conditions: makes the stop conditions."""
    return {
        "time window": lambda: within_hours(target, clock),
        "credentials": lambda: credentials_last(aws, target, clock),
        "account": lambda: account_matches(aws, target),
        "regions": lambda: ", ".join(regions_known(target)),
        "stop conditions": lambda: refuse_if_any(conditions()),
    }
