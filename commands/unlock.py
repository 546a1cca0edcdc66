"""`drill unlock`: who drills a target, and how to take the place of a drill that is dead."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from checks.guards import account_matches
from commands.say import say
from commands.world import Options, open_world, resolve_target
from drill.errors import Refused, UsageError
from drill.lock import ExclusiveLock


def register(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser("unlock", help="show who holds the lock on a target; fence a holder that is dead")
    parser.add_argument("--target", required=True, help="name of a file in targets/, or a path")
    parser.add_argument("--lab-attach", type=Path, default=None, help="state file of the lab, for a lab")
    parser.add_argument("--holder", default=None, metavar="RUN_ID", help="of the dead drill, as shown without this")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 when nobody holds the lock (any more); Refused while somebody does, and for a holder that lives."""
    options = Options(target=args.target, lab_attach=args.lab_attach)
    target = resolve_target(options)
    if target.lab is not None and options.lab_attach is None:
        raise UsageError(f"target {target.name} is a lab: say which one with --lab-attach=STATE")
    with open_world(target, options) as world:
        account_matches(world.aws, world.target)
        lock = ExclusiveLock.of(world.target, world.aws, world.clock)
        if args.holder is not None:
            places = lock.take_away(args.holder)
            say(f"{target.name}: run {args.holder} holds nothing any more ({', '.join(places)}); it is fenced")
            return 0
        held = {place: seen.holder for place, seen in lock.holders().items() if seen.holder is not None}
        if not held:
            say(f"{target.name}: nobody holds the lock")
            return 0
    lines = [f"{place}: {holder}; {'dead' if holder.dead else _alive(holder.here)}" for place, holder in held.items()]
    ids = sorted({holder.run_id for holder in held.values()})
    take = "\n".join(f"  drill unlock --target {args.target} --holder {run_id}" for run_id in ids)
    raise Refused(f"{target.name} is locked:\n  " + "\n  ".join(lines) + f"\nTo take over from a dead one:\n{take}")


def _alive(here: bool) -> str:
    return "alive" if here else "on another machine: look there whether it is alive"
