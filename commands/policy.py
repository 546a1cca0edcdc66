"""`drill policy`: the least-privilege IAM policy for drilling a target."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from checks.reads import reading
from commands.plan import add_target_options, require_plans, target_options
from commands.planning import SCENARIOS, plan_scenarios
from commands.say import say
from commands.world import Options, resolve_target
from drill.call import Call
from drill.errors import Invalid, Refused, UsageError
from drill.iam import MANAGED_POLICY_MAX, VERSION, Need, need_of, parts, policy, size_of
from drill.lock_table import needs as lock_needs
from drill.models import partition_of
from drill.passing import made_by, passing
from drill.plan import SAFETY, Plan, PlannedStep
from drill.planning import RUN_ID
from drill.safety_stack import stack_of
from drill.target import Target
from drill.undo import TYPED
from drill.verdict import REFUSED_EXIT_CODE

TASK = re.compile(r"^(arn:[^:]+:ecs:[^:]*:[^:]*:task/[^/]+)/.+$")
"""The ARN of a task: its cluster, and an id that is new with each start."""


def register(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser("policy", help="the least-privilege IAM policy that the target's scenarios need")
    parser.add_argument(
        "--read-only",
        action="store_true",
        help="only what looking needs: enough for `drill plan`; made from the target file alone, without AWS",
    )
    parser.add_argument(
        "--assume",
        action="store_true",
        help="only what whoever runs the drill needs: to assume the target's role ([access] role_arn)",
    )
    parser.add_argument(
        "--split",
        type=Path,
        metavar="FOLDER",
        help="write it there as managed policies to be attached side by side, since IAM bounds the size of each",
    )
    add_target_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the policy. Refused or Invalid when a scenario cannot be planned whole: a policy with gaps is none."""
    target = resolve_target(Options(target=args.target, settings=tuple(args.drill_set)))
    document = assuming(target) if args.assume else policy_for(target, () if args.read_only else _plans(args))
    if args.split is not None:
        _write(args.split, target, document)
        return 0
    text = json.dumps(document, indent=2)
    say(text)
    _warn(text)
    return 0


def assuming(target: Target) -> dict[str, Any]:
    """The policy for the identity that assumes the target's role. UsageError when the target names none."""
    access = target.access
    if access.role_arn is None:
        raise UsageError(
            f"target {target.name} names no role to assume: add role_arn to its [access], or leave --assume"
        )
    statement: dict[str, Any] = {
        "Sid": "AssumeTheDrillsRole",
        "Effect": "Allow",
        "Action": ["sts:AssumeRole"],
        "Resource": [access.role_arn],
    }
    if access.external_id is not None:
        statement["Condition"] = {"StringEquals": {"sts:ExternalId": access.external_id}}
    return {"Version": VERSION, "Statement": [statement]}


def _write(folder: Path, target: Target, document: dict[str, Any]) -> None:
    """One file each; none is left of an earlier, longer policy."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(f"{target.name}-policy-*.json"):
            old.unlink()
        for number, part in enumerate(parts(document), start=1):
            path = folder / f"{target.name}-policy-{number}.json"
            path.write_text(json.dumps(part, indent=2) + "\n")
            say(str(path))
    except OSError as error:
        raise UsageError(f"--split {folder}: {error.strerror or error}; name a folder that can be written") from error


def policy_for(target: Target, plans: tuple[Plan, ...]) -> dict[str, Any]:
    """The policy for looking at the target and taking every step of the plans."""
    found = {key: arn for plan in plans for key, arn in plan.found.items()}
    drilling = (*lock_needs(target), *_stack_needs(target), *_writing_needs(target)) if plans else ()
    needed = (need for plan in plans for need in plan_needs(plan))
    document = policy([*reading(target, found), *drilling, *needed], target.account)
    document["Statement"] += passing(_system_calls(plans))
    if any(step.does == "arm" for plan in plans for step in plan.steps):
        document["Statement"].append(_pass_role(target))
    return document


def _system_calls(plans: Iterable[Plan]) -> Iterator[Call]:
    """What is called on the system under test; the safety stack's own role has a statement of its own."""
    return (call for plan in plans for step in plan.steps if step.does not in SAFETY for call in step.calls)


def _stack_needs(target: Target) -> Iterator[Need]:
    """A drill looks whether its safety stack is there; a plan does not."""
    stack = stack_of(target)
    yield Need("cloudformation", "DescribeStacks", stack.region, (stack.stack_arn,))


def _writing_needs(target: Target) -> Iterator[Need]:
    """Load and probes write by AWS's API where the write path is an event bus: into either Region's."""
    events = target.writes.events
    if target.writes.protocol == "events" and events is not None:
        for region in (target.regions.primary, target.regions.standby):
            arn = f"arn:{partition_of(region)}:events:{region}:{target.account}:event-bus/{events.bus}"
            yield Need("events", "PutEvents", region, (arn,))


def _pass_role(target: Target) -> dict[str, Any]:
    """Creating a schedule hands it a role, which is no API call of its own.

    https://docs.aws.amazon.com/scheduler/latest/UserGuide/security_iam_id-based-policies.html
    """
    return {
        "Sid": "PassTheSchedulersRole",
        "Effect": "Allow",
        "Action": ["iam:PassRole"],
        "Resource": [stack_of(target).scheduler_role_arn],
        "Condition": {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}},
    }


def plan_needs(plan: Plan) -> Iterator[Need]:
    """What the steps of a plan need: what they read to prepare, call, and read until it holds."""
    touched = [arn for step in plan.steps for arn in step.resources]
    hints = tuple(dict.fromkeys([*touched, *plan.found.values()]))
    for step in plan.steps:
        for call in (*step.reads, *step.calls, *(fact.call for fact in step.facts)):
            yield _of_any_run(need_of(call, hints))
            yield from map(_of_any_run, made_by(call, plan.account, hints))
        if step.undo is not None:
            yield _of_any_run(replace(need_of(step.undo.ending(TYPED), hints), tag=step.undo.tag))


def _of_any_run(need: Need) -> Need:
    """The same need for every drill, not for the one that was planned: ECS will have started other tasks by then."""
    arns = tuple(TASK.sub(r"\1/*", arn.replace(RUN_ID, "*")) for arn in need.arns)
    names = {key: value.replace(RUN_ID, "*") for key, value in need.names.items()}
    tag = (need.tag[0], need.tag[1].replace(RUN_ID, "*")) if need.tag else None
    return Need(need.service, need.operation, need.region, arns, names, tag=tag)


def _plans(args: argparse.Namespace) -> tuple[Plan, ...]:
    session = plan_scenarios([SCENARIOS], target_options(args))
    require_plans(session)
    ended = [f"{plan.scenario}: {plan.ended}" for plan in session.plans if plan.ended]
    holes = [f"{plan.scenario}: {_hole(step)}" for plan in session.plans for step in plan.steps if not step.planned]
    if ended:
        kind = Refused if session.code == REFUSED_EXIT_CODE else Invalid
        raise kind(f"not every scenario could be planned, so the policy would have gaps: {'; '.join(ended)}")
    if holes:
        raise Invalid(f"only the drill itself can tell what these steps call: {'; '.join(holes)}")
    return session.plans


def _hole(step: PlannedStep) -> str:
    return f"step {step.number}, {step.what} ({step.note})"


def _warn(document: str) -> None:
    size = size_of(document)
    if size > MANAGED_POLICY_MAX:
        most = f"a managed policy holds {MANAGED_POLICY_MAX}"
        sys.stderr.write(f"drill: {size} characters; {most}: write it as several with --split FOLDER\n")
