"""Load balancers of the lab: which addresses a balancer's DNS name has, and the true health of its targets.

moto's elbv2 stores balancers, listeners and target groups; whoever runs the balancers tells this registry
their addresses (`assign`) and what their health checks see (`set_health`).
"""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from moto.core.responses import ActionResult
from moto.elbv2.exceptions import TargetGroupNotFoundError
from moto.elbv2.models import elbv2_backends
from moto.elbv2.responses import ELBV2Response

from lab.aws.server import AwsError, AwsServer

REASONS = {
    "initial": ("Elb.RegistrationInProgress", "Target registration is in progress"),
    "healthy": (None, None),
    "unhealthy": ("Target.FailedHealthChecks", "Health checks failed"),
    "draining": ("Target.DeregistrationInProgress", "Target deregistration is in progress"),
    "unused": ("Target.NotInUse", "Target group is not configured to receive traffic from the load balancer"),
}
"""Target state -> reason code and description (ELB v2 API reference, TargetHealth)."""


class Balancers:
    """Serves elbv2 for `server`."""

    def __init__(self, server: AwsServer) -> None:
        self._server = server
        self._lock = threading.Lock()
        self._addresses: dict[str, tuple[str, ...]] = {}
        self._health: dict[str, dict[str, str]] = {}
        self._networks: dict[str, ipaddress.IPv4Network] = {}
        server.serve_class("elbv2", type("Elbv2", (_Elbv2,), {"balancers": self}))

    def assign(self, load_balancer_name: str, region: str, addresses: Sequence[str]) -> str:
        """Give an existing load balancer its addresses and return its DNS name; KeyError when it is unknown."""
        for balancer in elbv2_backends[self._server.account][region].load_balancers.values():
            if balancer.name == load_balancer_name:
                self._addresses[balancer.dns_name.lower()] = tuple(addresses)
                return str(balancer.dns_name)
        raise KeyError(f"no load balancer {load_balancer_name} in {region}")

    def addresses(self, dns_name: str) -> list[str]:
        """Addresses of the balancer with that DNS name, with or without `dualstack.`; empty when unknown."""
        return list(self._addresses.get(_plain(dns_name), ()))

    def restrict(self, target_group_arn: str, cidr: str) -> None:
        """Let the group take addresses of that network only, as a group of IP targets takes its VPC's."""
        self._networks[target_group_arn] = ipaddress.ip_network(cidr)  # type: ignore[assignment]

    def require_inside(self, target_group_arn: str, addresses: Iterable[str]) -> None:
        """AwsError InvalidTarget, as RegisterTargets names it, for an address that the group cannot have."""
        network = self._networks.get(target_group_arn)
        for address in addresses if network else ():
            if ipaddress.ip_address(address) not in network:  # type: ignore[operator]
                what = f"The IP address '{address}' is not within the address ranges of the target group's VPC"
                raise AwsError("InvalidTarget", what)

    def set_health(self, target_group_arn: str, states: Mapping[str, str]) -> None:
        """What the balancer sees, replacing what it saw before: target ("address:port" or id) -> state.

        States as DescribeTargetHealth names them; ValueError for another one.
        """
        if wrong := set(states.values()) - set(REASONS):
            raise ValueError(f"{sorted(wrong)} are no target states; {sorted(REASONS)} are")
        with self._lock:
            self._health[target_group_arn] = dict(states)

    def health(self, target_group_arn: str) -> dict[str, str]:
        """The last `set_health` of that target group."""
        with self._lock:
            return dict(self._health.get(target_group_arn, {}))

    def healthy(self, dns_name: str) -> bool:
        """For EvaluateTargetHealth: every target group that has targets has a healthy one, and one has.

        Route 53 developer guide, "Values specific for simple alias records", EvaluateTargetHealth.
        """
        groups = [self.health(arn) for arn in self._groups(_plain(dns_name))]
        used = [set(states.values()) for states in groups if states]
        return bool(used) and all("healthy" in states for states in used)

    def _groups(self, dns_name: str) -> list[str]:
        for backend in list(elbv2_backends[self._server.account].values()):
            for balancer in backend.load_balancers.values():
                if balancer.dns_name.lower() == dns_name:
                    groups = backend.target_groups.values()
                    return [group.arn for group in groups if balancer.arn in group.load_balancer_arns]
        return []


def _plain(dns_name: str) -> str:
    return dns_name.lower().rstrip(".").removeprefix("dualstack.")


class _Elbv2(ELBV2Response):
    """moto's elbv2 with the true health of targets; `balancers` is set by Balancers on a subclass."""

    balancers: Balancers

    def register_targets(self) -> ActionResult:
        targets = self._get_param("Targets", [])
        self.balancers.require_inside(self._get_param("TargetGroupArn"), (str(t["Id"]) for t in targets))
        return super().register_targets()

    def deregister_targets(self) -> ActionResult:
        """A target that is not there is no error: "If the specified target does not exist, the action returns
        successfully" (API reference)."""
        group = self.elbv2_backend.target_groups.get(self._get_param("TargetGroupArn"))
        there = [t for t in self._get_param("Targets", []) if group is None or str(t["Id"]) in group.targets]
        if there:
            self.elbv2_backend.deregister_targets(self._get_param("TargetGroupArn"), there)
        return ActionResult({})

    def describe_target_health(self) -> ActionResult:
        arn = self._get_param("TargetGroupArn")
        group = self.elbv2_backend.target_groups.get(arn)  # moto's own way keeps an object of every answer for good
        if group is None:
            raise TargetGroupNotFoundError()
        seen = self.balancers.health(arn)
        shown = {_split(target, group.port): state for target, state in seen.items()}
        for target in group.targets.values():
            key = (str(target["Id"]), int(target.get("Port") or group.port or 0))
            shown.setdefault(key, "initial" if group.load_balancer_arns else "unused")
        for target in self._get_param("Targets", []):
            key = (str(target["Id"]), int(target.get("Port") or group.port or 0))
            shown.setdefault(key, "unused")
        wanted = {str(target["Id"]) for target in self._get_param("Targets", [])}
        found = [self._shown(key, state) for key, state in sorted(shown.items()) if not wanted or key[0] in wanted]
        return ActionResult({"TargetHealthDescriptions": found})

    @staticmethod
    def _shown(target: tuple[str, int], state: str) -> dict[str, Any]:
        reason, description = REASONS[state]
        health = {"State": state, "Reason": reason, "Description": description}
        return {
            "Target": {"Id": target[0], "Port": target[1]},
            "HealthCheckPort": str(target[1]),
            "TargetHealth": {name: value for name, value in health.items() if value},
        }


def _split(target: str, default_port: Any) -> tuple[str, int]:
    address, _, port = target.partition(":")
    return address, int(port or default_port or 0)
