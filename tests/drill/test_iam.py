"""From calls to the least IAM policy, by AWS's own names."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

import pytest

from drill.call import Call
from drill.errors import UsageError
from drill.iam import Need, changes_things, iam_action, kinds_of, need_of, policy, resources_of, size_of
from tests.commands.policies import allows

ACCOUNT = "111111111111"
TOKYO, OSAKA = "ap-northeast-1", "ap-northeast-3"
SERVICE = f"arn:aws:ecs:{TOKYO}:{ACCOUNT}:service/bank/transaction"
CLUSTER = f"arn:aws:ecs:{TOKYO}:{ACCOUNT}:cluster/bank"
MACHINE = f"arn:aws:states:{OSAKA}:{ACCOUNT}:stateMachine:Failback"
CONTROL = f"arn:aws:route53-recovery-control::{ACCOUNT}:controlpanel/p1/routingcontrol/c1"


@pytest.mark.parametrize(
    ("service", "operation", "action", "changes"),
    [
        ("ecs", "UpdateService", "ecs:UpdateService", True),
        ("stepfunctions", "StartExecution", "states:StartExecution", True),
        ("cloudwatch", "DescribeAlarms", "cloudwatch:DescribeAlarms", False),
        ("elbv2", "DescribeLoadBalancers", "elasticloadbalancing:DescribeLoadBalancers", False),
        ("events", "EnableRule", "events:EnableRule", True),
        ("route53-recovery-cluster", "UpdateRoutingControlState", None, True),
        ("sts", "GetCallerIdentity", "sts:GetCallerIdentity", False),
    ],
)
def test_an_operation_has_the_action_that_aws_documents(
    service: str, operation: str, action: str | None, changes: bool
) -> None:
    """Also where botocore, the signature and IAM call the service by three different names."""
    found = iam_action(service, operation)
    assert found == (action or f"{service}:{operation}")
    assert changes_things(found) is changes


def test_an_operation_without_an_action_of_its_name_is_an_error_and_no_guess() -> None:
    """lambda:Invoke needs lambda:InvokeFunction, which nothing derives."""
    with pytest.raises(UsageError, match="no IAM action is known for lambda:Invoke "):
        iam_action("lambda", "Invoke")


@pytest.mark.parametrize(
    ("call", "hints", "expected"),
    [
        (Call("ecs", "UpdateService", {"cluster": CLUSTER, "service": SERVICE}, TOKYO), (), [SERVICE]),
        (Call("ecs", "ListClusters", {}, TOKYO), (), ["*"]),
        (
            Call("events", "EnableRule", {"Name": "r"}, OSAKA),
            (f"arn:aws:events:{OSAKA}:{ACCOUNT}:rule/r", f"arn:aws:events:{TOKYO}:{ACCOUNT}:rule/r"),
            [f"arn:aws:events:{OSAKA}:{ACCOUNT}:rule/r"],
        ),
        (
            Call("cloudwatch", "DescribeAlarms", {"AlarmNames": ["a"]}, OSAKA),
            (),
            [f"arn:aws:cloudwatch:{OSAKA}:{ACCOUNT}:alarm:a"],
        ),
        (Call("stepfunctions", "ListExecutions", {"stateMachineArn": MACHINE}, OSAKA), (), [MACHINE]),
        (
            Call(
                "rds",
                "SwitchoverGlobalCluster",
                {
                    "GlobalClusterIdentifier": "g",
                    "TargetDbClusterIdentifier": f"arn:aws:rds:{OSAKA}:{ACCOUNT}:cluster:c",
                },
                OSAKA,
            ),
            (),
            [f"arn:aws:rds::{ACCOUNT}:global-cluster:g", f"arn:aws:rds:{OSAKA}:{ACCOUNT}:cluster:c"],
        ),
        (
            Call("synthetics", "GetCanaryRuns", {"Name": "c"}, "cn-north-1"),
            (),
            [f"arn:aws-cn:synthetics:cn-north-1:{ACCOUNT}:canary:c"],
        ),
    ],
    ids=lambda value: value.operation if isinstance(value, Call) else "",
)
def test_a_call_needs_the_resources_that_it_names(call: Call, hints: tuple[str, ...], expected: list[str]) -> None:
    """By ARN, by name, by what is known of the name; "*" only where AWS has no resource level."""
    assert list(resources_of(need_of(call, hints), ACCOUNT)) == expected


def test_the_actions_of_api_gateway_are_methods_on_paths() -> None:
    """The path of an operation, filled with what is known: by name, by ARN, else a wildcard."""
    stage = f"arn:aws:apigateway:{OSAKA}::/restapis/r1/stages/dev"
    call = Call("apigateway", "UpdateStage", {"restApiId": "r1", "stageName": "dev", "patchOperations": []}, OSAKA)
    assert need_of(call).action == "apigateway:PATCH"
    assert changes_things("apigateway:PATCH")
    assert resources_of(need_of(call), ACCOUNT) == (stage,)
    assert resources_of(Need("apigateway", "GetStage", OSAKA, (stage,)), ACCOUNT) == (stage,)
    tags = Need("apigateway", "GetTags", OSAKA, (stage,))
    assert resources_of(tags, ACCOUNT) == (f"arn:aws:apigateway:{OSAKA}::/tags/{quote(stage, safe='')}",)
    named = Need("apigateway", "GetStage", OSAKA, names={"StageName": "dev"})
    assert resources_of(named, ACCOUNT) == (stage.replace("r1", "*"),)
    every = Need("apigateway", "GetRestApis", OSAKA, everything=True)
    assert resources_of(every, ACCOUNT) == (f"arn:aws:apigateway:{OSAKA}::/restapis",)


def test_what_an_arn_tells_of_its_container_is_used() -> None:
    """A control's ARN names the panel that holds it."""
    need = Need("route53-recovery-control-config", "ListRoutingControls", "us-west-2", (CONTROL,))
    assert resources_of(need, ACCOUNT) == (CONTROL.partition("/routingcontrol")[0],)


