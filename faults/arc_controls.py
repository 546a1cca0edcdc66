"""ARC: set routing controls, all of them in one call. Off for a cell turns its traffic away; On lets it in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Change, Effect
from drill.errors import Refused
from drill.find import Found, cluster_endpoints, find_one
from drill.safety_rules import require_admitted, rules_of
from drill.target import Resource

CLUSTER = "route53-recovery-cluster"
State = Literal["On", "Off"]


@dataclass(frozen=True)
class SetRoutingControls:
    """Put the one control that `resource` matches into `state`, and those of `others` into theirs, at once.

    others: (resource, state) pairs in the same ARC cluster, ten controls in all at most (AWS's limit for a call). No
    safety rule is ever overridden, neither to break nor to put back. Effect: as the scenario says.
    """

    resource: Resource
    state: State
    others: tuple[tuple[Resource, State], ...] = ()
    effect: Effect = "region_moved"

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """See Fault. Refused when a control is in its state already, the controls lie in several clusters, or a
        safety rule of their panels forbids the change or the way back."""
        pairs = ((self.resource, self.state), *self.others)
        wanted = [(find_one(aws, "arc.control", resource), state) for resource, state in pairs]
        region, endpoints = _endpoints(aws, [found for found, _ in wanted])
        looks = {found.arn: _look(found.arn, region, endpoints) for found, _ in wanted}
        for found, state in wanted:
            if aws.run(looks[found.arn])["RoutingControlState"] == state:
                raise Refused(f"routing control {found.name} is {state} already; leave it out")
        after = {found.arn: str(state) for found, state in wanted}
        before = {arn: "Off" if state == "On" else "On" for arn, state in after.items()}
        _require_admitted(aws, [found for found, _ in wanted], before, after, endpoints)
        return Change(
            kind="arc.controls",
            target=target,
            run_id=run_id,
            resources=tuple(after),
            effect=self.effect,
            inject=(_setting(after, region, endpoints),),
            restore=(_setting(before, region, endpoints),),
            faulted=_facts(looks, after),
            before=_facts(looks, before),
        )


def _endpoints(aws: Aws, controls: list[Found]) -> tuple[str, dict[str, str]]:
    """The Region of the control plane, and Region -> URL of the data plane."""
    clusters = sorted({control.extra["cluster"] for control in controls})
    if len(clusters) > 1:
        raise Refused(f"the routing controls lie in {len(clusters)} clusters, which one call cannot set: {clusters}")
    region = controls[0].region
    return region, dict(cluster_endpoints(aws, Found("arc.cluster", region, clusters[0], clusters[0])))


def _require_admitted(
    aws: Aws, controls: list[Found], before: Mapping[str, str], after: Mapping[str, str], endpoints: dict[str, str]
) -> None:
    """Refused when a safety rule forbids it; the states of the controls that only the rules name are read."""
    region = controls[0].region
    rules = [rule for panel in sorted({c.extra["panel"] for c in controls}) for rule in rules_of(aws, region, panel)]
    others = {arn for rule in rules for arn in (*rule.controls, *rule.moved)} - after.keys()
    rest = {arn: aws.run(_look(arn, region, endpoints))["RoutingControlState"] for arn in sorted(others)}
    require_admitted(rules, {**rest, **before}, {**rest, **after})


def _look(arn: str, region: str, endpoints: dict[str, str]) -> Call:
    return Call(CLUSTER, "GetRoutingControlState", {"RoutingControlArn": arn}, region, endpoints)


def _setting(states: Mapping[str, str], region: str, endpoints: dict[str, str]) -> Call:
    entries = [{"RoutingControlArn": arn, "RoutingControlState": state} for arn, state in states.items()]
    return Call(
        CLUSTER, "UpdateRoutingControlStates", {"UpdateRoutingControlStateEntries": entries}, region, endpoints
    )


def _facts(looks: Mapping[str, Call], states: Mapping[str, str]) -> tuple[Fact, ...]:
    return tuple(Fact(looks[arn], "RoutingControlState", state) for arn, state in states.items())
