"""`drill plan SCENARIO`: what a drill would call, in order, and what it would put back. Touches nothing."""

from __future__ import annotations

import argparse
import json
from typing import Any

from commands.planning import DrySession, plan_scenarios, scenario_id
from commands.say import say
from drill.errors import DrillError, Invalid, Refused, UsageError
from drill.verdict import REFUSED_EXIT_CODE, USAGE_EXIT_CODE
from reports.plan_text import plan_text


def register(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "plan", help="what a scenario would call, break and put back, in order; touches nothing"
    )
    parser.add_argument("scenario", metavar="SCENARIO", help="a test's name or node id")
    parser.add_argument("--json", action="store_true", help="the plan as data")
    add_target_options(parser)
    parser.set_defaults(run=run)


def add_target_options(parser: argparse.ArgumentParser) -> None:
    """The options that choose the world, as pytest has them."""
    parser.add_argument("--target", default="core-banking", help="name of a file in targets/, or a path")
    parser.add_argument("--set", dest="drill_set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--lab-speed", default=None, help="lab seconds per wall second")
    parser.add_argument("--lab-port", default=None, help="first of the lab's fixed ports")
    parser.add_argument("--lab-set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the world")
    parser.add_argument("--lab-attach", default=None, help="state file of a lab that is running already")


def target_options(args: argparse.Namespace) -> list[str]:
    """The same options for pytest."""
    given = {"--lab-speed": args.lab_speed, "--lab-port": args.lab_port, "--lab-attach": args.lab_attach}
    words = [f"--target={args.target}"]
    words += [f"--set={setting}" for setting in args.drill_set]
    words += [f"--lab-set={setting}" for setting in args.lab_set]
    return words + [f"{name}={value}" for name, value in given.items() if value is not None]


def run(args: argparse.Namespace) -> int:
    """0 planned; 12 a guard refused, 4 something is wrong with the call or target, 11 the drill would be INVALID."""
    session = plan_scenarios([scenario_id(args.scenario)], target_options(args))
    require_plans(session)
    if args.json:
        say(json.dumps(session.plans[0].to_json(), indent=1))
    else:
        say("\n\n".join(plan_text(plan) for plan in session.plans))
    return session.code


def require_plans(session: DrySession) -> None:
    """When the session made no plan at all, raise what it ended with: Refused, UsageError or Invalid."""
    if session.plans:
        return
    kinds: dict[int, type[DrillError]] = {REFUSED_EXIT_CODE: Refused, USAGE_EXIT_CODE: UsageError}
    raise kinds.get(session.code, Invalid)(f"nothing was planned; the session said:\n{session.output}")
