"""`drill lab misbehave`: tell a running lab to answer as AWS does on a bad day."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from commands.lab_control import ask
from commands.say import say
from drill.errors import UsageError
from lab.aws.control import PATH
from lab.aws.misbehave import MANNERS
from lab.launch import LabInfo

EXAMPLE = "drill lab misbehave --state FILE 'throttle ecs:UpdateService@ap-northeast-1 count=3'"


def register(actions: Any) -> None:
    """Add the action."""
    manners = "\n".join(f"  {name:<12} {meaning}" for name, meaning in MANNERS.items())
    parser = actions.add_parser(
        "misbehave",
        help="tell a running lab to throttle, hang, lose answers, ...",
        description=f"RULE is MANNER [SERVICE[:OPERATION]][@REGION] [count=N] [share=P] [delay_s=S].\n\n{manners}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("rules", nargs="*", metavar="RULE", help="added to those in force; none: only show them")
    parser.add_argument("--state", type=Path, required=True, help="the state file that `drill lab up` wrote")
    parser.add_argument("--clear", action="store_true", help="behave again, before RULE is added")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 and the rules in force. UsageError for a bad rule, or when no lab answers."""
    url = _endpoint(args.state) + PATH
    if args.clear:
        ask(url, "DELETE")
    told = ask(url, "POST", {"rules": args.rules}) if args.rules else ask(url, "GET")
    for rule in told["rules"]:
        say(f"{rule['rule']}    hit {rule['hits']} requests")
    if not told["rules"]:
        say(f"the lab behaves; to change that: {EXAMPLE}")
    return 0


def _endpoint(state: Path) -> str:
    try:
        return LabInfo.from_json(json.loads(state.read_text())).aws_endpoint
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UsageError(
            f"--state {state}: no state file of a lab ({error}); `drill lab up` prints where its own is"
        ) from error
