"""The next drill's lab, started while the last drill is judged and reported: nothing is measured meanwhile.

A lab is started anew for every drill, never reset: docs/decisions/0058.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from commands.world import LabPlan, Options, plan_of
from drill.target import Target
from lab.launch import Lab, LabError, Opening


class Ahead:
    """At most one lab that nobody uses yet. open_lab: begins to start a lab."""

    def __init__(self, open_lab: Callable[..., Opening] = Opening) -> None:
        self._open = open_lab
        self._plan: LabPlan | None = None
        self._opening: Opening | None = None

    def begin(self, target: Target | None, options: Options) -> None:
        """Begin to start the lab of the next drill, and do not wait for it.

        Nothing begins for a target without a lab, for one that is attached to, and on fixed ports, which the lab of
        the drill before still has.
        """
        self.close()
        if target is None or target.lab is None or options.lab_attach is not None or options.lab_port is not None:
            return
        self._plan = plan_of(target, options)
        with contextlib.suppress(OSError):  # the drill that needs it tries again, and says what is wrong
            self._opening = self._open(*self._plan)

    def lab(self, plan: LabPlan) -> Lab:
        """The lab that was begun, when it is of this plan and came up; else one that is started now. LabError."""
        if self._opening is not None and self._plan == plan:
            opening, self._opening = self._opening, None
            try:
                return opening.ready()
            except LabError:
                return self._open(*plan).ready()  # it says for itself what is wrong, if that lasts
        self.close()
        return self._open(*plan).ready()

    def close(self) -> None:
        """Stop what nobody uses."""
        opening, self._opening, self._plan = self._opening, None, None
        if opening is not None:
            opening.stop()
