"""The declared reads are those that are made: no more, no less."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from checks import guards
from checks.harvest import harvest
from checks.reads import readers, reading
from checks.signals import lookers
from checks.snapshot import take_snapshot
from drill.clock import FakeClock
from drill.errors import Invalid, Refused
from drill.find import find_one, kind_of
from drill.iam import Need, changes_things, kinds_of, resources_of
from drill.read_only import ReadOnlyAws
from drill.reads import FINDING, finding, things
from drill.stop import in_aws
from drill.tags import OF_KIND, require_tags
from drill.target import Target
from tests.checks.cloud import Cloud, account_target, cloud, start_canaries
from tests.checks.worlds import eventually, published_target
from tests.faults.events_source import RESOURCES, add_events_source
from tests.faults.experiments import EXPERIMENTS, experiments

Operations = set[tuple[str, str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """The account with everything in place, an execution to look at and canaries that have run."""
    with cloud(tmp_path_factory.mktemp("cloud")) as account:
        add_events_source(account)
        account.start_execution("FailbackStateMachineE5", "one")
        start_canaries(account)
        synthetics = account.client("synthetics", "us-west-2")
        eventually(lambda: synthetics.describe_canaries_last_run()["CanariesLastRun"])
        with experiments(account):
            yield account


def asked(aws: ReadOnlyAws) -> Operations:
    """What botocore was asked for."""
    return {(call.service, call.operation) for call in aws.made}


def declared(needs: list[Need]) -> Operations:
    """The operations of declared needs."""
    return {(need.service, need.operation) for need in needs}


@pytest.mark.parametrize("key", sorted({**account_target().resources, **RESOURCES, **EXPERIMENTS}))
def test_finding_each_kind_of_thing_asks_what_is_declared(made: Cloud, key: str) -> None:
    """The lister of the kind makes exactly the reads in the table."""
    aws = ReadOnlyAws(made.aws)
    find_one(aws, kind_of(key), made.target.resources[key])
    assert asked(aws) == {(read.service, read.operation) for read in FINDING[kind_of(key)]}


def _guards(aws: ReadOnlyAws, target: Target) -> None:
    guards.account_matches(aws, target)
    guards.standby_able(aws, target)
    with suppress(Invalid):
        guards.alarms_armed(aws, target, FakeClock(), timeout_s=0)


def _signals(aws: ReadOnlyAws, target: Target) -> None:
    for looker in lookers(aws, target, FakeClock()):
        looker.look()


def _harvest(aws: ReadOnlyAws, target: Target) -> None:
    harvest(aws, target, datetime(2026, 1, 1, tzinfo=UTC))


def _snapshot(aws: ReadOnlyAws, target: Target) -> None:
    take_snapshot(aws, target, FakeClock(), "before")


def _tags(aws: ReadOnlyAws, target: Target) -> None:
    ours = ("drilled_function", "database_secret", "drilled_stage", "global_table", *EXPERIMENTS)
    for key in ("transaction", "auto_failover_rule", "failback_machine", "observer_alarm", *ours):
        with suppress(Refused):
            require_tags(aws, target, [guards.exactly_one(aws, target, key).arn])


def _stop(aws: ReadOnlyAws, target: Target) -> None:
    for condition in in_aws(target, aws, FakeClock()):
        condition.now()


READERS: dict[str, Callable[[ReadOnlyAws, Target], None]] = {
    "guards": _guards,
    "tags": _tags,
    "stop": _stop,
    "signals": _signals,
    "harvest": _harvest,
    "snapshot": _snapshot,
}


MISSING_HERE = {
    ("route53", "GetHostedZone"),
    ("route53", "ListResourceRecordSets"),
    ("route53", "GetHealthCheck"),
}
"""Asked only where there is a zone, as in the lab: tests/commands/test_policy.py holds them."""


@pytest.mark.parametrize("key", sorted({**account_target().resources, **EXPERIMENTS}))
def test_the_tags_of_each_kind_of_thing_are_read_as_declared(made: Cloud, key: str) -> None:
    """Each is refused by name: with the line that tags it, or because its tags cannot be read."""
    aws, found = ReadOnlyAws(made.aws), find_one(made.aws, kind_of(key), made.target.resources[key])
    words = r"needs the tags drill=allowed, it has none; .*type:\n  aws .* --region"
    if kind_of(key) in ("fis.template", "ec2.network_acl", "ec2.instance"):  # found by a tag, so it has one
        words = words.replace("it has none", f"it has Name={made.target.resources[key].name}")
    if key == "global_cluster":  # moto knows no tags of these
        words = "its tags cannot be read, so it may not be changed: .*Invalid resource name"
    with pytest.raises(Refused, match=words):
        require_tags(aws, made.target, [found.arn])
    assert asked(aws) == {(read.service, read.operation) for read in OF_KIND[kind_of(key)]}


@pytest.mark.parametrize("name", sorted(READERS))
def test_each_reader_asks_what_is_declared(made: Cloud, name: str) -> None:
    """Beside finding its resources, a reader makes exactly the reads in its table."""
    aws = ReadOnlyAws(made.aws)
    READERS[name](aws, made.target)
    found = declared(finding(made.target, {}))
    (reader,) = [r for r in readers(made.target) if r.name == name]
    table = declared(reader.needs(made.target, things(made.target, {})))
    table -= MISSING_HERE
    assert asked(aws) - found == table - found
    assert table <= asked(aws)


def test_every_reader_is_declared(made: Cloud) -> None:
    """The table has no reader that is not held to it."""
    assert {reader.name for reader in readers(made.target)} == READERS.keys()


def test_looking_needs_nothing_that_changes_anything() -> None:
    """AWS classifies every declared action as reading or listing."""
    target = published_target()
    assert not [need.action for need in reading(target, {}) if changes_things(need.action)]


def test_without_a_look_the_patterns_of_the_target_narrow_the_resources() -> None:
    """The policy for looking can be made before anybody may look."""
    target = published_target()
    needs = {
        (n.operation, n.region): resources_of(n, target.account) for n in reading(target, {}) if not n.everything
    }
    assert needs["DescribeRule", "ap-northeast-3"] == (
        "arn:aws:events:ap-northeast-3:111111111111:rule/BLEAFSI-CoreBanking-*",
    )
    (service,) = needs["DescribeServices", "ap-northeast-1"]
    assert service.endswith("service/*SampleMultiRegionAppCluster*/*SampleMultiRegionAppTransactionFargateService*")


def test_a_resource_that_was_found_is_named_in_full(made: Cloud) -> None:
    """No pattern and no wildcard is left where AWS has a resource level and the call names what it reads."""
    found = {key: thing.arn for key, thing in guards.all_found(made.aws, made.target).items()}
    for need in reading(made.target, found):
        if kinds_of(need.action) and not need.everything and "CanaryName" not in need.names:
            arns = resources_of(need, made.target.account)
            assert not [a for a in arns if "*" in a.removesuffix(":*")], need


def test_sets_in_a_pattern_become_what_iam_knows() -> None:
    """IAM knows * and ?, and no [ab]."""
    target = published_target()
    rule = target.resources["auto_failover_rule"].model_copy(update={"name": "rule-[ab]-[!x]*"})
    changed = target.model_copy(update={"resources": target.resources | {"auto_failover_rule": rule}})
    (thing,) = [t for t in things(changed, {}) if t.key == "auto_failover_rule"]
    assert thing.names == {"RuleName": "rule-?-?*"}
