"""What a drill left behind, judged from hand-written snapshots, journals and ledgers."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.residue import ABSENT, Difference, diff, left_behind, residue_findings
from drill.end_state import EndState
from drill.verdict import Finding, Verdict
from tests.checks.test_data_residue import LOAD, write

SERVICE = "arn:aws:ecs:ap-northeast-1:111111111111:service/c/transaction"
LOOK = {"service": "ecs", "operation": "DescribeServices", "params": {}, "region": "ap-northeast-1"}
PUT_BACK = {
    "service": "ecs",
    "operation": "UpdateService",
    "params": {"service": "transaction", "desiredCount": 1},
    "region": "ap-northeast-1",
}


def snapshot(when: str = "before", **unknown: str) -> dict[str, Any]:
    """A service, a control and a writer."""
    service = {"serviceArn": SERVICE, "desiredCount": 1, "taskDefinition": "app:1", "tags": []}
    members = [{"DBClusterArn": "arn:tokyo", "IsWriter": True}, {"DBClusterArn": "arn:osaka", "IsWriter": False}]
    resources = {
        "transaction": {"arn": SERVICE, "reads": {"DescribeServices": {"services": [service]}}},
        "control_primary": {
            "arn": "arn:rc",
            "reads": {"GetRoutingControlState": {"RoutingControlState": "Off"}},
        },
        "global_cluster": {
            "arn": "arn:global",
            "reads": {"DescribeGlobalClusters": {"GlobalClusters": [{"GlobalClusterMembers": members}]}},
        },
    }
    known = {key: value for key, value in resources.items() if key not in unknown}
    return {"format": 1, "when": when, "at_s": 1.0, "resources": known, "unknown": dict(unknown)}


def service_of(found: dict[str, Any]) -> dict[str, Any]:
    """The service's settings in a snapshot, to be changed."""
    service: dict[str, Any] = found["resources"]["transaction"]["reads"]["DescribeServices"]["services"][0]
    return service


def moved(**settings: Any) -> dict[str, Any]:
    """A snapshot from after, with other settings of the service."""
    found = snapshot("after")
    service_of(found).update(settings)
    return found


def journal(*states: str) -> list[dict[str, Any]]:
    """A change of the service's count in these states."""
    fact = {"call": LOOK, "path": "services[0].desiredCount", "equals": 1}
    change = {
        "kind": "ecs.scale",
        "resources": [SERVICE],
        "restore": [PUT_BACK],
        "before": [fact],
        "faulted": [{**fact, "equals": 0}],
    }
    return [{"number": 1, "state": "prepared", "change": change}, *({"number": 1, "state": s} for s in states)]


def verdicts(findings: list[Finding]) -> list[str]:
    """Their verdicts."""
    return [f.verdict.value for f in findings]


def test_equal_snapshots_pass_and_say_how_much_was_compared() -> None:
    """A clean end is shown as one, with the number of settings."""
    (found,) = residue_findings(snapshot(), snapshot("after"), journal("injecting", "restored"))
    assert found.verdict is Verdict.PASS
    assert found.data["settings"] == 9


def test_what_a_change_touched_and_is_not_as_before_is_dirty_with_the_line_to_type() -> None:
    """Whatever the journal believes: it says restored, and the count is 0."""
    states = journal("injecting", "injected", "restored")
    (found,) = residue_findings(snapshot(), moved(desiredCount=0), states, endpoint_url="http://127.0.0.1:5000")
    line = (
        "aws ecs update-service --service transaction --desired-count 1 --region ap-northeast-1 "
        "--endpoint-url http://127.0.0.1:5000"
    )
    assert found.verdict is Verdict.DIRTY
    assert found.data["lines"] == [line]
    assert line in found.reason
    assert "desiredCount: 1 -> 0" in found.reason


