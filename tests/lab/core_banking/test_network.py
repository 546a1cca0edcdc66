"""Tokyo's network ACL, denied and allowed again in the running system."""

from __future__ import annotations

import http.client
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from lab.core_banking import names
from lab.launch import Lab, launch
from tests.lab.core_banking.customer import OSAKA, TOKYO, Customer, aws, until

LIMIT_S = 20.0


def set_rules(ec2: Any, action: str) -> None:
    """Let every rule that is not the last one allow or deny."""
    named = [{"Name": "tag:Name", "Values": [names.network_acl_name(TOKYO)]}]
    (acl,) = ec2.describe_network_acls(Filters=named)["NetworkAcls"]
    for entry in acl["Entries"]:
        if entry["RuleNumber"] < 32767:
            ec2.replace_network_acl_entry(NetworkAclId=acl["NetworkAclId"], **{**entry, "RuleAction": action})


def hangs(lab: Lab) -> bool:
    """Whether Tokyo's load balancer leaves a new connection without an answer, on both its addresses."""
    for address in names.PLACES[TOKYO].balancers:
        connection = http.client.HTTPConnection(address, lab.info.http_port, timeout=0.5)
        try:
            connection.request("GET", "/nowhere")
            return False
        except TimeoutError:
            continue
        finally:
            connection.close()
    return True


def test_a_region_whose_network_is_denied_is_a_black_hole_and_comes_back(lab: Lab) -> None:
    """Clients hang, while the Region's API answers; afterwards a deposit settles, and the lab's speed was held."""
    ec2 = aws(lab.info, "ec2", TOKYO)
    try:
        set_rules(ec2, "deny")
        assert until(lambda: hangs(lab), LIMIT_S)
        assert aws(lab.info, "dynamodb", TOKYO).list_tables()["TableNames"]
    finally:
        set_rules(ec2, "allow")
    assert until(lambda: not hangs(lab), LIMIT_S)
    customer = Customer.new(lab.info)
    assert customer.settled(customer.begin("deposit", 7)) == "status#success"
    assert "worker round" not in lab.info.overruns.read_text()


@pytest.mark.long
def test_a_region_that_is_lost_as_a_whole_takes_everything_along_and_comes_back() -> None:
    """Nobody gets an answer from its API, the operators as little as the failover machine, which fails at its
    first step; Aurora refuses a switchover without it. Afterwards Tokyo serves, and no late call tells it to stop."""
    with launch("core-banking", 20.0, settings=["region.loss=whole"]) as lab:
        ec2, osaka = aws(lab.info, "ec2", TOKYO), aws(lab.info, "rds", OSAKA)
        tokyo = aws(lab.info, "dynamodb", TOKYO, read_timeout_s=1.0)
        assert tokyo.list_tables()["TableNames"]
        set_rules(ec2, "deny")
        with pytest.raises(ReadTimeoutError):
            tokyo.list_tables()
        assert aws(lab.info, "dynamodb", OSAKA).list_tables()["TableNames"]
        ended = failed_machine(lab)
        assert "Sandbox.Timedout" in str(ended["error"]) + str(ended["cause"])
        with pytest.raises(ClientError, match=r"InvalidGlobalClusterStateFault.*not healthy"):
            osaka.switchover_global_cluster(
                GlobalClusterIdentifier=names.GLOBAL_CLUSTER,
                TargetDbClusterIdentifier=f"arn:aws:rds:{OSAKA}:{names.ACCOUNT}:cluster:core-banking-secondary",
            )
        set_rules(ec2, "allow")
        assert until(lambda: bool(answered(tokyo)), LIMIT_S)
        customer = Customer.new(lab.info)
        assert customer.settled(customer.begin("deposit", 7)) == "status#success"
        flag = {"TableName": names.param_table(TOKYO), "Key": {"PK": {"S": "stopFlag"}}}
        assert tokyo.get_item(**flag)["Item"]["value"]["S"] == "false"


def answered(tokyo: Any) -> list[str]:
    """The tables, none while the Region does not answer."""
    try:
        return list(tokyo.list_tables()["TableNames"])
    except ReadTimeoutError:
        return []


def failed_machine(lab: Lab) -> dict[str, Any]:
    """How the failover machine ended, which failed."""
    states = aws(lab.info, "stepfunctions", OSAKA)
    found = states.list_state_machines()["stateMachines"]
    (arn,) = [m["stateMachineArn"] for m in found if m["name"].startswith("FailoverStateMachine")]
    execution = states.start_execution(stateMachineArn=arn)["executionArn"]
    assert until(lambda: states.describe_execution(executionArn=execution)["status"] == "FAILED", LIMIT_S)
    return dict(states.describe_execution(executionArn=execution))


def test_a_stop_flag_that_is_denied_stops_the_worker_and_not_the_api(lab: Lab) -> None:
    """The table's policy is obeyed: the operators cannot write the flag either, until it is taken away."""
    dynamodb, table = aws(lab.info, "dynamodb", TOKYO), names.param_table(TOKYO)
    arn = dynamodb.describe_table(TableName=table)["Table"]["TableArn"]
    deny = '{"Statement": [{"Effect": "Deny", "Principal": "*", "Action": "dynamodb:*Item", "Resource": "*"}]}'
    try:
        dynamodb.put_resource_policy(ResourceArn=arn, Policy=deny)
        with pytest.raises(dynamodb.exceptions.ClientError, match=r"AccessDenied.*explicit deny"):
            dynamodb.put_item(TableName=table, Item={"PK": {"S": "stopFlag"}, "value": {"S": "false"}})
        assert until(lambda: pending(lab), LIMIT_S)
    finally:
        dynamodb.delete_resource_policy(ResourceArn=arn)
    assert dynamodb.get_item(TableName=table, Key={"PK": {"S": "stopFlag"}})["Item"]["value"]["S"] == "false"


def pending(lab: Lab) -> bool:
    """Whether a deposit is accepted now and nobody settles it within half a second."""
    customer = Customer.new(lab.info)
    begun = customer.begin("deposit", 7)
    return not until(lambda: customer.ask("GET", f"/transaction/{begun}")[1]["status"] == "status#success", 0.5)
