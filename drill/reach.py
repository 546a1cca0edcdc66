"""How a world is reached, with nothing else of its target: enough to restore where only the journal is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from drill.rights import Rights

if TYPE_CHECKING:  # a restorer that has only the journal needs no target, and starts sooner without it
    from drill.target import Target


@dataclass(frozen=True)
class Reach:
    """target: its name; account: whose credentials are needed; region: where to ask whose they are.

    endpoint_url: one URL for all services (a lab), None on AWS. speed: target seconds per wall second.
    restore_timeout_s: target seconds to wait until everything runs as before. rights: whose credentials are used.
    """

    target: str
    account: str
    region: str
    endpoint_url: str | None
    speed: float
    restore_timeout_s: float
    rights: Rights = field(default_factory=Rights)

    @classmethod
    def of(cls, target: Target, speed: float) -> Reach:
        """Of a target with its connection."""
        return cls(
            target=target.name,
            account=target.account,
            region=target.regions.observer,
            endpoint_url=target.connection.aws_endpoint,
            speed=speed,
            restore_timeout_s=target.timings.restore_timeout_s,
            rights=target.access.rights,
        )

    def to_json(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Reach:
        """What `to_json` gave; what a newer version has added is passed over. KeyError when something is missing."""
        known = {name: record[name] for name in cls.__dataclass_fields__ if name != "rights"}
        return cls(**known, rights=Rights(**record.get("rights", {})))
