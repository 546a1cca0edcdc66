"""ARC's safety rules: which states of routing controls a control panel admits, as pure functions.

Source: ARC developer guide, "Safety rules": an assertion rule must hold for the controls that it asserts after a
change; a gating rule lets its target controls change only while its gating controls satisfy it. Not played: the wait
period (WaitPeriodMs).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

RuleType = Literal["ATLEAST", "AND", "OR"]


@dataclass(frozen=True)
class SafetyRule:
    """One rule of the panel `panel_arn`. controls: asserted, or gating; targets: of a gating rule, else empty."""

    arn: str
    name: str
    panel_arn: str
    controls: tuple[str, ...]
    kind: RuleType
    threshold: int
    inverted: bool
    wait_ms: int
    targets: tuple[str, ...] = ()

    def shown(self) -> dict[str, object]:
        """As the API shows it, without its status."""
        said = {
            "SafetyRuleArn": self.arn,
            "Name": self.name,
            "ControlPanelArn": self.panel_arn,
            "RuleConfig": {"Inverted": self.inverted, "Threshold": self.threshold, "Type": self.kind},
            "WaitPeriodMs": self.wait_ms,
        }
        controls = list(self.controls)
        if self.targets:
            return {**said, "GatingControls": controls, "TargetControls": list(self.targets)}
        return {**said, "AssertedControls": controls}

    def forbids(self, before: Mapping[str, str], after: Mapping[str, str]) -> bool:
        """Whether it forbids that change. before, after: control ARN -> On or Off, of all the cluster's controls.

        A gating rule looks at its gating controls as they are before the change, and only when a target moves.
        """
        if self.targets:
            return any(before[arn] != after[arn] for arn in self.targets) and not self._satisfied(before)
        moved = any(before[arn] != after[arn] for arn in self.controls)
        return moved and not self._satisfied(after)

    def _satisfied(self, states: Mapping[str, str]) -> bool:
        on = sum(states[arn] == "On" for arn in self.controls)
        needed = {"ATLEAST": self.threshold, "AND": len(self.controls), "OR": 1}[self.kind]
        return (on >= needed) is not self.inverted


def made_of(arn: str, said: Mapping[str, Any]) -> SafetyRule:
    """From the AssertionRule or GatingRule of CreateSafetyRule."""
    config = said["RuleConfig"]
    return SafetyRule(
        arn=arn,
        name=said["Name"],
        panel_arn=said["ControlPanelArn"],
        controls=tuple(said.get("AssertedControls") or said["GatingControls"]),
        kind=config["Type"],
        threshold=int(config["Threshold"]),
        inverted=bool(config["Inverted"]),
        wait_ms=int(said["WaitPeriodMs"]),
        targets=tuple(said.get("TargetControls", ())),
    )
