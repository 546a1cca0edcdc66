"""Fencing: a process that was stopped, and wakes after another one restored, changes nothing more.

Before every request that may change something is sent, the executor asks the fence (`Aws.admit`). It refuses when
another process has claimed the journal since (every restorer does so before its first call), and when this process
has given no sign of life for longer than its lease: whoever watches it may be restoring at this very moment.

What a check cannot close is the instant between it and the sending: a process stopped right there sends when
it wakes. The restorer closes that from its side: it looks again until the process is gone (commands/watchdog.py).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Protocol

from drill.call import Call
from drill.clock import lived_s
from drill.errors import Fenced, Invalid
from drill.journal import Journal


class Watcher(Protocol):
    """The drill's side of who watches it."""

    def beat(self) -> None:
        """A sign of life. Never blocks, never raises."""

    def problem(self) -> str | None:
        """Why nobody would put anything back if this process died now; None while somebody would."""


class Guarded(Protocol):
    """What a drill asks of its fence."""

    def look(self) -> None:
        """At each look: a sign of life. Fenced when this process has lost the right to change anything."""

    def beat(self) -> None:
        """Only the sign of life."""

    def may_inject(self) -> None:
        """Before something new is broken. Fenced, or Invalid when nobody watches."""


class Fence:
    """Of one journal that this process has claimed.

    lease_s: wall seconds without a sign of life after which this process counts as hung; infinite without a watcher.
    watcher: None for a restorer, which nobody watches and which never injects. lived: wall seconds, suspension
    included.
    """

    def __init__(
        self,
        journal: Journal,
        lease_s: float = math.inf,
        watcher: Watcher | None = None,
        lived: Callable[[], float] = lived_s,
    ) -> None:
        self._journal, self._lease_s, self._watcher, self._lived = journal, lease_s, watcher, lived
        self._beaten_s = lived()

    def admit(self, call: Call) -> None:
        """Before each AWS call. Fenced when it may change something and this process may not."""
        if call.mutates:
            self._require_ours(f"{call.service}:{call.operation} in {call.region}")
            self._require_lease(f"{call.service}:{call.operation} in {call.region}")
        self.beat()

    def look(self) -> None:
        """See Guarded."""
        self._require_ours("the drill")
        self.beat()

    def beat(self) -> None:
        """See Guarded. Only the main thread's counts: a helper thread that lives says nothing about a hung drill."""
        if threading.current_thread() is threading.main_thread():
            self._beaten_s = self._lived()
            if self._watcher is not None:
                self._watcher.beat()

    def may_inject(self) -> None:
        """See Guarded."""
        self._require_ours("an injection")
        problem = None if self._watcher is None else self._watcher.problem()
        if problem is not None:
            raise Invalid(f"nothing more was injected, because nobody would put it back: {problem}")

    def _require_ours(self, what: str) -> None:
        other = self._journal.fenced_by()
        if other is not None:
            taker = f"{other}, epoch {other.epoch},"
            raise Fenced(f"{what} was stopped: {taker} has taken over the restore; this process changes nothing more")

    def _require_lease(self, what: str) -> None:
        silent_s = self._lived() - self._beaten_s
        if silent_s > self._lease_s:
            raise Fenced(
                f"{what} was not called: this process gave no sign of life for {silent_s:.1f} s, longer than its "
                f"lease (safety.lease_wall_s = {self._lease_s:g}), so somebody may be restoring"
            )


class Unfenced:
    """Of a drill that shares its journal with nobody: tests of parts."""

    def look(self) -> None:
        """See Guarded."""

    def beat(self) -> None:
        """See Guarded."""

    def may_inject(self) -> None:
        """See Guarded."""
