"""Routing controls through a cluster's endpoints, some of which are down, and against its safety rules."""

from __future__ import annotations

import json
import runpy
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import pytest

from drill.aws import Aws, AwsFailed
from drill.change import Change
from drill.errors import Refused
from drill.iam import need_of, resources_of
from drill.safety_stack import FOLDER, template
from drill.tags import require_tags
from faults.arc_controls import SetRoutingControls
from lab.aws.arc import ENDPOINT_REGIONS
from lab.aws.arc_rules import SafetyRule
from lab.aws.misbehave import parse
from tests.checks.cloud import OREGON, Cloud, cloud
from tests.faults.samples import CELL, OTHER_CELL

DATA_PLANE = "route53-recovery-cluster"


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """One account for this file."""
    with cloud(tmp_path_factory.mktemp("cloud")) as made:
        yield made


@pytest.fixture
def made(account: Cloud) -> Iterator[Cloud]:
    """Tokyo On, Osaka Off, no safety rules, all endpoints up; and so again after it."""
    yield _as_before(account)
    _as_before(account)


def _as_before(made: Cloud) -> Cloud:
    made.server.behave()
    made.arc.rules.clear()
    made.arc.update([(made.controls["rc-tokyo"], "On"), (made.controls["rc-osaka"], "Off")])
    return made


def states(made: Cloud) -> list[str]:
    """Of Tokyo's control and of Osaka's."""
    return [made.arc.control(made.controls[name]).state for name in ("rc-tokyo", "rc-osaka")]


def moved(made: Cloud) -> Change:
    """The change that moves the traffic from Tokyo to Osaka."""
    return SetRoutingControls(CELL, "On", ((OTHER_CELL, "Off"),)).prepare(made.aws, "t", "r")


def run(made: Cloud, *calls: Any) -> None:
    """Make them."""
    for call in calls:
        made.aws.run(call)


def rule(made: Cloud, **said: Any) -> SafetyRule:
    """A rule that the control plane keeps, made as a person makes it: at least one of both is On."""
    config = made.client("route53-recovery-control-config", OREGON)
    panel = made.arc.control(made.controls["rc-tokyo"]).panel_arn
    base = {"ControlPanelArn": panel, "Name": "one-cell-at-least", "WaitPeriodMs": 5000}
    limit = {"RuleConfig": {"Inverted": False, "Threshold": 1, "Type": "ATLEAST"}}
    both = {"AssertedControls": list(made.controls.values())}
    config.create_safety_rule(ClientToken="t", AssertionRule={**base, **limit, **both, **said})
    return made.arc.rules[-1]


@pytest.mark.parametrize("manner", ["unavailable", "reset"])
def test_an_endpoint_that_does_not_answer_is_passed_over(made: Cloud, manner: str) -> None:
    """With four of five gone the fifth is found, to break and to put back."""
    change = moved(made)
    made.server.misbehave(*(parse(f"{manner} {DATA_PLANE}@{region}") for region in ENDPOINT_REGIONS[:-1]))
    run(made, *change.inject)
    assert states(made) == ["Off", "On"]
    assert all(reading.holds for reading in made.aws.read(change.faulted))
    run(made, *change.restore)
    assert states(made) == ["On", "Off"]


def test_an_endpoint_that_refuses_connections_is_passed_over(made: Cloud) -> None:
    """As when the Region of the endpoint is gone."""
    change = moved(made)
    made.arc.endpoint_down(ENDPOINT_REGIONS[0])
    try:
        run(made, *change.inject)
    finally:
        made.arc.endpoint_up(ENDPOINT_REGIONS[0])
    assert states(made) == ["Off", "On"]


def test_all_endpoints_down_is_told_as_no_answer(made: Cloud) -> None:
    """Nothing is changed, and it is not taken for a refusal: it may be tried again."""
    change = moved(made)
    made.server.misbehave(parse(f"reset {DATA_PLANE}"))
    with pytest.raises(AwsFailed) as caught:
        run(made, *change.inject)
    assert caught.value.cause == "unanswered"
    assert states(made) == ["On", "Off"]
    (told,) = made.server.misbehaving()
    assert told["hits"] == len(ENDPOINT_REGIONS)


