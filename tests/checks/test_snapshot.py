"""The configuration of a real API, taken twice: what was changed is seen, what changes by itself is not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from checks.reader import Reader, clean
from checks.residue import diff, residue_findings
from checks.snapshot import take_snapshot, write_snapshot
from drill.call import Call
from drill.end_state import EndState
from drill.verdict import Verdict
from tests.checks.cloud import FLAG_TABLE, OREGON, RULE, Cloud, cloud
from tests.checks.worlds import CLOCK, OSAKA, TOKYO


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Cloud]:
    """The account with everything in place, and the private zone of the system's name."""
    with cloud(tmp_path) as account:
        route53 = account.client("route53", TOKYO)
        zone = route53.create_hosted_zone(Name="example.com", CallerReference="one")["HostedZone"]["Id"]
        check = route53.create_health_check(CallerReference="hc", HealthCheckConfig=CHECK)["HealthCheck"]["Id"]
        record = {**A_RECORD, "SetIdentifier": "tokyo", "Failover": "PRIMARY", "HealthCheckId": check}
        _put_record(account, zone, record)
        yield account


CHECK = {"Type": "TCP", "IPAddress": "192.0.2.1", "Port": 80}
A_RECORD: dict[str, Any] = {
    "Name": "api.example.com",
    "Type": "A",
    "TTL": 60,
    "ResourceRecords": [{"Value": "192.0.2.1"}],
}


def _put_record(account: Cloud, zone: str, record: dict[str, Any]) -> None:
    batch = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]}
    account.client("route53", TOKYO).change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)


def before(account: Cloud) -> dict[str, Any]:
    """A snapshot from before."""
    return take_snapshot(account.aws, account.target, CLOCK, "before")


def after(account: Cloud) -> dict[str, Any]:
    """A snapshot from after."""
    return take_snapshot(account.aws, account.target, CLOCK, "after")