def test_another_setting_of_the_same_resource_is_not_the_changes_doing() -> None:
    """A deployment during the drill is found, and nobody is told to type a line that would not help."""
    states = journal("injecting", "restored")
    (found,) = residue_findings(snapshot(), moved(taskDefinition="app:2"), states)
    assert found.verdict is Verdict.INVALID
    assert "app:2" in found.reason
    assert "lines" not in found.data


def test_a_change_that_was_never_begun_has_touched_nothing() -> None:
    """Prepared only: somebody else moved the count."""
    assert verdicts(residue_findings(snapshot(), moved(desiredCount=0), journal())) == ["INVALID"]


def test_both_kinds_of_difference_are_told_apart() -> None:
    """One DIRTY for the Change and one INVALID for the rest."""
    after = moved(desiredCount=0, taskDefinition="app:2")
    found = residue_findings(snapshot(), after, journal("injecting"))
    assert verdicts(found) == ["DIRTY", "INVALID"]
    assert [len(f.data["rows"]) for f in found] == [1, 1]


@pytest.mark.parametrize(
    ("value", "verdict"), [("On", "PASS"), ("Off", "INVALID"), (True, "INVALID"), (None, "INVALID")]
)
def test_only_exactly_the_declared_end_is_expected(value: Any, verdict: str) -> None:
    """The value counts, and its type."""
    after = snapshot("after")
    after["resources"]["control_primary"]["reads"]["GetRoutingControlState"]["RoutingControlState"] = "On"
    expected = [EndState("control_primary", "*/RoutingControlState", value)]
    assert verdicts(residue_findings(snapshot(), after, [], expected)) == [verdict]


def test_a_declaration_holds_for_its_resource_only() -> None:
    """Declared for one key, moved on another."""
    expected = [EndState("control_primary", "*", 0)]
    assert verdicts(residue_findings(snapshot(), moved(desiredCount=0), [], expected)) == ["INVALID"]


def test_a_declared_end_that_was_not_reached_by_moving_nothing_is_no_residue() -> None:
    """A drill that ended before the failover left everything as it was."""
    expected = [EndState("control_primary", "*/RoutingControlState", "On")]
    assert verdicts(residue_findings(snapshot(), snapshot("after"), [], expected)) == ["PASS"]


@pytest.mark.parametrize("missing", ["before", "after", "both"])
def test_without_a_snapshot_nothing_is_clean(missing: str) -> None:
    """No snapshot is never no difference."""
    before = None if missing in ("before", "both") else snapshot()
    after = None if missing in ("after", "both") else snapshot("after")
    assert verdicts(residue_findings(before, after, [])) == ["INVALID"]


def test_what_one_snapshot_could_not_read_is_unknown() -> None:
    """Whether before or after, listed as unknown or missing without a word."""
    torn = snapshot("after")
    del torn["resources"]["transaction"]
    for before, after in (
        (snapshot(), snapshot("after", transaction="no answer")),
        (snapshot(transaction="no answer"), snapshot("after")),
        (snapshot(), torn),
    ):
        (found,) = residue_findings(before, after, [])
        assert found.verdict is Verdict.INVALID
        assert "transaction" in found.data["unknown"]


def test_unknown_does_not_hide_a_difference() -> None:
    """Both are told."""
    after = snapshot("after", control_primary="no answer")
    service_of(after)["desiredCount"] = 0
    found = residue_findings(snapshot(), after, journal("injecting"))
    assert verdicts(found) == ["DIRTY", "INVALID"]


def test_the_order_of_a_list_is_no_difference_and_a_moved_writer_is() -> None:
    """AWS promises no order; members are told apart by their ARNs."""
    after = snapshot("after")
    cluster = after["resources"]["global_cluster"]["reads"]["DescribeGlobalClusters"]["GlobalClusters"][0]
    cluster["GlobalClusterMembers"].reverse()
    assert diff(snapshot(), after) == ()
    cluster["GlobalClusterMembers"][0]["IsWriter"] = True
    (found,) = diff(snapshot(), after)
    assert found.path.endswith("GlobalClusterMembers/arn:osaka/IsWriter")
    assert (found.before, found.after) == (False, True)