def test_what_one_endpoint_refuses_is_not_asked_of_the_others(made: Cloud) -> None:
    """Expired credentials are no better at the next one."""
    change = moved(made)
    made.server.misbehave(parse(f"expired {DATA_PLANE}"))
    with pytest.raises(AwsFailed):
        run(made, *change.inject)
    assert [told["hits"] for told in made.server.misbehaving()] == [1]


def test_a_safety_rule_refuses_and_is_never_overridden(made: Cloud) -> None:
    """Both cells Off: AWS's ConflictException, with the rule's name; nothing is changed."""
    change = SetRoutingControls(OTHER_CELL, "Off").prepare(made.aws, "t", "r")
    rule(made)
    with pytest.raises(AwsFailed, match="one-cell-at-least") as caught:
        run(made, *change.inject)
    assert (caught.value.code, caught.value.cause) == ("ConflictException", "refused")
    assert states(made) == ["On", "Off"]
    assert "SafetyRulesToOverride" not in str(asdict(change))


def test_what_a_safety_rule_forbids_is_refused_while_it_is_planned(made: Cloud) -> None:
    """By name, before anything is touched; AWS itself would have refused the very same."""
    change = SetRoutingControls(OTHER_CELL, "Off").prepare(made.aws, "t", "r")
    rule(made)
    with pytest.raises(Refused, match=r"Off: forbidden by the safety rule one-cell-at-least"):
        SetRoutingControls(OTHER_CELL, "Off").prepare(made.aws, "t", "r")
    assert states(made) == ["On", "Off"]
    with pytest.raises(AwsFailed):
        run(made, *change.inject)


def test_what_could_not_be_put_back_is_refused_too(made: Cloud) -> None:
    """AWS lets it be broken, for the rule holds then, and would refuse the way back."""
    limit = {"RuleConfig": {"Inverted": False, "Threshold": 2, "Type": "ATLEAST"}}
    change = SetRoutingControls(CELL, "On").prepare(made.aws, "t", "r")
    rule(made, **limit)
    with pytest.raises(Refused, match=r"putting it back, which is .* Off: forbidden by the safety rule"):
        SetRoutingControls(CELL, "On").prepare(made.aws, "t", "r")
    run(made, *change.inject)
    with pytest.raises(AwsFailed, match="one-cell-at-least"):
        run(made, *change.restore)
    made.arc.rules.clear()
    run(made, *change.restore)


def test_a_closed_gate_refuses_and_an_open_one_does_not(made: Cloud) -> None:
    """The gate is a control that the change does not name: its state is read."""
    panel = made.arc.control(made.controls["rc-tokyo"]).panel_arn
    gate = made.arc.create_control(made.arc.clusters()[0].arn, panel, "gate")
    config = made.client("route53-recovery-control-config", OREGON)
    both, limit = list(made.controls.values()), {"Inverted": False, "Threshold": 1, "Type": "ATLEAST"}
    said = {"ControlPanelArn": panel, "Name": "the-gate", "WaitPeriodMs": 0, "RuleConfig": limit}
    config.create_safety_rule(
        ClientToken="t", GatingRule={**said, "GatingControls": [gate.arn], "TargetControls": both}
    )
    with pytest.raises(Refused, match="the-gate"):
        moved(made)
    made.arc.update([(gate.arn, "On")])
    change = moved(made)
    run(made, *change.inject)
    run(made, *change.restore)
    assert states(made) == ["On", "Off"]


def test_rules_that_cannot_be_read_are_no_permission(made: Cloud) -> None:
    """The drill ends before anything is touched."""
    made.server.misbehave(parse("expired route53-recovery-control-config:ListSafetyRules"))
    with pytest.raises(AwsFailed, match="ListSafetyRules"):
        moved(made)


def test_a_swap_that_keeps_the_rule_is_admitted_as_a_whole(made: Cloud) -> None:
    """One call for both: one after the other, Off first, would be refused."""
    rule(made)
    change = moved(made)
    run(made, *change.inject)
    assert states(made) == ["Off", "On"]
    run(made, *change.restore)
    assert states(made) == ["On", "Off"]


def test_the_same_without_the_rule_is_done(made: Cloud) -> None:
    """It is the rule that refuses, not something else."""
    run(made, *SetRoutingControls(OTHER_CELL, "Off").prepare(made.aws, "t", "r").inject)
    assert states(made) == ["Off", "Off"]