def changed(account: Cloud, was: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Path -> (before, after) of what differs now."""
    return {d.path: (d.before, d.after) for d in diff(was, after(account))}


def test_everything_that_the_target_names_is_read_and_an_untouched_account_does_not_differ(made: Cloud) -> None:
    """Every resource key and the zone is there, as strict JSON; two snapshots are equal but for their instants."""
    was = before(made)
    assert was["unknown"] == {}
    assert was["resources"].keys() == made.target.resources.keys() | {"dns"}
    made.client("cloudwatch", OSAKA).set_alarm_state(
        AlarmName=f"canaryAlerm-{OSAKA}", StateValue="ALARM", StateReason="planted"
    )
    made.client("dynamodb", TOKYO).put_item(TableName=FLAG_TABLE, Item={"PK": {"S": "other"}})
    made.start_execution("FailbackStateMachineE5", "one")
    assert changed(made, was) == {}
    assert json.loads(json.dumps(was, allow_nan=False)) == was
    (finding,) = residue_findings(was, after(made), [])
    assert finding.verdict is Verdict.PASS
    assert finding.data["settings"] > 100


def test_every_planted_change_is_found_at_its_setting(made: Cloud) -> None:
    """In every Region and service: count, rule, alarm, control, writer, flag, record, check and definition."""
    was = before(made)
    made.tasks(TOKYO, 0, 3, 3)
    made.client("events", OSAKA).enable_rule(Name=RULE)
    made.client("cloudwatch", OREGON).disable_alarm_actions(AlarmNames=[f"canaryAlerm-{OREGON}"])
    made.client("dynamodb", OSAKA).put_item(
        TableName=FLAG_TABLE, Item={"PK": {"S": "stopFlag"}, "value": {"S": "false"}}
    )
    made.client("stepfunctions", OSAKA).update_state_machine(
        stateMachineArn=made.machines["FailbackStateMachineE5"],
        definition=json.dumps({"StartAt": "Q", "States": {"Q": {"Type": "Pass", "End": True}}}),
    )
    route53 = made.client("route53", TOKYO)
    zone = was["resources"]["dns"]["arn"]
    record = {**A_RECORD, "TTL": 5, "SetIdentifier": "tokyo", "Failover": "PRIMARY"}
    (check,) = [c["Id"] for c in route53.list_health_checks()["HealthChecks"]]
    _put_record(made, zone, {**record, "HealthCheckId": check})
    route53.update_health_check(HealthCheckId=check, Port=81)
    _turn_on(made, "rc-tokyo")
    found = changed(made, was)
    wanted = {
        "transaction/DescribeServices/services/0/desiredCount": (1, 3),
        "auto_failover_rule/DescribeRule/State": ("DISABLED", "ENABLED"),
        "standby_stop_item/GetItem/Item/value/S": ("true", "false"),
        "control_primary/GetRoutingControlState/RoutingControlState": ("Off", "On"),
    }
    by_end = {path.replace(_arn_of(was, "transaction"), "0"): values for path, values in found.items()}
    assert wanted.items() <= by_end.items()
    ends = {path.rsplit("/", 1)[-1] for path in found}
    assert {"ActionsEnabled", "definition", "TTL", "Port", "runningCount"} <= ends
    assert {path.partition("/")[0] for path in found} == {
        "transaction", "auto_failover_rule", "observer_alarm", "standby_stop_item", "failback_machine",
        "control_primary", "dns",
    }  # fmt: skip


def _arn_of(snapshot: dict[str, Any], key: str) -> str:
    return str(snapshot["resources"][key]["arn"])


def _turn_on(account: Cloud, control: str) -> None:
    config = account.client("route53-recovery-control-config", OREGON)
    cluster = config.list_clusters()["Clusters"][0]["ClusterArn"]
    endpoint = config.describe_cluster(ClusterArn=cluster)["Cluster"]["ClusterEndpoints"][0]
    data_plane = account.aws.client("route53-recovery-cluster", endpoint["Region"], endpoint["Endpoint"])
    data_plane.update_routing_control_state(RoutingControlArn=account.controls[control], RoutingControlState="On")


def test_a_declared_end_state_passes_and_another_one_does_not(made: Cloud) -> None:
    """The control that a failback leaves On is expected when it was declared On, and found when declared Off."""
    was = before(made)
    _turn_on(made, "rc-tokyo")
    now = after(made)
    path = "GetRoutingControlState/RoutingControlState"
    (fine,) = residue_findings(was, now, [], [EndState("control_primary", path, "On")])
    (wrong,) = residue_findings(was, now, [], [EndState("control_primary", path, "Off")])
    assert (fine.verdict, len(fine.data["rows"])) == (Verdict.PASS, 1)
    assert wrong.verdict is Verdict.INVALID
    assert 'declared to end as "Off"' in wrong.data["rows"][0]["why"]


def test_a_region_that_does_not_answer_is_unknown_and_costs_its_own_part_only(made: Cloud) -> None:
    """What could not be read is never as before; what lies elsewhere is compared all the same."""
    was = before(made)
    made.server.unavailable(OSAKA)
    now = after(made)
    assert set(now["unknown"]) == {k for k, r in made.target.resources.items() if r.region == OSAKA}
    (finding,) = residue_findings(was, now, [])
    assert finding.verdict is Verdict.INVALID
    assert finding.data["unknown"].keys() == now["unknown"].keys()


def test_a_resource_that_is_gone_is_unknown(made: Cloud) -> None:
    """Deleted meanwhile: nobody can say that it is as before."""
    was = before(made)
    made.client("events", OSAKA).delete_rule(Name=RULE)
    now = after(made)
    assert "exactly one must match" in now["unknown"]["auto_failover_rule"]
    assert residue_findings(was, now, [])[0].verdict is Verdict.INVALID


def test_nothing_but_reading_calls_is_ever_made(made: Cloud) -> None:
    """A call that is no Describe, Get or List is refused before it is made."""
    call = Call("events", "EnableRule", {"Name": RULE}, OSAKA)
    with pytest.raises(ValueError, match="not a reading call"):
        Reader(made.aws, CLOCK).read(call)
    assert made.client("events", OSAKA).describe_rule(Name=RULE)["State"] == "DISABLED"


def test_what_changes_by_itself_is_dropped_by_the_table() -> None:
    """Timestamps, events, deployments and paging go; a running count stays only where it stands still."""
    service = {"desiredCount": 2, "pendingCount": 1, "events": [{"id": "e"}], "createdAt": datetime.now(UTC)}
    settled = clean("DescribeServices", {"services": [{**service, "runningCount": 2}], "NextToken": "x"})
    moving = clean("DescribeServices", {"services": [{**service, "runningCount": 1}]})
    assert settled == {"services": [{"desiredCount": 2, "runningCount": 2}]}
    assert moving == {"services": [{"desiredCount": 2, "runningCount": None}]}


def test_long_texts_are_told_apart_without_being_kept() -> None:
    """A definition may hold secrets: only its digest is evidence."""
    one, other = (clean("DescribeStateMachine", {"definition": text}) for text in ("password=1", "password=2"))
    assert one != other
    assert "password" not in json.dumps([one, other])


def test_a_snapshot_is_written_whole_and_the_same_each_time(tmp_path: Path) -> None:
    """Sorted JSON, replaced at once; no half-written file is left."""
    path = tmp_path / "snapshot-before.json"
    write_snapshot(path, {"b": 1, "a": [2]})
    write_snapshot(path, {"a": [2], "b": 1})
    assert json.loads(path.read_text()) == {"a": [2], "b": 1}
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_second_page_that_nobody_reads_is_unknown(made: Cloud) -> None:
    """A reply that says that there is more is not taken for all."""
    events = made.client("events", OSAKA)
    for number in range(3):
        events.put_rule(Name=f"r{number}", EventPattern='{"source":["x"]}')
    look = Call("events", "ListRules", {"Limit": 1}, OSAKA)
    with pytest.raises(ValueError, match="more than one page"):
        Reader(made.aws, CLOCK).read(look)


def test_a_rule_of_a_network_acl_that_was_replaced_and_put_back_is_as_before(made: Cloud) -> None:
    """In whichever order the API lists them then; and one that denies now is seen."""
    was, ec2 = before(made), made.client("ec2", TOKYO)
    (acl,) = ec2.describe_network_acls()["NetworkAcls"]
    rule = next(entry for entry in acl["Entries"] if entry["RuleNumber"] == 100)
    for action in ("deny", "allow"):
        ec2.replace_network_acl_entry(NetworkAclId=acl["NetworkAclId"], **{**rule, "RuleAction": action})
    assert changed(made, was) == {}
    ec2.replace_network_acl_entry(NetworkAclId=acl["NetworkAclId"], **{**rule, "RuleAction": "deny"})
    assert list(changed(made, was).values()) == [("allow", "deny")]


def test_a_tables_policy_is_part_of_its_configuration(made: Cloud) -> None:
    """Put back to none is as before, whatever revisions there were."""
    was, dynamodb = before(made), made.client("dynamodb", TOKYO)
    arn = dynamodb.describe_table(TableName=FLAG_TABLE)["Table"]["TableArn"]
    dynamodb.put_resource_policy(ResourceArn=arn, Policy='{"Statement": []}')
    assert list(changed(made, was).values()) == [(None, '{"Statement": []}')]
    dynamodb.delete_resource_policy(ResourceArn=arn)
    assert changed(made, was) == {}
