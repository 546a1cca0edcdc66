"""ECS: scale a service to another desired count (0: the service is gone, the cluster and the rest stay)."""

from __future__ import annotations

from dataclasses import dataclass

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Change
from drill.errors import Refused
from drill.find import Found, find_one
from drill.target import Resource


@dataclass(frozen=True)
class ScaleEcsService:
    """Set the desired count of the one service that `resource` matches, and of each of `others`, all at once.

    desired: >= 0, of each. Effect: clients see errors. In force when the running counts have followed.
    """

    resource: Resource
    desired: int = 0
    others: tuple[Resource, ...] = ()

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """See Fault. Refused when a service already has the desired count: then there is nothing to break."""
        found = [find_one(aws, "ecs.service", resource) for resource in (self.resource, *self.others)]
        looks = [_look(service) for service in found]
        counts = [int(aws.run(look)["services"][0]["desiredCount"]) for look in looks]
        for service, before in zip(found, counts, strict=True):
            if before == self.desired:
                where = f"{service.name} in {service.region}"
                raise Refused(f"ECS service {where} already has a desired count of {before}")
        wanted = [self.desired] * len(found)
        return Change(
            kind="ecs.scale",
            target=target,
            run_id=run_id,
            resources=tuple(service.arn for service in found),
            effect="errors",
            inject=_updates(found, wanted),
            restore=_updates(found, counts),
            faulted=_facts(looks, "desiredCount", wanted),
            before=_facts(looks, "desiredCount", counts),
            effective=_facts(looks, "runningCount", wanted),
            healed=_facts(looks, "runningCount", counts),
        )


def _look(service: Found) -> Call:
    keys = {"cluster": service.extra["cluster"], "services": [service.arn]}
    return Call("ecs", "DescribeServices", keys, service.region)


def _updates(services: list[Found], counts: list[int]) -> tuple[Call, ...]:
    return tuple(
        Call(
            "ecs",
            "UpdateService",
            {"cluster": service.extra["cluster"], "service": service.arn, "desiredCount": count},
            service.region,
        )
        for service, count in zip(services, counts, strict=True)
    )


def _facts(looks: list[Call], what: str, counts: list[int]) -> tuple[Fact, ...]:
    return tuple(Fact(look, f"services[0].{what}", count) for look, count in zip(looks, counts, strict=True))
