"""Amazon Application Recovery Controller: routing controls behind five regional endpoints.

Two services of the AWS server: `route53-recovery-control-config` (control plane) and `route53-recovery-cluster`
(data plane). A cluster has five endpoints, each a listener of its own that can be taken away alone; the state
behind them is one. Safety rules: lab.aws.arc_rules.
"""

from __future__ import annotations

import threading
import uuid
from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from moto.core.responses import ActionResult, BaseResponse, EmptyResult

from lab.aws.arc_rules import SafetyRule, made_of
from lab.aws.protocol import AwsError, page
from lab.aws.server import AwsServer
from lab.truth import Truth

T = TypeVar("T")

ENDPOINT_REGIONS = ("us-east-1", "us-west-2", "eu-west-1", "ap-northeast-1", "ap-southeast-2")
"""The Regions of a cluster's endpoints (ARC developer guide), in the order DescribeCluster lists them."""
STATES = ("On", "Off")
MAX_BATCH = 10
"""Entries of one UpdateRoutingControlStates (ARC API reference, quota of routing controls for each call)."""
HISTORY = 256
"""State changes of one control that are remembered; older ones have long propagated."""


@dataclass
class RoutingControl:
    """One control; `changes` are (lab epoch seconds, state) in order of time, the first one its creation."""

    arn: str
    name: str
    panel_arn: str
    changes: list[tuple[float, str]]

    @property
    def state(self) -> str:
        """ "On" or "Off" now."""
        return self.changes[-1][1]


@dataclass
class ControlPanel:
    """A group of controls in a cluster."""

    arn: str
    name: str
    cluster_arn: str
    default: bool = False
    controls: list[RoutingControl] = field(default_factory=list)


@dataclass
class Cluster:
    """A cluster; `endpoints` maps the endpoint's Region to its address."""

    arn: str
    name: str
    endpoints: dict[str, tuple[str, int]]
    panels: list[ControlPanel] = field(default_factory=list)


class Arc:
    """The controls of one lab; registers both services with the server."""

    def __init__(self, server: AwsServer, truth: Truth) -> None:
        self._server = server
        self._truth = truth
        self._lock = threading.Lock()
        self._clusters: dict[str, Cluster] = {}
        self._panels: dict[str, ControlPanel] = {}
        self._controls: dict[str, RoutingControl] = {}
        self.rules: list[SafetyRule] = []
        self.tags: dict[str, dict[str, str]] = {}
        bound = {"arc": self}
        server.serve_class(_Config.SERVICE, type("Config", (_Config,), bound))
        server.serve_class(_Data.SERVICE, type("Data", (_Data,), bound))

    def create_cluster(self, name: str) -> Cluster:
        """A cluster with its default panel and five endpoints up; ConflictException for a name in use."""
        if any(cluster.name == name for cluster in self._clusters.values()):
            raise AwsError("ConflictException", f"a cluster named {name} exists")
        endpoints = {region: self._server.listen(self._server.host) for region in ENDPOINT_REGIONS}
        cluster = Cluster(self._arn(f"cluster/{uuid.uuid4()}"), name, endpoints)
        self._clusters[cluster.arn] = cluster
        self.create_panel(cluster.arn, "DefaultControlPanel", default=True)
        return cluster

    def create_panel(self, cluster_arn: str, name: str, default: bool = False) -> ControlPanel:
        """A panel in an existing cluster; ResourceNotFoundException, ConflictException as published."""
        cluster = self.cluster(cluster_arn)
        if any(panel.name == name for panel in cluster.panels):
            raise AwsError("ConflictException", f"a control panel named {name} exists")
        panel = ControlPanel(self._arn(f"controlpanel/{uuid.uuid4().hex}"), name, cluster_arn, default)
        cluster.panels.append(panel)
        self._panels[panel.arn] = panel
        return panel

    def create_control(self, cluster_arn: str, panel_arn: str | None, name: str) -> RoutingControl:
        """A control, Off as every new one is, in the given panel or the cluster's default one."""
        default = next(panel for panel in self.cluster(cluster_arn).panels if panel.default)
        panel = self.panel(panel_arn) if panel_arn else default
        if any(control.name == name for control in panel.controls):
            raise AwsError("ConflictException", f"a routing control named {name} exists")
        arn = f"{panel.arn}/routingcontrol/{uuid.uuid4().hex[:16]}"
        control = RoutingControl(arn, name, panel.arn, [(self._server.clock.now_s(), "Off")])
        panel.controls.append(control)
        self._controls[arn] = control
        return control

    def clusters(self) -> list[Cluster]:
        """All clusters, oldest first."""
        return list(self._clusters.values())

    def cluster(self, arn: str) -> Cluster:
        """By ARN, or AwsError ResourceNotFoundException."""
        return _found(self._clusters, arn)

    def panel(self, arn: str) -> ControlPanel:
        """By ARN, or AwsError ResourceNotFoundException."""
        return _found(self._panels, arn)

    def control(self, arn: str) -> RoutingControl:
        """By ARN, or AwsError ResourceNotFoundException."""
        return _found(self._controls, arn)

    def update(self, entries: Sequence[tuple[str, str]], overridden: Collection[str] = ()) -> None:
        """Set (control ARN, state) pairs, all or none of them. overridden: ARNs of safety rules that do not count.

        ConflictException when a safety rule forbids it.
        """
        if not 1 <= len(entries) <= MAX_BATCH:
            raise AwsError("ValidationException", f"{len(entries)} entries; 1 to {MAX_BATCH} are allowed")
        pairs = [(self.control(arn), state) for arn, state in entries]
        if wrong := [state for _, state in pairs if state not in STATES]:
            raise AwsError("ValidationException", f"{wrong[0]!r} is not one of {STATES}")
        with self._lock:
            self._judge(dict(entries), overridden)
            now_s = self._server.clock.now_s()
            for control, state in pairs:
                if state != control.state:
                    control.changes = [*control.changes[1 - HISTORY :], (now_s, state)]
        for control, state in pairs:
            self._truth.record("arc", control=control.name, state=state)

    def _judge(self, wanted: dict[str, str], overridden: Collection[str]) -> None:
        before = {arn: control.state for arn, control in self._controls.items()}
        broken = [r.name for r in self.rules if r.arn not in overridden and r.forbids(before, before | wanted)]
        if broken:
            raise AwsError("ConflictException", f"the update violates the safety rules {', '.join(broken)}")

    def state_at(self, control_arn: str, lab_s: float) -> str | None:
        """The state that the control had at that lab time (epoch seconds); None for no such control."""
        control = self._controls.get(control_arn)
        if control is None:
            return None
        changes = control.changes
        at = bisect_right(changes, lab_s, key=lambda change: change[0])
        return changes[max(0, at - 1)][1]

    def endpoint_down(self, region: str) -> None:
        """The cluster endpoints in that Region refuse connections from now on."""
        for cluster in self.clusters():
            self._server.close_listener(cluster.endpoints[region])

    def endpoint_up(self, region: str) -> None:
        """Undo `endpoint_down`: the same addresses listen again."""
        for cluster in self.clusters():
            host, port = cluster.endpoints[region]
            self._server.listen(host, port)

    def _arn(self, rest: str) -> str:
        return f"arn:aws:route53-recovery-control::{self._server.account}:{rest}"


