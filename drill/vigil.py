"""What watches over a drill from within: its lock is kept, stop conditions end it, nothing is touched blindly.

Called at each look of the drill. While something is put back it raises nothing: a restore always comes to its end.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from drill.errors import DrillError, Invalid, Refused
from drill.interrupt import Interrupts
from drill.lock import ExclusiveLock
from drill.stop import StopConditions
from drill.timeline import Timeline


@dataclass
class Vigil:
    """Over one drill. refused: why nothing may be touched at all, "" once the scenario has been walked through."""

    lock: ExclusiveLock
    conditions: StopConditions
    interrupts: Interrupts
    timeline: Timeline
    refused: str = "nobody has walked through the scenario yet: break things inside it, not in a fixture"
    _stopped: str = field(default="", init=False)

    def look(self) -> None:
        """Keep the lock; Stopped when a condition says so, Fenced when the lock is lost."""
        if self.interrupts.shielding:
            self._keep()
            return
        reason = self.lock.renew() or self.conditions.due()
        if reason:
            self._stop(reason)

    def before_touching(self) -> None:
        """Look at everything, whether it is time or not. Refused, Fenced, Stopped or Invalid."""
        if self.refused:
            raise Refused(self.refused)
        self.lock.check()
        reason = self._stopped or self.conditions.now()
        if reason:
            self._stop(reason)
        if self.interrupts.noted:  # a scenario that went on after it was stopped
            raise Invalid(f"stopped: {', '.join(self.interrupts.noted)}; nothing more is touched")

    def _stop(self, reason: str) -> None:
        if not self._stopped:
            self._stopped = reason
            self.timeline.mark("stopped", reason=reason)
        self.interrupts.stop(reason)

    def _keep(self) -> None:
        try:
            self.lock.renew()
        except DrillError as error:
            self.timeline.mark("lock.lost", reason=str(error))
