"""Every fault and action of faults/ keeps the contract; see tests/faults/contract.py for what each part says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import faults
from drill.aws import Aws
from drill.call import Call
from drill.change import Action, Change
from drill.clock import FakeClock
from drill.drill import Drill
from drill.errors import DrillError, Refused
from drill.journal import NO_CHANGE, Journal, outstanding
from drill.timeline import Timeline
from faults.events_rule import SetRuleState
from faults.lambda_variable import ChangeVariable
from faults.rds_global import MoveGlobalCluster
from faults.start_machine import StartStateMachine
from tests.checks.cloud import OREGON, RULE, Cloud, cloud, store_document
from tests.checks.worlds import OSAKA, TOKYO
from tests.faults.bus import add_bus
from tests.faults.contract import (
    ACTION_CONTRACT,
    CHANGE_CONTRACT,
    Place,
    facts_flip_both_ways,
    is_never_repeated,
    tells_a_crash_before_from_one_after,
)
from tests.faults.contract import half_an_injection_is_put_back as half_an_injection
from tests.faults.events_source import RESOURCES, make_events_source
from tests.faults.experiments import experiments
from tests.faults.furniture import furnish
from tests.faults.samples import ACTIONS, AUTOMATION, CHANGES, DATABASE, FAILBACK, SAMPLES, VARIANTS, Sample

ROOT = Path(__file__).resolve().parents[2]
DRILL = "import sys; from commands.main import main; sys.exit(main(sys.argv[1:]))"
Part = Callable[[Place, Any], None]


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """One account for this file: each test leaves it as it was. Several of each kind, so that "*" is ambiguous."""
    with cloud(tmp_path_factory.mktemp("cloud")) as made:
        made.client("events", OSAKA).put_rule(Name="other-rule", EventPattern='{"source":["x"]}', State="DISABLED")
        made.client("rds", TOKYO).create_global_cluster(
            GlobalClusterIdentifier="other-global-db", Engine="aurora-postgresql"
        )
        store_document(made, "OtherRunbook")
        add_bus(made)
        make_events_source(made.server)
        furnish(made)
        made.client("cloudwatch", OREGON).put_metric_alarm(
            AlarmName="other-alarm",
            Namespace="x",
            MetricName="y",
            Statistic="Average",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1.0,
            ComparisonOperator="LessThanThreshold",
        )
        with experiments(made):
            yield made


@pytest.fixture(scope="module")
def aws(account: Cloud) -> Aws:
    """One set of clients: making them costs more than calling them."""
    return account.aws


@pytest.fixture
def place(account: Cloud, aws: Aws, tmp_path: Path) -> Place:
    """That account, with a folder for journals."""
    return Place(account, aws, tmp_path)


@pytest.fixture
def sample(request: pytest.FixtureRequest, account: Cloud) -> Iterator[Sample]:
    """The sample of the parameter, its world made ready."""
    given: Sample = request.param
    whole = account.target
    if given.fault.resource in RESOURCES.values():  # a part of the account that nothing else has to do with
        account.target = whole.model_copy(update={"resources": RESOURCES})
    given.ready(account)
    yield given
    given.undo(account)
    account.target = whole


def of(samples: tuple[Sample, ...]) -> Any:
    """Parametrise over samples."""
    return pytest.mark.parametrize("sample", samples, indirect=True, ids=lambda s: s.name)


def test_every_fault_and_action_has_a_sample() -> None:
    """A new file in faults/ is held to the contract, or this fails."""
    kinds = faults.kinds()
    assert len(kinds) >= len(list((ROOT / "faults").glob("[!_]*.py"))), "a file of faults/ has no fault in it"
    without = {kind.__name__ for kind in kinds} - {type(sample.fault).__name__ for sample in SAMPLES}
    assert not without, f"no contract sample for {', '.join(sorted(without))}: add one to tests/faults/samples.py"


@pytest.mark.parametrize("part", CHANGE_CONTRACT, ids=lambda part: part.__name__)
@of(CHANGES)
def test_a_change_keeps_the_contract(place: Place, sample: Sample, part: Part) -> None:
    """See the part."""
    part(place.around(sample.keys), sample.fault)


@pytest.mark.parametrize("part", ACTION_CONTRACT, ids=lambda part: part.__name__)
@of(ACTIONS)
def test_an_action_keeps_the_contract(place: Place, sample: Sample, part: Part) -> None:
    """See the part."""
    part(place, sample.fault)


@of(VARIANTS)
def test_what_was_there_before_is_put_back(place: Place, sample: Sample) -> None:
    """Not merely taken away: the value that somebody had set."""
    facts_flip_both_ways(place, sample.fault)


def test_a_cluster_that_is_there_already_is_not_moved(place: Place) -> None:
    """Its end state holds before anything was called: refused, nothing called, nothing in the journal."""
    inside = place.made.target.blast_radius.model_copy(update={"resources": {"global": ["*"], TOKYO: ["*"]}})
    drill = drill_in(place, place.made.target.model_copy(update={"blast_radius": inside}))
    was = place.state()
    with pytest.raises(Refused, match="it will not be done twice"):
        drill.perform(MoveGlobalCluster(DATABASE, TOKYO, 900.0))
    assert place.state() == was
    assert drill.journal.outstanding() == []
    drill.journal.close()
    drill.timeline.close()


def test_any_process_that_has_the_journal_restores(place: Place, account: Cloud) -> None:
    """Every sample is injected, one upon the other; then a fresh `drill restore` puts all back, newest first."""
    was, folder = place.configuration(), place.folder / "run"
    header = {"run_id": "r", "target": account.target.model_dump(mode="json")}
    Timeline.create(folder, FakeClock(100.0), header).close()
    journal = Journal(folder / "journal.jsonl", FakeClock())
    for sample in CHANGES:
        try:
            change = place.prepare(sample.fault)
        except Refused:
            sample.ready(account)
            change = place.prepare(sample.fault)
        number = journal.open_change(change)
        journal.record(number, "injecting")
        place.run(*change.inject)
        journal.record(number, "injected")
    journal.close()
    assert place.configuration() != was
    done = subprocess.run(
        [sys.executable, "-c", DRILL, "restore", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, outstanding(folder / "journal.jsonl")) == (0, []), done.stderr
    assert done.stdout.count("as before") == len(CHANGES)
    assert place.configuration() == was


def drill_in(place: Place, target: Any) -> Drill:
    """A drill against that target, on a fake clock."""
    clock = FakeClock()
    timeline = Timeline.create(place.folder / "drill", clock, {"run_id": "r"})
    journal = Journal(place.folder / "drill" / "journal.jsonl", clock)
    return Drill(target=target, aws=place.aws, clock=clock, timeline=timeline, journal=journal, run_id="r")


@of(tuple(sample for sample in SAMPLES if sample.in_account))
def test_a_wrong_account_is_refused(place: Place, sample: Sample) -> None:
    """What the credentials reach is not what the target names: refused, nothing touched, nothing in the journal."""
    drill, was = drill_in(place, place.made.target.model_copy(update={"account": "999999999999"})), place.state()
    with pytest.raises(Refused, match="is in account 111111111111, target core-banking is 999999999999"):
        if sample in CHANGES:
            with drill.applied(sample.fault):
                pytest.fail("the block must not run")
        else:
            drill.perform(sample.fault)
    records = [json.loads(line) for line in drill.journal.path.read_text().splitlines()]
    assert place.state() == was
    assert [record for record in records if record["number"] != NO_CHANGE] == []
    drill.journal.close()
    drill.timeline.close()


# -- actions: an intent is not a deed


@of(ACTIONS)
def test_a_crash_before_the_call_is_told_from_one_after_it(place: Place, sample: Sample) -> None:
    """See contract.tells_a_crash_before_from_one_after."""
    tells_a_crash_before_from_one_after(place, sample.fault)


@of(ACTIONS)
def test_an_action_is_never_repeated(place: Place, sample: Sample) -> None:
    """See contract.is_never_repeated."""
    is_never_repeated(place, sample.fault.prepare(place.aws, "core-banking", "again"), sample.started)


# -- the contract itself can fail


@dataclass(frozen=True)
class Twin(SetRuleState):
    """A rule fault that breaks the contract; how, its subclasses say."""

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """See Fault."""
        return self.spoiled(super().prepare(aws, target, run_id))

    def spoiled(self, change: Change) -> Change:
        """What is wrong with it."""
        raise NotImplementedError


class Mutating(Twin):
    """Acts while it prepares."""

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """See Fault."""
        change = super(Twin, self).prepare(aws, target, run_id)
        aws.run(Call("events", "TagResource", {"ResourceARN": change.resources[0], "Tags": []}, OSAKA))
        return change


class ElsewhereToo(Twin):
    """Touches a rule that it does not name."""

    def spoiled(self, change: Change) -> Change:
        """See Twin."""
        extra = Call("events", "DisableRule", {"Name": "other-rule"}, OSAKA)
        return replace(change, restore=(*change.restore, extra))


class Forgetful(Twin):
    """Says nothing of before: restore would find nothing to do."""

    def spoiled(self, change: Change) -> Change:
        """See Twin."""
        return replace(change, before=())


class Blind(Twin):
    """Looks the same broken and not."""

    def spoiled(self, change: Change) -> Change:
        """See Twin."""
        return replace(change, faulted=change.before)


class Unrestoring(Twin):
    """Restores what it injects."""

    def spoiled(self, change: Change) -> Change:
        """See Twin."""
        return replace(change, restore=change.inject)


class Misspelt(Twin):
    """Reads a path that no reply has."""

    def spoiled(self, change: Change) -> Change:
        """See Twin."""
        return replace(change, faulted=(replace(change.faulted[0], path="Stat"),))


class Unsorted(Twin):
    """Takes the first match."""

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """See Fault."""
        return replace(self, resource=AUTOMATION)._sure(aws, target, run_id)

    def _sure(self, aws: Aws, target: str, run_id: str) -> Change:
        return super(Twin, self).prepare(aws, target, run_id)


@pytest.mark.parametrize(
    ("twin", "part"),
    [
        (Mutating, "prepare_changes_nothing"),
        (ElsewhereToo, "names_all_that_it_touches"),
        (Forgetful, "says_what_botocore_knows"),
        (Blind, "says_what_botocore_knows"),
        (Blind, "facts_flip_both_ways"),
        (Unrestoring, "facts_flip_both_ways"),
        (Unrestoring, "restoring_twice_is_restoring_once"),
        (Unrestoring, "half_an_injection_is_put_back"),
        (Misspelt, "facts_flip_both_ways"),
        (Unsorted, "refuses_what_is_not_one"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_fault_that_breaks_the_contract_is_caught(place: Place, twin: type[Twin], part: str) -> None:
    """Each part of the contract can fail, and does for the fault that breaks it."""
    (check,) = (p for p in CHANGE_CONTRACT if p.__name__ == part)
    try:
        with pytest.raises((AssertionError, DrillError, pytest.fail.Exception)):
            check(place, twin(AUTOMATION, "ENABLED"))
    finally:
        place.made.client("events", OSAKA).disable_rule(Name=RULE)


@dataclass(frozen=True)
class Started(StartStateMachine):
    """An action whose word for "it was started" is spoiled: it holds always, or never."""

    always: bool = True

    def prepare(self, aws: Aws, target: str, run_id: str) -> Action:
        """See Step."""
        action = super().prepare(aws, target, run_id)
        never = replace(action.begun[0], equals="another")
        return replace(
            action, begun=(replace(never, path="`1`", equals=1) if self.always else never,), end_state=(never,)
        )


@pytest.mark.parametrize("always", [True, False])
def test_an_action_that_does_not_tell_whether_it_was_started_is_caught(place: Place, always: bool) -> None:
    """Said before anybody has called it, or not even after."""
    with pytest.raises(AssertionError):
        tells_a_crash_before_from_one_after(place, Started(FAILBACK, 900.0, always=always), f"spoiled-{always}")


# -- changes of several calls, of which this folder has none yet


@dataclass(frozen=True)
class BothRules:
    """Enables two rules, one call each."""

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """See Fault."""
        one, two = (
            SetRuleState(AUTOMATION.model_copy(update={"name": name}), "ENABLED").prepare(aws, target, run_id)
            for name in (RULE, "other-rule")
        )
        both = {
            key: getattr(one, key) + getattr(two, key)
            for key in ("resources", "inject", "restore", "faulted", "before")
        }
        return replace(one, **both)


def test_a_change_of_several_calls_is_put_back_from_the_middle(place: Place) -> None:
    """One rule as we broke it and one as before is ours, not somebody else's."""
    half_an_injection(place, BothRules())