def test_what_came_and_what_went_is_a_difference() -> None:
    """A tag that was added, a field that is gone, a resource under a new ARN."""
    after = moved(tags=[{"key": "a", "value": "b"}])
    del service_of(after)["taskDefinition"]
    after["resources"]["control_primary"]["arn"] = "arn:rc2"
    found = {d.path.rsplit("/", 1)[-1]: d for d in diff(snapshot(), after)}
    assert found["taskDefinition"].after == ABSENT
    assert found["tags"].before == []
    assert found["arn"].after == "arn:rc2"
    assert verdicts(residue_findings(snapshot(), after, [])) == ["INVALID"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["", "a", "On"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["Id", "Name", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(one=JSON, other=JSON)
def test_no_two_different_replies_look_equal(one: Any, other: Any) -> None:
    """Any reply equals itself; two that differ by more than the order of a list differ in a setting."""
    assert diff(_holding(one), _holding(copy.deepcopy(one))) == ()
    if _ordered(one) != _ordered(other):
        assert diff(_holding(one), _holding(other))


def _holding(value: Any) -> dict[str, Any]:
    return {"resources": {"k": {"arn": "arn:k", "reads": {"GetIt": value}}}, "unknown": {}}


def _ordered(value: Any) -> str:
    """A reply with its lists in one order, as text (so that 1 and true differ)."""
    if isinstance(value, dict):
        return str({key: _ordered(value[key]) for key in sorted(value)})
    return str(sorted(_ordered(item) for item in value)) if isinstance(value, list) else repr(value)


def test_a_difference_reads_as_a_sentence() -> None:
    """Path, before, after."""
    assert str(Difference("a/Get/State", "Off", None)) == 'a/Get/State: "Off" -> null'


def audited(**changes: Any) -> list[tuple[str, str]]:
    """The findings of a run folder with both snapshots, one of which moved as declared; changes: of its parts."""
    after = snapshot("after")
    after["resources"]["control_primary"]["reads"]["GetRoutingControlState"]["RoutingControlState"] = "On"
    mark = {"expected": [{"key": "control_primary", "path": "*/RoutingControlState", "value": "On"}]}
    parts: dict[str, Any] = {
        "header": {"residue_audit": True, "run_id": "r1", "target": {"load": LOAD}},
        "snapshots": (snapshot(), after),
        "journal": journal("injecting", "restored"),
        "marks": [mark],
        "writes": (write(1, "drill-r1-a"),),
    }
    return [(f.name, f.verdict.value) for f in left_behind(**(parts | changes))]


def test_everything_comes_from_the_run_folder() -> None:
    """Snapshots, declaration, journal and ledger give the two findings; without one of them they are not clean."""
    assert audited() == [("residue", "PASS"), ("data residue", "PASS")]
    assert audited(marks=[])[0] == ("residue", "INVALID")
    assert audited(snapshots=(snapshot(),))[0] == ("residue", "INVALID")
    assert audited(writes=(write(1, "alice"),))[1] == ("data residue", "DIRTY")


@pytest.mark.parametrize(
    "nonsense",
    [
        {"journal": None},
        {"journal": [{"number": 1, "state": "injecting", "change": 7}]},
        {"journal": [{"state": "injecting"}]},
        {"marks": [{"expected": 5}]},
        {"snapshots": ({}, {"when": "after"})},
        {"snapshots": (snapshot(), {"when": "after", "resources": {"transaction": 1}, "unknown": {}})},
    ],
)
def test_evidence_that_makes_no_sense_costs_the_audit_and_nothing_else(nonsense: dict[str, Any]) -> None:
    """INVALID, without an error that would hide other findings."""
    assert audited(**nonsense) == [("residue", "INVALID"), ("data residue", "PASS")]


def test_a_run_from_before_the_audit_gets_no_finding_of_it() -> None:
    """Its header does not announce one."""
    assert audited(header={}) == []
