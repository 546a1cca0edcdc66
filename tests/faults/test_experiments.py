"""Which experiment templates of AWS FIS are refused before anything is started, and which are run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from commands.policy import plan_needs
from drill.actions import await_standing, standing
from drill.call import Fact
from drill.clock import FakeClock
from drill.errors import Refused
from drill.experiment import RUN_TAG
from drill.iam import resources_of
from drill.plan import plan_from
from drill.planning import RUN_ID, PlanningDrill
from drill.read_only import ReadOnlyAws
from drill.target import Resource
from drill.undo import end_all
from faults.dynamodb_pause import PauseReplication
from faults.fis_run import RunExperiment
from reports.plan_text import plan_text
from tests.checks.cloud import DATA_TABLE, FLAG_TABLE, Cloud, cloud
from tests.checks.worlds import TOKYO, eventually
from tests.faults.experiments import (
    ALARM,
    TABLE,
    TEMPLATE,
    all_running,
    experiments,
    forget_all,
    forget_template,
    make_template,
    pausing,
    started,
    table_arn,
)

TRIED = Resource(region=TOKYO, name="tried")
TARGET = {"resourceType": "aws:dynamodb:global-table", "selectionMode": "ALL"}


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """One account for this file."""
    with cloud(tmp_path_factory.mktemp("cloud")) as made, experiments(made):
        yield made


@pytest.fixture
def made(account: Cloud) -> Iterator[Cloud]:
    """No experiment runs, and no template is there but the two, after each test."""
    yield account
    forget_all(account)
    forget_template(account, TRIED.name)


def try_template(made: Cloud, **said: Any) -> Any:
    """What becomes of running a template that says this otherwise."""
    make_template(made, pausing(made, **{"clientToken": str(said), "tags": {"Name": TRIED.name}} | said))
    return RunExperiment(TRIED, 60.0).prepare(made.aws, "t", "r")


def action(**said: Any) -> dict[str, Any]:
    """The one action of the template, which says this otherwise."""
    return {"pause": {**pausing_action(), **said}}


def pausing_action() -> dict[str, Any]:
    """As it is."""
    return {
        "actionId": "aws:dynamodb:global-table-pause-replication",
        "parameters": {"duration": "PT20M"},
        "targets": {"Global-Tables": "tables"},
    }


def alarm(name: str) -> list[dict[str, str]]:
    """A stop condition on that alarm."""
    return [
        {"source": "aws:cloudwatch:alarm", "value": f"arn:aws:cloudwatch:{TOKYO}:111111111111:alarm:{name}"},
        {"source": "none"},
    ]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"stopConditions": [{"source": "none"}]}, "has no stop condition: nothing would stop it"),
        ({"stopConditions": alarm("nobody")}, f"alarm:nobody .* does not exist in {TOKYO}"),
        ({"targets": {"tables": {**TARGET, "resourceArns": []}}}, "resolves to no resource .*chosen by nothing"),
        ({"targets": {"tables": {**TARGET, "resourceTags": {"team": "x"}}}}, "no resource .*the tags {'team': 'x'}"),
        ({"targets": {"tables": {**TARGET, "filters": [{"path": "State", "values": ["x"]}]}}}, "selects by filters"),
        ({"targets": {"tables": {**TARGET, "parameters": {"cluster": "c"}}}}, "filters or parameters"),
        (
            {"targets": {"tables": {**TARGET, "resourceType": "aws:s3:bucket", "resourceTags": {"a": "b"}}}},
            "nobody knows how to list aws:s3:bucket by tags",
        ),
        ({"actions": {"wait": {"actionId": "aws:fis:wait", "parameters": {"duration": "PT1M"}}}}, "has no target"),
        ({"actions": action(targets={})}, "names no target, so nobody can tell what it touches"),
        ({"actions": action(parameters={"duration": "PT2H"})}, "lasts 7200 s, longer than the 3600 s"),
        ({"actions": action(parameters={"duration": "for ever"})}, "lasts inf s"),
        (
            {"actions": action(parameters={"duration": "PT1M", "laterDuration": "PT3H"})},
            "lasts 10860 s",
        ),
        ({"experimentOptions": {"emptyTargetResolutionMode": "skip"}}, "could complete having done nothing"),
        ({"experimentOptions": {"accountTargeting": "multi-account"}}, "targets in other accounts"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "-".join(value),
)
def test_a_template_that_nobody_can_answer_for_is_refused(made: Cloud, said: dict[str, Any], words: str) -> None:
    """Before it is started, with the reason; the very same template without that is not."""
    with pytest.raises(Refused, match=words):
        try_template(made, **said)
    assert started(made) == 0


def test_one_whose_stop_condition_rings_already_is_refused(made: Cloud) -> None:
    """It would be stopped at once, and nobody would have drilled anything."""
    cloudwatch = made.client("cloudwatch", TOKYO)
    cloudwatch.put_metric_alarm(
        AlarmName="ringing",
        Namespace="x",
        MetricName="y",
        Statistic="Sum",
        Period=86400,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",
    )
    cloudwatch.set_alarm_state(AlarmName="ringing", StateValue="ALARM", StateReason="test")
    with pytest.raises(Refused, match=r"alarm:ringing .* is in ALARM already"):
        try_template(made, stopConditions=alarm("ringing"))


def test_what_tags_select_is_named_beforehand(made: Cloud) -> None:
    """So that it is held against the blast radius; what bears the tags tomorrow is looked up tomorrow."""
    made.client("dynamodb", TOKYO).tag_resource(
        ResourceArn=table_arn(made), Tags=[{"Key": "fis", "Value": "pause-me"}]
    )
    prepared = try_template(made, targets={"tables": {**TARGET, "resourceTags": {"fis": "pause-me"}}})
    assert prepared.resources[1:] == (table_arn(made),)


def test_the_template_of_another_table_or_fault_is_no_pause_of_this_one(made: Cloud) -> None:
    """A pause names its table, and its template does nothing else."""
    other = Resource(region=TOKYO, name=FLAG_TABLE)
    with pytest.raises(Refused, match=rf"to .*{DATA_TABLE}: it must do .*{FLAG_TABLE} alone"):
        PauseReplication(TEMPLATE, other, 60.0).prepare(made.aws, "t", "r")
    wait = {"wait": {"actionId": "aws:fis:wait", "parameters": {"duration": "PT1M"}}}
    try_template(made, actions=action() | wait)
    with pytest.raises(Refused, match="does aws:dynamodb:global-table-pause-replication, aws:fis:wait to"):
        PauseReplication(TRIED, TABLE, 60.0).prepare(made.aws, "t", "r")


def test_a_pause_is_begun_in_force_and_stopped(made: Cloud) -> None:
    """In force is what the table's own policy says; stopped, the policy is gone, and only ours was stopped."""
    pause = PauseReplication(TEMPLATE, TABLE, 60.0).prepare(made.aws, "t", "r")
    others = RunExperiment(Resource(region=TOKYO, name="other"), 60.0).prepare(made.aws, "t", "somebody")
    for call in (*pause.calls, *others.calls):
        made.aws.run(call)
    clock = FakeClock()

    def wait(target_s: float) -> None:
        clock.sleep(target_s)
        eventually(lambda: all_running(made))

    assert await_standing(made.aws, pause, 60.0, wait).fate == "reached"
    assert pause.undo is not None
    end_all(made.aws, pause.undo, lambda calls: None)
    eventually(lambda: made.aws.read([pause.undo.running])[0].holds)
    eventually(lambda: standing(made.aws, pause).fate == "not_reached")
    assert standing(made.aws, others).fate == "reached"


