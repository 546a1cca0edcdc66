"""ARC's safety rules, read beforehand: what a control panel would refuse is refused before anything is touched.

AWS judges an update of routing controls by the rules of their panel and answers ConflictException. By then a drill
has begun, or, worse, has broken what the rule does not let it put back. So both ways are judged here first, by the
rules as they are (ARC developer guide, "Safety rules"): an assertion rule must hold for the controls that it asserts
after a change of any of them; a gating rule lets its targets change only while its gating controls satisfy it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from drill.aws import Aws
from drill.call import Call
from drill.errors import Refused

SERVICE = "route53-recovery-control-config"
MAX_PAGES = 100
States = Mapping[str, str]
"""Routing control ARN -> "On" or "Off"."""


@dataclass(frozen=True)
class SafetyRule:
    """One rule. controls: those that it counts; moved: those whose change it judges; gates: whether it is a gate."""

    name: str
    controls: tuple[str, ...]
    moved: tuple[str, ...]
    gates: bool
    at_least: int
    inverted: bool

    def forbids(self, before: States, after: States) -> bool:
        """Whether it forbids that change; the states are of all its controls. A gate counts as it is before."""
        if all(before[arn] == after[arn] for arn in self.moved):
            return False
        states = before if self.gates else after
        enough = sum(states[arn] == "On" for arn in self.controls) >= self.at_least
        return enough is self.inverted


def rules_of(aws: Aws, region: str, panel: str) -> tuple[SafetyRule, ...]:
    """The rules of a control panel (its ARN). AwsFailed when they cannot be read: unknown is no permission."""
    found: list[SafetyRule] = []
    params: dict[str, Any] = {"ControlPanelArn": panel}
    for _ in range(MAX_PAGES):
        reply = aws.run(Call(SERVICE, "ListSafetyRules", params, region))
        found += [_rule(said) for item in reply["SafetyRules"] for said in item.values()]
        if not reply.get("NextToken"):
            return tuple(found)
        params = params | {"NextToken": reply["NextToken"]}
    raise Refused(f"{panel} has more than {MAX_PAGES} pages of safety rules: nobody knows what they forbid")


def require_admitted(rules: Iterable[SafetyRule], before: States, after: States) -> None:
    """Refused, with the rules' names, when one forbids the change or the way back."""
    known = tuple(rules)
    for way, one, other in (("", before, after), ("putting it back, which is ", after, before)):
        names = ", ".join(rule.name for rule in known if rule.forbids(one, other))
        if names:
            moves = ", ".join(_moves(one, other))
            raise Refused(
                f"{way}{moves}: forbidden by the safety rule {names} of the control panel, which no drill overrides; "
                "drill another change, or let the owner of the panel change the rule"
            )


def _rule(said: Mapping[str, Any]) -> SafetyRule:
    config, gates = said["RuleConfig"], "GatingControls" in said
    controls = tuple(said["GatingControls" if gates else "AssertedControls"])
    at_least = {"ATLEAST": int(config["Threshold"]), "AND": len(controls), "OR": 1}[config["Type"]]
    moved = tuple(said["TargetControls"]) if gates else controls
    return SafetyRule(said["Name"], controls, moved, gates, at_least, bool(config["Inverted"]))


def _moves(before: States, after: States) -> Iterator[str]:
    return (f"{arn.rpartition('/')[2]} {after[arn]}" for arn in sorted(after) if before[arn] != after[arn])