def _found(where: dict[str, T], arn: str) -> T:
    if arn not in where:
        raise AwsError("ResourceNotFoundException", f"{arn} does not exist")
    return where[arn]


class _Responses(BaseResponse):
    """What both services share; `arc` is set by Arc on a subclass of its own."""

    SERVICE = ""
    arc: Arc

    def __init__(self) -> None:
        super().__init__(service_name=self.SERVICE)
        self.automated_parameter_parsing = True

    def _page(self, key: str, shown: Sequence[dict[str, Any]]) -> ActionResult:
        limit = int(self._get_param("MaxResults", 100))
        items, token = page(shown, limit, self._get_param("NextToken"))
        return ActionResult({key: items, "NextToken": token} if token else {key: items})


class _Config(_Responses):
    """Control plane. What was just created shows PENDING once and DEPLOYED from then on."""

    SERVICE = "route53-recovery-control-config"

    def create_cluster(self) -> ActionResult:
        cluster = self.arc.create_cluster(self._get_param("ClusterName"))
        return ActionResult({"Cluster": {**self._cluster(cluster), "Status": "PENDING"}})

    def describe_cluster(self) -> ActionResult:
        return ActionResult({"Cluster": self._cluster(self.arc.cluster(self._get_param("ClusterArn")))})

    def list_clusters(self) -> ActionResult:
        return self._page("Clusters", [self._cluster(cluster) for cluster in self.arc.clusters()])

    def create_control_panel(self) -> ActionResult:
        panel = self.arc.create_panel(self._get_param("ClusterArn"), self._get_param("ControlPanelName"))
        return ActionResult({"ControlPanel": {**self._panel(panel), "Status": "PENDING"}})

    def describe_control_panel(self) -> ActionResult:
        return ActionResult({"ControlPanel": self._panel(self.arc.panel(self._get_param("ControlPanelArn")))})

    def list_control_panels(self) -> ActionResult:
        wanted = self._get_param("ClusterArn")
        found = [panel for cluster in self.arc.clusters() for panel in cluster.panels]
        return self._page(
            "ControlPanels", [self._panel(panel) for panel in found if wanted in {None, panel.cluster_arn}]
        )

    def create_routing_control(self) -> ActionResult:
        control = self.arc.create_control(
            self._get_param("ClusterArn"),
            self._get_param("ControlPanelArn"),
            self._get_param("RoutingControlName"),
        )
        return ActionResult({"RoutingControl": {**self._control(control), "Status": "PENDING"}})

    def describe_routing_control(self) -> ActionResult:
        control = self.arc.control(self._get_param("RoutingControlArn"))
        return ActionResult({"RoutingControl": self._control(control)})

    def list_routing_controls(self) -> ActionResult:
        panel = self.arc.panel(self._get_param("ControlPanelArn"))
        return self._page("RoutingControls", [self._control(control) for control in panel.controls])

    def create_safety_rule(self) -> ActionResult:
        given = {kind: self._get_param(kind) for kind in ("AssertionRule", "GatingRule") if self._get_param(kind)}
        ((kind, said),) = given.items()
        arn = f"{self.arc.panel(said['ControlPanelArn']).arn}/safetyrule/{uuid.uuid4().hex[:16]}"
        rule = made_of(arn, said)
        for control in (*rule.controls, *rule.targets):
            self.arc.control(control)
        self.arc.rules.append(rule)
        return ActionResult({kind: {**rule.shown(), "Status": "PENDING"}})

    def list_safety_rules(self) -> ActionResult:
        panel = self.arc.panel(self._get_param("ControlPanelArn")).arn
        found = [rule for rule in self.arc.rules if rule.panel_arn == panel]
        kinds = ("ASSERTION", "GATING")
        return self._page(
            "SafetyRules", [{kinds[bool(r.targets)]: {**r.shown(), "Status": "DEPLOYED"}} for r in found]
        )

    def tag_resource(self) -> ActionResult:
        self.arc.tags.setdefault(self._get_param("ResourceArn"), {}).update(self._get_param("Tags"))
        return EmptyResult()

    def list_tags_for_resource(self) -> ActionResult:
        return ActionResult({"Tags": self.arc.tags.get(self._get_param("ResourceArn"), {})})

    def _cluster(self, cluster: Cluster) -> dict[str, Any]:
        endpoints = [
            {"Endpoint": f"http://{host}:{port}/v1", "Region": region}
            for region, (host, port) in cluster.endpoints.items()
        ]
        return {
            "ClusterArn": cluster.arn,
            "ClusterEndpoints": endpoints,
            "Name": cluster.name,
            "Status": "DEPLOYED",
            "Owner": self.current_account,
        }

    def _panel(self, panel: ControlPanel) -> dict[str, Any]:
        return {
            "ClusterArn": panel.cluster_arn,
            "ControlPanelArn": panel.arn,
            "DefaultControlPanel": panel.default,
            "Name": panel.name,
            "RoutingControlCount": len(panel.controls),
            "Status": "DEPLOYED",
            "Owner": self.current_account,
        }

    def _control(self, control: RoutingControl) -> dict[str, Any]:
        return {
            "ControlPanelArn": control.panel_arn,
            "Name": control.name,
            "RoutingControlArn": control.arn,
            "Status": "DEPLOYED",
            "Owner": self.current_account,
        }


