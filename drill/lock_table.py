"""The lock between machines: one item of a DynamoDB table in the observer Region of the target's own account.

    PK          "lock#<target>"
    epoch       number; +1 whenever the lock is taken or taken away; never lower, never deleted
    holder      map (see drill.holder), absent when nobody holds it
    expires_at  seconds since 1970: renewed while the holder lives

Every change is conditional on the epoch that was read, so that of two only one succeeds. A holder that has not
renewed is told as such; it is never pushed aside without a person's word, for it may have left the system broken.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from drill.aws import Aws, AwsFailed
from drill.call import Call
from drill.errors import Fenced, Refused
from drill.holder import Holder, holder_from
from drill.iam import Need
from drill.target import Target

MISSING = "ResourceNotFoundException"
LOST_RACE = "ConditionalCheckFailedException"
NAMES = {"#h": "holder", "#e": "epoch", "#r": "run_id"}
LEASE = {"#x": "expires_at"}


@dataclass(frozen=True)
class Held:
    """The item. epoch: 0 for none yet; holder: None for nobody; expires_at: seconds since 1970, 0 for unknown."""

    epoch: int = 0
    holder: Holder | None = None
    expires_at: float = 0.0


@dataclass
class TableLock:
    """One lock. table, region: where; target: whose; epoch: ours, 0 while it is not ours."""

    aws: Aws
    table: str
    region: str
    target: str
    epoch: int = field(default=0, init=False)

    def look(self) -> Held | None:
        """The item, read consistently; None when there is no such table. Refused for an item of another shape."""
        try:
            reply = self.aws.run(self._call("GetItem", ConsistentRead=True))
        except AwsFailed as error:
            if error.code == MISSING:
                return None
            raise
        try:
            return _held(reply.get("Item", {}))
        except (KeyError, TypeError, ValueError) as error:
            raise Refused(f"the item {self._key()} of table {self.table} is no lock ({error}); look at it") from error

    def acquire(self, holder: Holder, seen: Held, until: datetime) -> bool:
        """Take it, as it was `seen`, for `holder`; False when somebody was faster. AwsFailed otherwise."""
        values = {":h": {"M": _map(holder)}, ":n": _number(seen.epoch + 1), ":x": _number(until.timestamp())}
        change = "SET #h = :h, #e = :n, #x = :x"
        if self._change(change, values, seen) or self._is_ours(holder, seen.epoch + 1):
            self.epoch = seen.epoch + 1
            return True
        return False

    def renew(self, holder: Holder, until: datetime) -> None:
        """Say that the holder lives. Fenced when it is not ours any more; AwsFailed when that could not be said."""
        ours = Held(self.epoch, holder)
        if not self._change("SET #x = :x", {":x": _number(until.timestamp())}, ours):
            self._fenced(self.look())

    def check(self, holder: Holder) -> None:
        """Fenced unless the lock is still ours, by a consistent read. AwsFailed when that cannot be seen."""
        seen = self.look()
        if seen is None or (seen.epoch, seen.holder) != (self.epoch, holder):
            self._fenced(seen)

    def release(self, holder: Holder) -> bool:
        """Give it back, the epoch stays; False when it was not ours any more."""
        return self._change("REMOVE #h, #x", {}, Held(self.epoch, holder))

    def take_away(self, seen: Held) -> bool:
        """Fence the holder that was `seen`: nobody holds it then; False when something changed meanwhile."""
        return self._change("SET #e = :n REMOVE #h, #x", {":n": _number(seen.epoch + 1)}, seen)

    def _change(self, change: str, values: dict[str, Any], seen: Held) -> bool:
        """Make a change if the item is as `seen`; False when it is not."""
        condition, more = _condition(seen)
        used = NAMES | LEASE
        call = self._call(
            "UpdateItem",
            UpdateExpression=change,
            ConditionExpression=condition,
            ExpressionAttributeNames={k: v for k, v in used.items() if k in f"{change} {condition}"},
            ExpressionAttributeValues=values | more,
        )
        try:
            self.aws.run(call)
        except AwsFailed as error:
            if error.code == LOST_RACE:
                return False
            raise
        return True

    def _is_ours(self, holder: Holder, epoch: int) -> bool:
        """The change was made, its answer lost, and the client's second attempt refused: it is ours all the same."""
        seen = self.look()
        return seen is not None and (seen.epoch, seen.holder) == (epoch, holder)

    def _fenced(self, seen: Held | None) -> None:
        now = "the table is gone" if seen is None else f"epoch {seen.epoch}, held by {seen.holder or 'nobody'}"
        raise Fenced(f"the lock on {self.target} was taken from this drill (epoch {self.epoch}): {now}")

    def _call(self, operation: str, **params: Any) -> Call:
        return Call("dynamodb", operation, {"TableName": self.table, "Key": self._key(), **params}, self.region)

    def _key(self) -> dict[str, Any]:
        return {"PK": {"S": f"lock#{self.target}"}}


def needs(target: Target) -> tuple[Need, ...]:
    """What taking, keeping and giving back the lock needs."""
    names = {"TableName": target.safety.stack}
    return tuple(Need("dynamodb", op, target.regions.observer, names=names) for op in ("GetItem", "UpdateItem"))


def _condition(seen: Held) -> tuple[str, dict[str, Any]]:
    if seen.epoch == 0:
        return "attribute_not_exists(#e) AND attribute_not_exists(#h)", {}
    if seen.holder is None:
        return "#e = :e AND attribute_not_exists(#h)", {":e": _number(seen.epoch)}
    return "#e = :e AND #h.#r = :r", {":e": _number(seen.epoch), ":r": {"S": seen.holder.run_id}}


def _held(item: dict[str, Any]) -> Held:
    holder = item.get("holder")
    texts = {k: next(iter(v.values())) for k, v in holder["M"].items()} if holder else None
    epoch = int(item["epoch"]["N"]) if "epoch" in item else 0
    if holder and not epoch:
        raise ValueError("a holder without an epoch")
    return Held(epoch, holder_from(texts) if texts else None, float(item.get("expires_at", {"N": "0"})["N"]))


def _map(holder: Holder) -> dict[str, Any]:
    return {k: _number(v) if isinstance(v, int) else {"S": v} for k, v in holder.to_json().items()}


def _number(value: float) -> dict[str, str]:
    return {"N": str(int(value))}
