"""`drill torture`: kill drills again and again, in every state, and count how often all ended as before.

Small ones (commands/victim.py) by the hundred, or with --session whole pytest sessions by the dozen.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import secrets
import shutil
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from checks.residue import diff
from checks.snapshot import take_snapshot
from commands.say import say
from commands.scratch import scratch
from commands.tormenting import RANDOM, Blow, Result, Tormentor, Victim, blows
from commands.torture_sessions import Siege
from commands.torture_sessions import blows as session_blows
from commands.victim import tormented
from commands.world import Options, World, open_world, resolve_target
from drill.aws import Aws
from drill.call import Call
from drill.errors import Invalid, UsageError
from drill.target import Target
from drill.verdict import Verdict

SPEED = 40.0
"""Fast enough that a service comes and goes within a tenth of a second, slow enough that the lab itself is idle."""
LEASE_WALL_S = 5.0
"""Long enough that a machine that stalls for a moment does not make hung drills of those that are to be killed."""
PATIENCE_WALL_S = 30.0
MOST = 10000
KILLS, SESSIONS = 200, 20
"""How many blows, when nobody says: small drills take seconds, whole sessions most of a minute each."""


def register(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser("torture", help="kill drills against the lab and count how often all ended as before")
    parser.add_argument("--kills", type=int, default=None, metavar="N", help=f"how many (default {KILLS})")
    parser.add_argument(
        "--session",
        action="store_true",
        help=f"kill whole pytest sessions, each in a lab of its own (default {SESSIONS}, half a minute each)",
    )
    parser.add_argument("--target", default="core-banking", help="with --session: whose headline drill")
    parser.add_argument("--seed", type=int, default=None, help="repeat the blows of another torture")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--lab-speed", type=float, default=None, help=f"lab seconds per wall second ({SPEED:g})")
    parser.add_argument("--lab-attach", type=Path, default=None, help="state file of a lab that runs already")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 only when everything was as before after every kill, and nothing was left running; 20 otherwise.

    11 when there were fewer kills than asked for: sessions that ended by themselves before they could be hit.
    """
    kills = (SESSIONS if args.session else KILLS) if args.kills is None else args.kills
    if not 0 < kills <= MOST:
        raise UsageError(f"--kills {kills}: must be from 1 to {MOST}; example: --kills 200")
    options = _options(args)
    seed = secrets.randbelow(2**31) if args.seed is None else args.seed
    try:
        with _folder() as folder:
            deal = _sessions if args.session else _victims
            results, residue = deal(options, kills, random.Random(seed), folder)
    except KeyboardInterrupt:
        raise Invalid("the torture was stopped before its end: nothing is proven") from None
    report = summary(results, residue, seed)
    say(json.dumps(report, indent=1) if args.json else table(report))
    if report["restored"] < report["kills"] or residue:
        return Verdict.DIRTY.exit_code
    return 0 if report["kills"] == kills else Verdict.INVALID.exit_code


def _options(args: argparse.Namespace) -> Options:
    if args.session and args.lab_attach is not None:
        raise UsageError("--lab-attach: with --session each blow has a lab of its own; leave it out")
    if not args.session and args.target != "core-banking":
        raise UsageError(f"--target {args.target}: small drills break core-banking; add --session, or leave it out")
    speed = args.lab_speed or (None if args.lab_attach or args.session else SPEED)
    return Options(target=args.target, lab_speed=speed, lab_attach=args.lab_attach)


def _victims(options: Options, kills: int, rng: random.Random, folder: Path) -> tuple[list[Result], list[str]]:
    with open_world(resolve_target(options), options) as world:
        return torture(world, list(blows(kills, rng)), folder)


def _sessions(options: Options, kills: int, rng: random.Random, folder: Path) -> tuple[list[Result], list[str]]:
    """Blows against whole sessions, one after the other; what is not as before is each one's own problem."""
    target = resolve_target(options)
    if target.lab is None:
        raise UsageError(f"--target {target.name}: is {target.kind}; only sessions in a lab are killed")
    siege, results = Siege(target, options, folder), []
    unhurt = siege.measure()
    for made in folder.glob("unhurt-*"):
        shutil.rmtree(made)
    for number, blow in enumerate(session_blows(kills, unhurt.points, rng), start=1):
        name = f"kill-{number:04}"
        results.append(siege.strike(name, blow, unhurt.life_s))
        _progress(number, kills, results[-1])
        for made in folder.glob(f"{name}-*") if results[-1].restored else ():
            shutil.rmtree(made, ignore_errors=True)
    return results, []


def torture(world: World, planned: Sequence[Blow], folder: Path) -> tuple[list[Result], list[str]]:
    """Deal the blows one after the other; the results, and what of the whole configuration is not as before."""
    target, speed = prepared(world), world.clock.speed
    with _rule(world.aws, target):
        return _tortured(world, target, speed, planned, folder)