def test_the_journal_of_an_older_harness_is_still_read(place: Place) -> None:
    """Fields that were not written then have their defaults."""
    record = json.loads(json.dumps(place.prepare(CHANGES[0].fault).to_json()))
    for key in ("settle_s", "effective", "healed", "max_duration_s"):
        del record[key]
    path = place.folder / "old.jsonl"
    path.write_text(json.dumps({"number": 1, "state": "injected", "change": record}) + "\n")
    (entry,) = outstanding(path)
    assert entry.change.restore == place.prepare(CHANGES[0].fault).restore
    assert entry.change.settle_s > 0


def test_a_function_that_keeps_a_secret_beside_the_variable_is_refused(place: Place) -> None:
    """Its whole environment would have to be written into the journal; the refusal names it, without its value."""
    (sample,) = (sample for sample in CHANGES if isinstance(sample.fault, ChangeVariable))
    client, key = place.made.client("lambda", TOKYO), {"FunctionName": sample.fault.resource.name}
    before = client.get_function_configuration(**key)["Environment"]
    secret = {"Variables": {**before["Variables"], "DB_PASSWORD": "not-to-be-seen"}}
    client.update_function_configuration(**key, Environment=secret)
    try:
        with pytest.raises(Refused, match="looks like a secret in DB_PASSWORD") as refused:
            place.prepare(sample.fault)
    finally:
        client.update_function_configuration(**key, Environment=before)
    assert "not-to-be-seen" not in str(refused.value)
    place.prepare(sample.fault)
