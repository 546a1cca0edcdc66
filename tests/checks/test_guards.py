"""The guards: each says yes to the published system at rest, and no, in a sentence, to what is planted wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from checks import guards
from drill.aws import Aws
from drill.clock import SystemClock
from drill.errors import Invalid, Refused
from drill.read_only import OnlyReads
from drill.target import Resource, Target
from tests.checks.cloud import GLOBAL, Cloud, start_canaries
from tests.checks.kept import KeptCloud
from tests.checks.worlds import CLOCK, OSAKA, TOKYO, eventually, published_target, two_regions
from tests.loadgen.loopback import answer


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeptCloud]:
    """The account of the tests that only look."""
    held = KeptCloud(tmp_path_factory.mktemp("kept"))
    yield held
    held.close()


@pytest.fixture
def made(kept: KeptCloud, tmp_path: Path) -> Iterator[Cloud]:
    """The account with everything in place, to be changed."""
    with kept.own(tmp_path) as account:
        yield account


@pytest.fixture
def there(kept: KeptCloud) -> Cloud:
    """The same, to be looked at."""
    return kept.to_look_at()[0]


@pytest.fixture
def looking(kept: KeptCloud) -> Aws:
    """Clients of it that can change nothing."""
    return kept.to_look_at()[1]


def with_resource(target: Target, key: str, **change: Any) -> Target:
    """The target with one resource's pattern changed."""
    resources = target.resources | {key: target.resources[key].model_copy(update=change)}
    return target.model_copy(update={"resources": resources})


def test_the_account_must_be_the_targets(there: Cloud, looking: Aws) -> None:
    """Another account is refused, by number."""
    assert guards.account_matches(looking, there.target) == "111111111111"
    other = there.target.model_copy(update={"account": "222222222222"})
    with pytest.raises(Refused, match="belong to account 111111111111, target core-banking lives in 222222222222"):
        guards.account_matches(looking, other)


def test_an_api_that_does_not_answer_is_refused() -> None:
    """A guard that cannot look says no, not yes, and not a traceback."""
    with pytest.raises(Refused, match="account_matches: AWS could not be asked"):
        guards.account_matches(Aws("http://127.0.0.1:9"), published_target())


def test_unknown_regions_are_refused_by_name() -> None:
    """A Region that does not exist is named."""
    target = published_target()
    assert guards.regions_known(target) == (TOKYO, OSAKA, "us-west-2")
    resources = target.resources | {"x_alarm": Resource(region="ap-northeast-9", name="x")}
    with pytest.raises(Refused, match="names ap-northeast-9, which AWS does not know"):
        guards.regions_known(target.model_copy(update={"resources": resources}))


def test_every_resource_of_the_published_target_is_found_once(there: Cloud, looking: Aws) -> None:
    """The published patterns tell worker from service and initiator from failover machine."""
    found = guards.all_found(looking, there.target)
    assert set(found) == set(there.target.resources)
    assert found["transaction"].name == "SampleMultiRegionAppTransactionFargateServiceA1"
    assert found["transaction"].extra["cluster"] == there.clusters[TOKYO]
    assert found["failover_machine"].name == "FailoverStateMachineD4"
    assert found["control_standby"].arn == there.controls["rc-osaka"]
    assert found["arc_cluster"].arn == found["control_primary"].extra["cluster"]


def test_several_matches_are_refused_and_named(there: Cloud, looking: Aws) -> None:
    """A pattern that also matches the worker is refused with both names."""
    target = with_resource(there.target, "transaction", name="*SampleMultiRegionAppTransaction*")
    with pytest.raises(Refused, match=r"exactly one must match, found 2: .*ServiceA1.*WorkerFargateServiceB2"):
        guards.exactly_one(looking, target, "transaction")


@pytest.mark.parametrize("key", sorted(published_target().resources))
def test_no_match_is_refused_with_the_pattern(there: Cloud, looking: Aws, key: str) -> None:
    """For every kind of resource, a pattern without a match is refused and names the pattern."""
    target = with_resource(there.target, key, name="NoSuchThing*")
    with pytest.raises(Refused, match=r"NoSuchThing\*.* exactly one must match, found none"):
        guards.exactly_one(looking, target, key)


def test_every_problem_is_told_at_once(there: Cloud, looking: Aws) -> None:
    """Two wrong patterns are one refusal with two lines."""
    target = with_resource(there.target, "transaction", within="NoCluster*")
    target = with_resource(target, "auto_failover_rule", name="NoRule*")
    with pytest.raises(Refused) as refused:
        guards.all_found(looking, target)
    assert [line.partition(":")[0] for line in str(refused.value).splitlines()] == [
        "auto_failover_rule",
        "transaction",
    ]


def test_things_are_found_beyond_the_first_page(made: Cloud) -> None:
    """The one match among many is found, wherever the paging puts it."""
    events = made.client("events", OSAKA)
    for number in range(120):
        events.put_rule(Name=f"other-{number:03}", EventPattern='{"source":["x"]}')
    events.put_rule(Name="zz-last", EventPattern='{"source":["x"]}')
    target = with_resource(made.target, "auto_failover_rule", name="zz-*")
    assert guards.exactly_one(made.aws, target, "auto_failover_rule").name == "zz-last"


def test_a_standby_at_rest_is_able(there: Cloud, looking: Aws) -> None:
    """Services run, the reader is connected, no machine is at work."""
    assert guards.standby_able(looking, there.target) == f"{OSAKA} can take over"


