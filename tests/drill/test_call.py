"""Calls as data: the same data gives the aws-cli line and the check against botocore's model."""

from __future__ import annotations

import pytest

from drill.call import Call, Fact
from drill.errors import UsageError

SCALE = Call("ecs", "UpdateService", {"cluster": "c", "service": "s", "desiredCount": 0}, "ap-northeast-1")


def test_a_call_is_shown_as_the_aws_cli_line_that_makes_it() -> None:
    """A person can paste what the journal says."""
    assert SCALE.cli() == "aws ecs update-service --cluster c --service s --desired-count 0 --region ap-northeast-1"


def test_booleans_lists_and_odd_characters_survive_the_shell() -> None:
    """Values are quoted for the shell; false becomes the --no- form that aws-cli expects."""
    call = Call(
        "rds", "FailoverGlobalCluster", {"GlobalClusterIdentifier": "a b", "AllowDataLoss": False}, "us-east-1"
    )
    assert "--global-cluster-identifier 'a b' --no-allow-data-loss" in call.cli()
    tagged = Call("events", "RemoveTargets", {"Rule": "r", "Ids": ["1", "2"]}, "us-east-1").cli("http://127.0.0.1:1")
    assert """--ids '["1", "2"]'""" in tagged
    assert tagged.endswith("--endpoint-url http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (Call("ecs", "UpdateServise", {}, "us-east-1"), "no operation UpdateServise"),
        (Call("ecz", "UpdateService", {}, "us-east-1"), "no service 'ecz'"),
        (Call("ecs", "UpdateService", {"cluster": "c"}, "us-east-1"), "service"),
        (Call("ecs", "UpdateService", {"service": "s", "desiredCount": "0"}, "us-east-1"), "desiredCount"),
        (Call("ecs", "UpdateService", {"service": "s", "desired": 0}, "us-east-1"), "desired"),
    ],
)
def test_a_wrong_call_is_refused_before_it_is_made(call: Call, complaint: str) -> None:
    """Unknown service or operation, missing, mistyped or unknown parameters: botocore's model says so."""
    with pytest.raises(UsageError, match=complaint):
        call.validate()


def test_a_right_call_passes() -> None:
    """What the faults make is valid."""
    SCALE.validate()


def test_a_fact_reads_its_value_by_path() -> None:
    """A missing value is None, never an error and never equal by accident."""
    fact = Fact(SCALE, "services[0].desiredCount", 0)
    assert fact.extract({"services": [{"desiredCount": 0}]}) == 0
    assert fact.extract({"services": []}) is None
