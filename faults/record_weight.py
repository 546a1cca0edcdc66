"""Route 53: give a weighted record another weight (0: its share of the answers is gone, unless all have 0)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Change, Effect
from drill.errors import Refused
from drill.find import find_one
from drill.target import Resource


@dataclass(frozen=True)
class SetRecordWeight:
    """Set the weight of the one record whose SetIdentifier `resource.name` matches, of the name `resource.within`.

    weight: 0 to 255. It is compared as a whole before it is put back: a record of which anything else was changed
    meanwhile is left alone. The blast radius is the hosted zone's id, under "global". Effect: as the scenario says;
    clients see it when their resolvers' caches have aged.
    """

    resource: Resource
    weight: int
    effect: Effect = "region_moved"

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """See Fault. Refused when the record has no weight, or that one already."""
        found = find_one(aws, "route53.record", self.resource)
        name, region, zone = found.extra["record"], self.resource.region, {"HostedZoneId": found.extra["zone"]}
        start = {"StartRecordName": name, "StartRecordType": found.extra["type"]}
        look = Call("route53", "ListResourceRecordSets", {**zone, **start}, region)
        path = f"ResourceRecordSets[?Name == '{name}' && SetIdentifier == '{found.name}'] | [0]"
        before: dict[str, Any] = Fact(look, path, None).extract(aws.run(look))
        if "Weight" not in before:
            raise Refused(f"record {name} {found.name} has no weight: its zone does not route by weight")
        if before["Weight"] == self.weight:
            raise Refused(f"record {name} {found.name} has a weight of {self.weight} already")
        after = {**before, "Weight": self.weight}
        return Change(
            kind="route53.weight",
            target=target,
            run_id=run_id,
            resources=(found.arn,),
            effect=self.effect,
            inject=(_upsert(zone, after, region),),
            restore=(_upsert(zone, before, region),),
            faulted=(Fact(look, path, after),),
            before=(Fact(look, path, before),),
        )


def _upsert(zone: dict[str, str], record: dict[str, Any], region: str) -> Call:
    changes = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]}
    return Call("route53", "ChangeResourceRecordSets", {**zone, "ChangeBatch": changes}, region)