def test_a_control_that_is_so_already_is_refused(made: Cloud) -> None:
    """It would not be ours to put back."""
    with pytest.raises(Refused, match="rc-tokyo is On already"):
        SetRoutingControls(OTHER_CELL, "On").prepare(made.aws, "t", "r")


def test_the_policy_names_exactly_the_controls_of_the_batch(made: Cloud) -> None:
    """Not every control of the panel."""
    change = moved(made)
    (call,) = change.inject
    assert resources_of(need_of(call), made.server.account) == tuple(sorted(change.resources))


def test_the_dead_man_may_set_the_controls_that_the_blast_radius_names_by_id(made: Cloud) -> None:
    """And no others; without one, none."""
    number = made.controls["rc-tokyo"].rpartition("/")[2]
    mine = f"controlpanel/*/routingcontrol/{number}"
    assert mine not in template(made.target).text
    radius = made.target.blast_radius.model_copy(update={"resources": {"global": [number]}})
    text = template(made.target.model_copy(update={"blast_radius": radius})).text
    assert mine in text
    assert "route53-recovery-cluster:UpdateRoutingControlStates" in text


def test_a_control_is_broken_only_with_the_required_tags(made: Cloud) -> None:
    """The line that the refusal prints is the one that helps."""
    arn = made.controls["rc-osaka"]
    aws = Aws(made.server.url)
    with pytest.raises(Refused, match="route53-recovery-control-config tag-resource"):
        require_tags(aws, made.target, [arn])
    config = made.client("route53-recovery-control-config", OREGON)
    config.tag_resource(ResourceArn=arn, Tags={"drill": "allowed"})
    assert require_tags(aws, made.target, [arn]) == "drill=allowed on 1 resources"


SAID = SafetyRule("r", "gate", "p", ("gate",), "AND", 0, False, 0, targets=("cell",))


@pytest.mark.parametrize(
    ("found", "before", "after", "forbidden"),
    [
        (SAID, {"gate": "Off", "cell": "Off"}, {"gate": "Off", "cell": "On"}, True),
        (SAID, {"gate": "On", "cell": "Off"}, {"gate": "On", "cell": "On"}, False),
        (SAID, {"gate": "Off", "cell": "Off"}, {"gate": "On", "cell": "On"}, True),
        (SAID, {"gate": "On", "cell": "Off"}, {"gate": "Off", "cell": "Off"}, False),
        (replace(SAID, targets=(), controls=("cell",)), {"cell": "On"}, {"cell": "Off"}, True),
        (replace(SAID, targets=(), controls=("cell",), inverted=True), {"cell": "On"}, {"cell": "Off"}, False),
        (replace(SAID, targets=(), controls=("cell",)), {"cell": "Off"}, {"cell": "Off"}, False),
    ],
)
def test_what_a_safety_rule_forbids(
    found: SafetyRule, before: dict[str, str], after: dict[str, str], forbidden: bool
) -> None:
    """A gate lets its targets move while it is open before; an assertion must hold after what moves."""
    assert found.forbids(before, after) is forbidden


def test_the_stored_change_says_where_it_is_put_back(made: Cloud) -> None:
    """The journal and the dead-man have the endpoints; a Change of an older harness has none."""
    change = moved(made)
    assert all(tuple(call["endpoints"]) == ENDPOINT_REGIONS for call in change.to_json()["restore"])
    (line,) = [call.cli("http://elsewhere") for call in change.restore]
    assert line.count(" --endpoint-url http://127.") == len(ENDPOINT_REGIONS) == line.count(" || ") + 1
    assert "elsewhere" not in line


def test_the_dead_man_passes_over_an_endpoint_that_is_down(made: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own code puts the stored Change back, and reads it back, with the first endpoint gone."""
    for name, value in (("TABLE", "t"), ("AWS_ACCESS_KEY_ID", "me"), ("AWS_SECRET_ACCESS_KEY", "me")):
        monkeypatch.setenv(name, value)
    function = runpy.run_path(str(FOLDER / "dead_man.py"))
    change = moved(made)
    run(made, *change.inject)
    made.arc.endpoint_down(ENDPOINT_REGIONS[0])
    try:
        outcome, _ = function["_put_back"](json.loads(json.dumps(change.to_json())))
    finally:
        made.arc.endpoint_up(ENDPOINT_REGIONS[0])
    assert (outcome, states(made)) == ("restored", ["On", "Off"])