def _tortured(
    world: World, target: Target, speed: float, planned: Sequence[Blow], folder: Path
) -> tuple[list[Result], list[str]]:
    before = take_snapshot(world.aws, target, world.clock, "before")
    tormentor = Tormentor(world.aws, target, speed)
    results = []
    with contextlib.ExitStack() as stack:
        unhurt = _started(stack, folder / "unhurt", target, speed, Blow("none", RANDOM))
        tormentor.measure(unhurt)
        victims = (_started(stack, folder / f"kill-{n:04}", target, speed, b) for n, b in enumerate(planned, start=1))
        for number, victim in enumerate(_ahead(victims), start=1):
            results.append(tormentor.strike(victim))
            victim.close()
            _progress(number, len(planned), results[-1])
            if results[-1].restored:
                _forget(victim)
    after = take_snapshot(world.aws, target, world.clock, "after")
    return results, [str(difference) for difference in diff(before, after)]


def prepared(world: World) -> Target:
    """The target with a short lease, and patience with a busy machine in wall seconds, whatever the lab's speed."""
    target, patience_s = tormented(world.target), PATIENCE_WALL_S * world.clock.speed
    timings = target.timings.model_copy(update={"bite_s": patience_s, "restore_timeout_s": patience_s})
    safety = target.safety.model_copy(update={"lease_wall_s": LEASE_WALL_S})
    return target.model_copy(update={"timings": timings, "safety": safety})


@contextlib.contextmanager
def _rule(aws: Aws, target: Target) -> Iterator[None]:
    """The rule that the victims disable; it matches nothing."""
    rule = target.resource("torture_rule")
    pattern = json.dumps({"source": [rule.name]})
    aws.run(Call("events", "PutRule", {"Name": rule.name, "EventPattern": pattern, "State": "ENABLED"}, rule.region))
    try:
        yield
    finally:
        aws.run(Call("events", "DeleteRule", {"Name": rule.name}, rule.region))


def summary(results: Sequence[Result], residue: Sequence[str], seed: int) -> dict[str, Any]:
    """JSON-able. All times are wall seconds from the blow until all was as before; null when nothing was broken."""
    hows = dict.fromkeys(r.blow.how for r in results)
    groups = {how: [r for r in results if r.blow.how == how] for how in hows}
    return {
        **_counts(results),
        "seed": seed,
        "at_random": sum(r.blow.where == RANDOM for r in results),
        "by": {how: _counts(group) for how, group in groups.items() if group},
        "problems": [f"{result.blow}: {result.problem}" for result in results if result.problem],
        "residue": list(residue),
    }


def table(report: dict[str, Any]) -> str:
    """For a person."""
    rows = [(how, *counts.values()) for how, counts in [*report["by"].items(), ("all", report)]]
    names = ("blow", "kills", "restored", "dirty", "broken", "median_restore_s", "worst_restore_s")
    shown = tabulate([row[: len(names)] for row in rows], headers=names, missingval="-")
    ill = [*report["problems"], *(f"residue: {line}" for line in report["residue"])]
    return "\n".join([shown, f"seed {report['seed']}; times are wall seconds from the blow to as before", *ill])


def _counts(results: Sequence[Result]) -> dict[str, Any]:
    dealt = [r for r in results if r.dealt]
    times = [r.restore_s for r in dealt if r.restore_s is not None]
    return {
        "kills": len(dealt),
        "restored": sum(r.restored for r in dealt),
        "dirty": sum(not r.restored for r in dealt),
        "broken": len(times),
        "median_restore_s": round(statistics.median(times), 3) if times else None,
        "worst_restore_s": round(max(times), 3) if times else None,
    }


def _started(stack: contextlib.ExitStack, folder: Path, target: Target, speed: float, blow: Blow) -> Victim:
    victim = Victim(folder, target, speed, blow)
    stack.callback(victim.close)
    return victim


def _ahead(victims: Iterator[Victim]) -> Iterator[Victim]:
    """Each victim once the next one has been started: that one gets ready while this one suffers."""
    current = next(victims, None)
    while current is not None:
        following = next(victims, None)
        yield current
        current = following


def _forget(victim: Victim) -> None:
    shutil.rmtree(victim.folder, ignore_errors=True)
    for suffix in (".json", ".log"):
        victim.folder.with_suffix(suffix).unlink(missing_ok=True)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A temporary folder; it stays, and is named, when something in it was worth keeping."""
    with scratch("drill-torture-") as made:
        yield made.folder
        if any(made.folder.glob("kill-*/journal.jsonl")) or any(made.folder.glob("kill-*/log.txt")):
            made.keep()
            sys.stderr.write(f"what was not restored is in {made.folder}\n")


def _progress(number: int, of: int, result: Result) -> None:
    if result.problem or number % (10 if of > 50 else 1) == 0 or number == of:
        sys.stderr.write(f"{number} of {of}; {result.blow}: {result.problem or 'restored'}\n")
        sys.stderr.flush()
