"""Makes moto's timestamps lab time.

moto takes every date that its API shows from `moto.core.utils.utcnow` (or from helpers that call it), but most
backends import that function by name. So `install` puts a function of ours in its place in the module itself
and in every moto module that already holds a copy; modules imported later find ours.
"""

from __future__ import annotations

import sys
from datetime import datetime

import moto.core.utils

from lab.clock import LabClock

_moto_utcnow = moto.core.utils.utcnow
_installed: list[LabClock] = []


def _lab_utcnow() -> datetime:
    """Lab time now as the naive UTC datetime that moto works with."""
    return _installed[-1].now().replace(tzinfo=None)


def install(clock: LabClock) -> None:
    """From now on moto dates everything by `clock`. Idempotent; a later call replaces the clock.

    Not covered: `datetime.now()` in ManagedState (its "time" transitions, which the lab does not use).
    """
    _installed[:] = [clock]
    for module in list(sys.modules.values()):
        name = getattr(module, "__name__", "")
        if name.startswith("moto.") and getattr(module, "utcnow", None) is _moto_utcnow:
            module.utcnow = _lab_utcnow  # type: ignore[attr-defined]