def test_a_table_that_somebody_pauses_already_is_refused(made: Cloud) -> None:
    """What the drill would then see in force would be somebody else's doing."""
    policy = PauseReplication(TEMPLATE, TABLE, 60.0).prepare(made.aws, "t", "r").end_state[-1]
    others = RunExperiment(Resource(region=TOKYO, name="other"), 60.0).prepare(made.aws, "t", "somebody")
    made.aws.run(others.calls[0])
    eventually(lambda: made.aws.read([policy])[0].holds)
    with pytest.raises(Refused, match="somebody's experiment pauses its replication already"):
        PauseReplication(TEMPLATE, TABLE, 60.0).prepare(made.aws, "t", "r")


def test_a_run_that_fails_is_given_up(made: Cloud) -> None:
    """Nobody waits for what will not come."""
    prepared = RunExperiment(TEMPLATE, 60.0).prepare(made.aws, "t", "r")
    made.aws.run(prepared.calls[0])
    eventually(lambda: all_running(made))
    cloudwatch = made.client("cloudwatch", TOKYO)
    cloudwatch.set_alarm_state(AlarmName=ALARM, StateValue="ALARM", StateReason="test")
    eventually(lambda: standing(made.aws, prepared).fate == "not_reached")
    cloudwatch.set_alarm_state(AlarmName=ALARM, StateValue="OK", StateReason="test")


