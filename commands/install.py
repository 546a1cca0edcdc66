"""`drill install`: the safety stack of a target, into its observer Region."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from commands.plan import add_target_options
from commands.safety import install, install_call, installed, problem
from commands.say import say
from commands.world import Options, open_world, resolve_target
from drill.aws import Aws
from drill.call import Call
from drill.errors import Refused, UsageError
from drill.safety_stack import stack_of, template
from drill.target import Target


def register(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser("install", help="install what puts the target back when a drill's machine is gone")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--print", action="store_true", help="print the CloudFormation template; AWS is not asked")
    what.add_argument("--dry-run", action="store_true", help="say what would be done; touches nothing")
    add_target_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 when the stack is there as it must be. Refused for another account, or when it cannot be installed."""
    options = Options(target=args.target, settings=tuple(args.drill_set), lab_attach=_path(args.lab_attach))
    target = resolve_target(options)
    if args.print:
        say(template(target).text)
        return 0
    if target.lab is not None and options.lab_attach is None:
        raise UsageError(
            f"a lab of {target.name} that a drill starts gets the stack by itself; "
            "to install it in one that runs: --lab-attach=STATE_FILE, to see it: --print"
        )
    with open_world(target, options) as world:
        _require_account(world.aws, target)
        return _dry_run(world.aws, target) if args.dry_run else _install(world.aws, target)


def _path(word: str | None) -> Path | None:
    return None if word is None else Path(word)


def _install(aws: Aws, target: Target) -> int:
    stack = stack_of(target)
    say(f"stack {stack.name} in {stack.region}: {install(aws, target)}")
    for what, arn in {"table": stack.table_arn, "function": stack.function_arn}.items():
        say(f"  {what:<15} {arn}")
    say(f"  {'scheduler role':<15} {stack.scheduler_role_arn}")
    return 0


def _dry_run(aws: Aws, target: Target) -> int:
    stack, wanted = stack_of(target), template(target)
    found = installed(aws, stack)
    why = problem(found, wanted)
    if not why:
        say(f"stack {stack.name} in {stack.region}: there already, nothing would be done")
        return 0
    call = install_call(stack, wanted, found)
    shown = replace(call, params=call.params | {"TemplateBody": "file://safety-stack.yaml"})
    say(f"stack {stack.name} in {stack.region} {why}; would be installed by")
    say(f"drill install --target {target.name} --print > safety-stack.yaml")
    say(shown.cli(aws.endpoint_url))
    return 0


def _require_account(aws: Aws, target: Target) -> None:
    account = aws.run(Call("sts", "GetCallerIdentity", {}, target.regions.observer))["Account"]
    if account != target.account:
        raise Refused(
            f"these credentials are of account {account}, target {target.name} lives in {target.account}; "
            "use its credentials (AWS_PROFILE)"
        )
