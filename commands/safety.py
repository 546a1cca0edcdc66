"""The safety stack in a world: is it there, put it there, and arm drills with it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from commands.world import World
from drill.aws import Aws, AwsFailed
from drill.call import Call
from drill.clock import Clock, SystemClock
from drill.dead_man import DeadMan
from drill.errors import Refused
from drill.safety_stack import SafetyStack, Template, operations, stack_of, template
from drill.target import Target

CAPABILITIES = ["CAPABILITY_NAMED_IAM"]
WAIT_LIMIT_S = 900.0
STEP_S = 3.0
"""Wall seconds: CloudFormation is AWS's own work, in no system's time. A lab is done before the first look."""


def installed(aws: Aws, stack: SafetyStack) -> dict[str, Any] | None:
    """DescribeStacks' words of the stack, None when there is none. AwsFailed when AWS cannot be asked."""
    try:
        reply = aws.run(Call("cloudformation", "DescribeStacks", {"StackName": stack.name}, stack.region))
    except AwsFailed as error:
        if "does not exist" in str(error):  # AWS has no code of its own for it: ValidationError
            return None
        raise
    return dict(reply["Stacks"][0])


def problem(found: dict[str, Any] | None, wanted: Template) -> str:
    """Why the stack that was found cannot be relied on; "" when it can."""
    if found is None:
        return "is not installed"
    if found["StackStatus"] not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        return f"is in state {found['StackStatus']}"
    outputs = {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}
    if outputs.get("Content") != wanted.digest:
        return "is of another version of this tool or of the target file"
    return ""


def install_call(stack: SafetyStack, wanted: Template, found: dict[str, Any] | None) -> Call:
    """The call that makes the stack, or changes it, into the wanted one."""
    params = {
        "StackName": stack.name,
        "TemplateBody": wanted.text,
        "Capabilities": CAPABILITIES,
        "Tags": [{"Key": "failover-drill", "Value": "safety"}],
    }
    return Call("cloudformation", "UpdateStack" if found else "CreateStack", params, stack.region)


def install(aws: Aws, target: Target, clock: Clock | None = None) -> str:
    """Install the stack, or bring it up to date; what was done, in a word. Idempotent.

    Refused when it cannot be brought to a good end; AwsFailed when AWS says no.
    """
    stack, wanted = stack_of(target), template(target)
    found = installed(aws, stack)
    if not problem(found, wanted):
        return "there already"
    if found and found["StackStatus"] == "ROLLBACK_COMPLETE":
        raise Refused(
            f"stack {stack.name} in {stack.region} could not be created before; look at why, then type: aws "
            f"cloudformation delete-stack --stack-name {stack.name} --region {stack.region}"
        )
    aws.run(install_call(stack, wanted, found))
    _await(aws, stack, wanted, clock or SystemClock())
    return "updated" if found else "created"


def _await(aws: Aws, stack: SafetyStack, wanted: Template, clock: Clock) -> None:
    for _ in range(int(WAIT_LIMIT_S / STEP_S)):
        found = installed(aws, stack)
        why = problem(found, wanted)
        if not why:
            return
        if found is None or not found["StackStatus"].endswith("_IN_PROGRESS"):
            break
        clock.sleep(STEP_S * clock.speed)
    raise Refused(
        f"stack {stack.name} in {stack.region} {why}; see why: aws cloudformation describe-stack-events "
        f"--stack-name {stack.name} --region {stack.region}"
    )


def armed_world(world: World) -> DeadMan:
    """The dead-man for one drill in this world. In a lab the stack is put there first; on AWS it has to be there.

    Refused without it, or when it is not what this target needs.
    """
    target, stack = world.target, stack_of(world.target)
    try:
        if world.lab is not None:
            install(world.aws, target, world.clock)
        why = problem(installed(world.aws, stack), template(target))
    except AwsFailed as error:
        raise Refused(f"the safety stack {stack.name} in {stack.region} could not be looked at: {error}") from error
    if why:
        raise Refused(
            f"the safety stack {stack.name} in {stack.region} {why}, so nothing would put {target.name} back if this "
            f"machine went away; type: drill install --target {target.name}"
        )
    return DeadMan(world.aws, stack, target.safety.dead_man_s, _date(world), operations(target))


def _date(world: World) -> Callable[[], datetime]:
    return world.clock.wall if world.lab is None else world.lab.clock.now