class _Data(_Responses):
    """Data plane: the same answers at each endpoint that is up."""

    SERVICE = "route53-recovery-cluster"

    def get_routing_control_state(self) -> ActionResult:
        control = self.arc.control(self._get_param("RoutingControlArn"))
        return ActionResult(
            {
                "RoutingControlArn": control.arn,
                "RoutingControlState": control.state,
                "RoutingControlName": control.name,
            }
        )

    def list_routing_controls(self) -> ActionResult:
        wanted = self._get_param("ControlPanelArn")
        panels = [panel for cluster in self.arc.clusters() for panel in cluster.panels]
        if wanted is not None:
            panels = [self.arc.panel(wanted)]
        shown = [self._shown(panel, control) for panel in panels for control in panel.controls]
        return self._page("RoutingControls", shown)

    def update_routing_control_state(self) -> ActionResult:
        entry = (self._get_param("RoutingControlArn"), self._get_param("RoutingControlState"))
        self.arc.update([entry], self._get_param("SafetyRulesToOverride", []))
        return EmptyResult()

    def update_routing_control_states(self) -> ActionResult:
        entries = self._get_param("UpdateRoutingControlStateEntries", [])
        pairs = [(entry["RoutingControlArn"], entry["RoutingControlState"]) for entry in entries]
        self.arc.update(pairs, self._get_param("SafetyRulesToOverride", []))
        return EmptyResult()

    def _shown(self, panel: ControlPanel, control: RoutingControl) -> dict[str, Any]:
        return {
            "ControlPanelArn": panel.arn,
            "ControlPanelName": panel.name,
            "RoutingControlArn": control.arn,
            "RoutingControlName": control.name,
            "RoutingControlState": control.state,
            "Owner": self.current_account,
        }