def test_a_list_of_everything_needs_every_resource_of_the_region() -> None:
    """And no name narrows it, because the call names none."""
    need = Need("cloudwatch", "DescribeAlarms", OSAKA, names={"AlarmName": "a"}, everything=True)
    assert resources_of(need, ACCOUNT) == (f"arn:aws:cloudwatch:{OSAKA}:{ACCOUNT}:alarm:*",)


def test_a_policy_says_each_thing_once() -> None:
    """Changes first; what shares its resources shares a statement; "*" holds only in the Regions that are asked."""
    needs = [
        Need("ecs", "ListClusters", TOKYO),
        Need("ecs", "ListClusters", OSAKA),
        Need("ecs", "DescribeServices", TOKYO, (SERVICE,)),
        Need("ecs", "UpdateService", TOKYO, (SERVICE,)),
        Need("ecs", "UpdateService", TOKYO, (SERVICE,)),
        Need("cloudwatch", "DescribeAlarms", OSAKA, everything=True),
        Need("cloudwatch", "DescribeAlarms", OSAKA, names={"AlarmName": "a"}),
    ]
    assert policy(needs, ACCOUNT) == {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "Change1", "Effect": "Allow", "Action": ["ecs:UpdateService"], "Resource": [SERVICE]},
            {
                "Sid": "Read2",
                "Effect": "Allow",
                "Action": ["cloudwatch:DescribeAlarms"],
                "Resource": [f"arn:aws:cloudwatch:{OSAKA}:{ACCOUNT}:alarm:*"],
            },
            {"Sid": "Read3", "Effect": "Allow", "Action": ["ecs:DescribeServices"], "Resource": [SERVICE]},
            {
                "Sid": "Read4",
                "Effect": "Allow",
                "Action": ["ecs:ListClusters"],
                "Resource": ["*"],
                "Condition": {"StringEquals": {"aws:RequestedRegion": [TOKYO, OSAKA]}},
            },
        ],
    }


def test_a_service_with_one_endpoint_is_asked_in_that_endpoints_region() -> None:
    """Route 53 is signed for us-east-1 wherever the client says it is."""
    (statement,) = policy([Need("route53", "ListHostedZones", OSAKA)], ACCOUNT)["Statement"]
    assert statement["Condition"] == {"StringEquals": {"aws:RequestedRegion": ["us-east-1"]}}


def test_types_and_sizes_are_awss() -> None:
    """What takes no resource has no kinds; white space does not count."""
    assert kinds_of("ecs:ListClusters") == ()
    assert kinds_of("ecs:UpdateService")[0].parse(SERVICE) == {"ClusterName": "bank", "ServiceName": "transaction"}
    assert kinds_of("ecs:UpdateService")[0].parse(MACHINE) is None
    assert size_of('{ "a":\n 1 }') == 7


STOP = Call("fis", "StopExperiment", {"id": "ID"}, TOKYO)


def test_what_bears_a_tag_is_allowed_alone() -> None:
    """Somebody else's experiment, another template's, or one without the tag: not allowed."""
    need = replace(need_of(STOP), tag=("failover-drill", "*-EXT1"))
    document = policy([need], ACCOUNT)
    (statement,) = document["Statement"]
    assert statement["Condition"] == {"StringLike": {"aws:ResourceTag/failover-drill": ["*-EXT1"]}}
    for tag, allowed in (
        (("failover-drill", "4f2c1ab0-EXT1"), True),
        (("failover-drill", "4f2c1ab0-EXT2"), False),
        (("team", "4f2c1ab0-EXT1"), False),
        (None, False),
    ):
        assert allows(document, replace(need, tag=tag), ACCOUNT) == allowed, tag


def test_a_tag_that_aws_does_not_look_at_is_an_error() -> None:
    """A condition that never holds would be a gap in the policy."""
    need = need_of(Call("route53", "ChangeResourceRecordSets", {"HostedZoneId": "Z1"}, TOKYO))
    with pytest.raises(UsageError, match="route53:ChangeResourceRecordSets cannot be restricted to what bears a tag"):
        policy([replace(need, tag=("a", "b"))], ACCOUNT)