def test_a_plan_and_a_policy_know_what_would_be_stopped(made: Cloud) -> None:
    """Nothing runs while it is planned: no hole in the plan, and the policy allows the experiments of the template's
    account and Region, which is what IAM asks for when one is started or stopped."""
    radius = {TOKYO: ["EXT*", DATA_TABLE]}
    target = made.target.model_copy(update={"blast_radius": made.target.blast_radius.model_copy(
        update={"resources": radius})})  # fmt: skip
    drill = PlanningDrill(target=target, aws=ReadOnlyAws(made.aws), clock=FakeClock())
    with drill.performed(PauseReplication(TEMPLATE, TABLE, 60.0)):
        drill.elapse(1.0)
    drill.perform(RunExperiment(Resource(region=TOKYO, name="other"), 60.0))
    plan = plan_from(json.loads(json.dumps(drill.plan("s", "d").to_json())))
    assert plan.holes == ()
    assert [(step.does, step.restores) for step in plan.steps] == [
        ("act", None), ("wait", None), ("restore", 1), ("act", None), ("restore", 4)
    ]  # fmt: skip
    assert "sweep at the end" in plan.steps[-1].note
    assert "| xargs -r -I ID aws fis stop-experiment --id ID" in plan_text(plan)
    needs = [need for need in plan_needs(plan) if need.operation in ("StartExperiment", "StopExperiment")]
    allowed = {(need.operation, arn) for need in needs for arn in resources_of(need, target.account)}
    place = f"arn:aws:fis:{TOKYO}:{target.account}"
    number = plan.steps[0].resources[0].rpartition("/")[2]
    other = plan.steps[3].resources[0].rpartition("/")[2]
    assert {arn for operation, arn in allowed if operation == "StartExperiment"} == {
        f"{place}:experiment-template/{number}",
        f"{place}:experiment-template/{other}",
        f"{place}:experiment/*",
    }
    assert {arn for operation, arn in allowed if operation == "StopExperiment"} == {f"{place}:experiment/*"}
    tags = {need.tag for need in needs if need.operation == "StopExperiment"}
    assert tags == {(RUN_TAG, f"*-{step.resources[0].rpartition('/')[2]}") for step in plan.steps if step.resources}
    assert {need.tag for need in needs if need.operation == "StartExperiment"} == {None}
    assert RUN_ID not in str((allowed, tags))
    assert all(isinstance(fact, Fact) for step in plan.steps for fact in step.facts)


@pytest.mark.parametrize(("radius", "outside"), [(["EXT*"], DATA_TABLE), ([DATA_TABLE], "EXT")])
def test_what_lies_outside_the_blast_radius_is_refused(made: Cloud, radius: list[str], outside: str) -> None:
    """The template itself, and each resource that its targets resolve to; nothing is started."""
    inside = made.target.blast_radius.model_copy(update={"resources": {TOKYO: radius}})
    target = made.target.model_copy(update={"blast_radius": inside})
    drill = PlanningDrill(target=target, aws=ReadOnlyAws(made.aws), clock=FakeClock())
    with pytest.raises(Refused, match=rf"{outside}\w* in {TOKYO} is outside the blast radius"):
        drill.perform(RunExperiment(TEMPLATE, 60.0))
    assert started(made) == 0