def test_everything_that_stands_in_the_way_is_told_at_once(made: Cloud) -> None:
    """A service short of tasks and a machine at work are both in the sentence."""
    made.tasks(OSAKA, 1, 1, 0)
    made.start_execution("FailoverStateMachineD4", "at-work")
    with pytest.raises(Invalid) as invalid:
        guards.standby_able(made.aws, made.target)
    assert "WorkerFargateServiceB2 runs 0 of 1 tasks" in str(invalid.value)
    assert "FailoverStateMachineD4 is running (at-work)" in str(invalid.value)


def test_a_standby_that_was_scaled_to_nothing_is_not_able(made: Cloud) -> None:
    """0 of 0 tasks is in order for ECS and not for a drill."""
    made.tasks(OSAKA, 0, 0, 0)
    with pytest.raises(Invalid, match="runs 0 of 0 tasks"):
        guards.standby_able(made.aws, made.target)


def test_data_that_moves_or_has_moved_is_not_able(kept: KeptCloud, tmp_path: Path) -> None:
    """During a switchover, and after it, the standby is not the standby."""
    # Long enough, on a machine that stalls, for the switchover to be seen under way.
    with kept.own(tmp_path, switchover_s=400.0) as made:
        made.client("rds", OSAKA).failover_global_cluster(
            GlobalClusterIdentifier=GLOBAL, TargetDbClusterIdentifier=made.writers[OSAKA]
        )
        with pytest.raises(Invalid, match="global cluster core-banking-global-db is switching-over"):
            guards.standby_able(made.aws, made.target)

        def moved() -> bool:
            try:
                guards.standby_able(made.aws, made.target)
            except Invalid as invalid:
                said = str(invalid)
                return f"the writer of {GLOBAL} is in {OSAKA}, not in {TOKYO}" in said and "is switching" not in said
            return False

        eventually(moved)


def test_a_reader_that_is_missing_is_not_able(kept: KeptCloud, tmp_path: Path) -> None:
    """A global cluster with its writer alone cannot be failed over."""
    told = f"no database reader in {OSAKA}"
    with kept.own(tmp_path, databases_in=(TOKYO,)) as lonely, pytest.raises(Invalid, match=told):
        guards.standby_able(lonely.aws, lonely.target)


def test_the_place_is_looked_at_before_the_things_in_it(there: Cloud, looking: Aws) -> None:
    """Before a failover the account comes first and the alarms, which may have to be waited for, last."""
    looks = guards.before_failover(looking, there.target, CLOCK)
    order = ["account", "regions", "exactly one match each", "primary serving", "standby able", "alarms armed"]
    assert list(looks) == order
    assert looks["account"]() == "111111111111"
    assert there.controls["rc-osaka"] in str(looks["exactly one match each"]())
    assert looks["standby able"]() == f"{OSAKA} can take over"


def test_alarms_must_be_ok_before_they_can_turn(made: Cloud) -> None:
    """Alarms without data are waited for; with passing canaries they arm; without, the sentence names them."""
    clock = SystemClock(100.0)
    with pytest.raises(Invalid, match="alarm canaryAlerm-ap-northeast-3 is INSUFFICIENT_DATA"):
        guards.alarms_armed(made.aws, made.target, clock, timeout_s=60.0)
    start_canaries(made)
    armed = guards.alarms_armed(made.aws, made.target, clock, timeout_s=1000.0)
    assert set(armed) == {"canaryAlerm-ap-northeast-3", "canaryAlerm-us-west-2"}


def test_a_serving_primary_gives_its_address() -> None:
    """One deposit through the public endpoint settles, in the primary's address range."""
    with two_regions() as world:
        assert guards.primary_serving(world.target, CLOCK) == world.tokyo.host
        accounts = {account for _, _, account in world.tokyo.bank.seen}
    assert accounts == {"drill-guard"}


def test_a_system_that_is_down_is_invalid() -> None:
    """Nothing listens: the drill would prove nothing."""
    with two_regions() as world:
        world.tokyo.down()
        with pytest.raises(
            Invalid, match=r"core-banking does not serve at http://api\.example\.com: deposit got refused"
        ):
            guards.primary_serving(world.target, CLOCK)


def test_a_system_that_serves_from_the_standby_is_invalid() -> None:
    """After a forgotten failover there is nothing to fail over."""
    with two_regions() as world:
        world.zone.addresses["api.example.com"] = [world.osaka.host]
        with pytest.raises(Invalid, match=f"served from {world.osaka.host} in {OSAKA}, not from the primary"):
            guards.primary_serving(world.target, CLOCK)


def test_a_system_whose_worker_is_dead_is_invalid() -> None:
    """Accepted is not settled: a deposit that stays pending is not service."""
    with two_regions(probe_timeout_s=10.0) as world:
        world.tokyo.bank.reads_to_settle = 10_000
        with pytest.raises(Invalid, match="an accepted deposit is pending"):
            guards.primary_serving(world.target, CLOCK)


def test_a_system_that_says_no_is_invalid() -> None:
    """A stopped service answers 503, and the sentence says so."""
    with two_regions() as world:
        world.tokyo.handle = lambda request, body: answer(request, 503, {"message": "temporarily stopped"})
        with pytest.raises(Invalid, match="deposit got HTTP status 503"):
            guards.primary_serving(world.target, CLOCK)


def test_the_deposit_is_the_only_guard_that_a_plan_does_not_run(there: Cloud, looking: Aws) -> None:
    """All others declare that they only read."""
    looks = guards.before_failover(looking, there.target, CLOCK)
    assert [name for name, look in looks.items() if not isinstance(look, OnlyReads)] == ["primary serving"]
