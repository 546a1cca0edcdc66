"""One drill per target at a time: between the processes of a machine, and between machines.

Taken before anything is touched, checked before each injection, renewed at the drill's looks, given back at its end.
A holder that this machine knows to be dead is replaced, once nothing is outstanding in its journal; any other holder
stays until it ends, or until a person takes its place away (`drill unlock`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from drill.aws import Aws, AwsFailed
from drill.clock import Clock
from drill.errors import Fenced, Refused
from drill.holder import Holder, this_process
from drill.journal import Unreadable, outstanding
from drill.lock_file import FileLock, runtime_folder
from drill.lock_table import Held, TableLock
from drill.target import Target

RENEWALS = 3
"""Tries to renew within one lease."""
Place = Literal["machine", "account"]


@dataclass
class ExclusiveLock:
    """The lock on one target, for one drill.

    machine: between processes; account: between machines, None where a lab has no table for it. lease_wall_s: wall
    seconds for which a renewal is good.
    """

    target: Target
    aws: Aws
    clock: Clock
    machine: FileLock
    account: TableLock
    shared: bool = field(default=False, init=False)
    _mine: Holder | None = field(default=None, init=False)
    _renewed_s: float = field(default=0.0, init=False)
    _tried_s: float = field(default=0.0, init=False)

    @classmethod
    def of(cls, target: Target, aws: Aws, clock: Clock, folder: Path | None = None) -> ExclusiveLock:
        """The lock of a target that can be reached. folder: of the machine's locks."""
        machine = FileLock(folder or runtime_folder(), lock_key(target, aws.endpoint_url))
        return cls(
            target, aws, clock, machine, TableLock(aws, target.safety.stack, target.regions.observer, target.name)
        )

    def acquire(self, run_id: str, run_folder: Path) -> str:
        """Take both; what was taken, in words. Refused, with nothing taken, when one is held or cannot be had."""
        mine = this_process(
            run_id, run_folder, self._now().isoformat(timespec="seconds"), lab=self.target.kind == "lab"
        )
        self._take_machine(mine)
        try:
            self.shared = self._take_account(mine)
        except BaseException:
            self.machine.release(mine)
            raise
        self._mine = mine
        self._renewed_s = self._tried_s = self.clock.monotonic_s()
        self.machine.sweep(_over)
        where = f"table {self.account.table}, epoch {self.account.epoch}" if self.shared else "no table: a lab"
        return f"held by {mine} ({where})"

    def check(self) -> None:
        """Fenced unless both are still ours. AwsFailed when that cannot be seen."""
        if self._mine is None:
            raise Fenced(f"the lock on {self.target.name} is not held")
        self.machine.check(self._mine)
        if self.shared:
            self.account.check(self._mine)

    def renew(self) -> str:
        """Renew when it is time; "" or, once a whole lease could not be renewed, why not. Fenced when it is lost."""
        lease_s, now_s = self.target.safety.lease_wall_s, self.clock.monotonic_s()
        if self._mine is None or not self.shared or now_s - self._tried_s < lease_s / RENEWALS:
            return ""
        self._tried_s = now_s
        try:
            self.account.renew(self._mine, self._until())
        except AwsFailed as error:
            silent_s = now_s - self._renewed_s
            return f"the lock could not be renewed for {silent_s:.0f} s (wall): {error}" if silent_s > lease_s else ""
        self._renewed_s = now_s
        return ""

    def release(self) -> None:
        """Give both back. Idempotent; Fenced when one was not ours any more, AwsFailed when AWS did not take it."""
        mine, self._mine = self._mine, None
        if mine is None:
            return
        try:
            kept = self.account.release(mine) if self.shared else True
        finally:
            here = self.machine.release(mine)
        if not (kept and here):
            raise Fenced(f"the lock on {self.target.name} was taken from this drill before its end")

    def holders(self) -> dict[Place, Held]:
        """Who holds what now; nothing for what is free."""
        found: dict[Place, Held] = {}
        if (holder := self.machine.holder()) is not None:
            found["machine"] = Held(0, holder)
        if (seen := self.account.look()) is not None and seen.holder is not None:
            found["account"] = seen
        return found

    def take_away(self, run_id: str) -> tuple[Place, ...]:
        """Fence the dead holder of that run id; what was taken. Refused when it lives, or is not the holder."""
        held = {place: seen for place, seen in self.holders().items() if seen.holder and seen.holder.run_id == run_id}
        if not held:
            raise Refused(f"run {run_id} does not hold the lock on {self.target.name}; `drill unlock` shows who does")
        for seen in held.values():
            assert seen.holder is not None
            if seen.holder.here and not seen.holder.dead:
                raise Refused(f"{seen.holder} is alive: end it first (kill {seen.holder.pid})")
            self._require_nothing_left(seen.holder)
        for place, seen in held.items():
            assert seen.holder is not None
            gone = self.machine.release(seen.holder) if place == "machine" else self.account.take_away(seen)
            if not gone:
                raise Refused(f"the lock on {self.target.name} has just changed hands; look again")
        return tuple(held)

    def _take_machine(self, mine: Holder) -> None:
        former = self.machine.holder()
        if former is not None and former.dead:
            self._require_known(former)
        if (found := self.machine.acquire(mine)) is not None:
            raise Refused(self._held(found, ""))

    def _take_account(self, mine: Holder) -> bool:
        """Whether there is a table; it is ours then."""
        try:
            seen = self.account.look()
        except AwsFailed as error:
            raise Refused(f"the lock on {self.target.name} cannot be looked at: {error}") from error
        if seen is None:
            if self.target.kind == "lab":
                return False
            raise Refused(
                f"no table {self.account.table} in {self.account.region}, so no lock between machines; "
                f"install it: drill install --target {self.target.name}"
            )
        if seen.holder is not None:
            if not seen.holder.dead:
                raise Refused(self._held(seen.holder, self._silence(seen)))
            self._require_known(seen.holder)
        try:
            if self.account.acquire(mine, seen, self._until()):
                return True
        except AwsFailed as error:
            raise Refused(f"the lock on {self.target.name} cannot be taken: {error}") from error
        raise Refused(f"another drill of {self.target.name} was faster; wait for its end")

    def _require_known(self, dead: Holder) -> None:
        """Nothing is left, and nobody threw away what says so."""
        if not Path(dead.folder).exists():
            raise Refused(
                f"the drill that held the lock is dead ({dead}) and its run folder {dead.folder} is gone, so nobody "
                f"knows what it left changed; look, then {self._unlock(dead)}"
            )
        self._require_nothing_left(dead)

    def _require_nothing_left(self, dead: Holder) -> None:
        """A dead drill's lock guards what it left broken: that comes first."""
        journal = Path(dead.folder) / "journal.jsonl"
        try:
            left = outstanding(journal)
        except (OSError, Unreadable) as error:
            raise Refused(f"the dead drill that held the lock left a journal that cannot be read: {error}") from error
        if left:
            raise Refused(
                f"the drill that held the lock is dead and left {self.target.name} changed ({dead}); put it back "
                f"first: drill restore {dead.folder}"
            )

    def _held(self, holder: Holder, silence: str) -> str:
        name = self.target.name
        return (
            f"{name} is being drilled: {holder}{silence}; wait for its end. If it is dead: `drill restore` its run "
            f"folder ({holder.folder} on {holder.host}), then {self._unlock(holder)}"
        )

    def _unlock(self, holder: Holder) -> str:
        return f"drill unlock --target {self.target.name} --holder {holder.run_id}"

    def _silence(self, seen: Held) -> str:
        silent_s = self._now().timestamp() - seen.expires_at
        return f", not renewed for at least {silent_s:.0f} s (wall)" if silent_s > 0 else ""

    def _until(self) -> datetime:
        return self._now() + timedelta(seconds=self.target.safety.lease_wall_s)

    def _now(self) -> datetime:
        return self.clock.wall().astimezone(UTC)


def _over(dead: Holder) -> bool:
    """Whether nothing can be left of a dead drill."""
    run = Path(dead.folder)
    try:
        # A lab is gone with its drill, and its run folder may be thrown away; what a drill changed elsewhere stays.
        return not outstanding(run / "journal.jsonl") and (run.exists() or dead.lab)
    except (OSError, Unreadable):
        return False


def lock_key(target: Target, endpoint_url: str | None) -> str:
    """Names the lock of a target in one account of one world."""
    return hashlib.sha256(f"{target.account} {target.name} {endpoint_url or 'aws'}".encode()).hexdigest()[:20]
