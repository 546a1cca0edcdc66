"""What `drill calibrate` found on this machine, kept for the runs that follow.

It lies beside the run folders (`reports/calibration.json`, git-ignored) and is copied into the header of every run,
so that a report always shows the calibration of the machine that it ran on, also after the file has changed. One
that was made on another machine, or by another Python, is none.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drill.whole_file import replace_file

FORMAT = 1
NONE = "not calibrated on this machine: its accuracy is not known; run: drill calibrate"


def this_machine() -> str:
    """What tells one machine from another here: 12 hex digits of its id, name, kernel, cores and Python."""
    try:
        identity = Path("/etc/machine-id").read_text().strip()
    except OSError:
        identity = ""
    parts = (identity, platform.node(), platform.release(), platform.machine(), str(os.cpu_count()))
    return hashlib.sha256("|".join((*parts, platform.python_version())).encode()).hexdigest()[:12]


def store(path: Path, result: Mapping[str, Any]) -> None:
    """Keep a calibration, whole or not at all. OSError passes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, json.dumps({"format": FORMAT, **result}, indent=1, allow_nan=False) + "\n")


def stored(path: Path) -> dict[str, Any] | None:
    """The calibration of this machine, as it goes into a run's header; None when there is none that can be used."""
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    if not isinstance(record, dict) or record.get("format") != FORMAT or record.get("machine") != this_machine():
        return None
    keys = ("created", "rate_hz", "outages", "covered", "error_s", "writes", "writes_right")
    return {key: record.get(key) for key in keys}


def line(calibration: object) -> str:
    """A calibration in one line, for the head of a report; says so when there is none."""
    if not isinstance(calibration, Mapping):
        return NONE
    try:
        error, day = calibration["error_s"], str(calibration["created"])[:10]
        return (
            f"calibrated on this machine on {day}, at {calibration['rate_hz']:g} looks a second: of "
            f"{calibration['outages']} planted outages {calibration['covered']} lay within the bounds; error of the "
            f"estimate (wall) median {_ms(error['median'])}, 95 % below {_ms(error['p95'])}, worst "
            f"{_ms(error['worst'])}; {calibration['writes_right']} of {calibration['writes']} planted writes right"
        )
    except (KeyError, TypeError, ValueError):
        return NONE


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
