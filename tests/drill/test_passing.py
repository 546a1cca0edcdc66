"""What a call needs beside its own action: what it makes, the tags it gives, the roles it hands on."""

from __future__ import annotations

import pytest

from drill.call import Call
from drill.errors import UsageError
from drill.passing import made_by, passing
from drill.safety_stack import template
from drill.target import load_target
from tests.checks.worlds import TARGETS

ACCOUNT, TOKYO = "111111111111", "ap-northeast-1"
PLACE = f"{TOKYO}:{ACCOUNT}"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/to-the-machine"
TO_EVENTS = {"StringEquals": {"iam:PassedToService": "events.amazonaws.com"}}


def needed(call: Call, *hints: str) -> set[tuple[str, str]]:
    """(IAM action, ARN) of what the call makes."""
    return {(need.action, arn) for need in made_by(call, ACCOUNT, hints) for arn in need.arns}


def test_a_runbook_that_is_started_needs_its_execution_and_its_tag() -> None:
    """IAM asks for the execution, whose id is given at the start; and for its tag."""
    document = f"arn:aws:ssm:{PLACE}:document/Runbook"
    started = Call("ssm", "StartAutomationExecution", {"DocumentName": "Runbook"}, TOKYO)
    tagged = Call("ssm", started.operation, {**started.params, "Tags": [{"Key": "a", "Value": "b"}]}, TOKYO)
    made = f"arn:aws:ssm:{PLACE}:automation-execution/*"
    assert needed(started, document) == {("ssm:StartAutomationExecution", made)}
    assert needed(tagged, document) == {("ssm:StartAutomationExecution", made), ("ssm:AddTagsToResource", made)}


def test_an_experiment_that_is_started_needs_itself_and_its_tag() -> None:
    """Its template alone is not enough."""
    params = {"experimentTemplateId": "EXT1", "clientToken": "t", "tags": {"a": "b"}}
    made = f"arn:aws:fis:{PLACE}:experiment/*"
    hint = f"arn:aws:fis:{PLACE}:experiment-template/EXT1"
    assert needed(Call("fis", "StartExperiment", params, TOKYO), hint) == {
        ("fis:StartExperiment", made),
        ("fis:TagResource", made),
    }


@pytest.mark.parametrize(
    "call",
    [
        Call("ecs", "UpdateService", {"service": f"arn:aws:ecs:{PLACE}:service/c/s", "desiredCount": 0}, TOKYO),
        Call("ecs", "DescribeServices", {"cluster": "c", "services": ["s"]}, TOKYO),
        Call("dynamodb", "PutResourcePolicy", {"ResourceArn": f"arn:aws:dynamodb:{PLACE}:table/t"}, TOKYO),
        Call("apigateway", "UpdateStage", {"restApiId": "a", "stageName": "s"}, TOKYO),
    ],
    ids=lambda call: call.operation,
)
def test_a_call_that_makes_nothing_needs_nothing_more(call: Call) -> None:
    """Least privilege: not one wildcard."""
    assert needed(call) == set()


def test_a_rule_that_gets_its_targets_back_hands_their_roles_to_eventbridge() -> None:
    """Those roles, to that service; reading them hands on nothing."""
    targets = [{"Id": "1", "Arn": "arn:aws:states:::x", "RoleArn": ROLE}, {"Id": "2", "Arn": "arn:aws:sns:::y"}]
    put = Call("events", "PutTargets", {"Rule": "r", "Targets": targets}, TOKYO)
    (statement,) = passing([put, Call("events", "ListTargetsByRule", {"Rule": "r"}, TOKYO)])
    assert (statement["Action"], statement["Resource"]) == (["iam:PassRole"], [ROLE])
    assert statement["Condition"] == TO_EVENTS
    assert passing([Call("events", "RemoveTargets", {"Rule": "r", "Ids": ["1"]}, TOKYO)]) == []


def test_a_role_handed_to_nobody_knows_whom_is_an_error() -> None:
    """A policy with a gap is none."""
    with pytest.raises(UsageError, match="ecs:RegisterTaskDefinition hands on a role"):
        passing([Call("ecs", "RegisterTaskDefinition", {"executionRoleArn": ROLE}, TOKYO)])


def test_a_rule_on_a_bus_of_its_own_is_named_with_it() -> None:
    """Its ARN carries the bus: else neither drill nor dead-man could touch it. That of the default bus has none."""
    text = template(load_target(TARGETS / "event-bus.toml")).text
    assert ":rule/orders/orders-of-this-region" in text
    assert ":rule/*/" not in template(load_target(TARGETS / "core-banking.toml")).text


def test_the_dead_man_may_hand_roles_to_eventbridge_where_it_puts_such_things_back() -> None:
    """An endpoint is updated with its role; a target without one gets no such right."""
    assert "iam:PassRole" in template(load_target(TARGETS / "event-bus.toml")).text.split("events:UpdateEndpoint")[1]
    with_role = "arn:aws:iam::222222222222:role/*"
    assert with_role not in template(load_target(TARGETS / "retail-store.toml")).text
