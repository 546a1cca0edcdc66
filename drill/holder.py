"""Who holds a lock: one process of one machine, told so that another machine can name it and this one can see it."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

BOOT = Path("/proc/sys/kernel/random/boot_id")
PID_SPACE = Path("/proc/self/ns/pid")
GONE = ("Z", "X", "x")
"""States of a process that has ended and is only waiting to be counted."""


@dataclass(frozen=True)
class Holder:
    """A drill that holds a lock.

    run_id: the drill's; host, user: for people; place: this boot of this machine, and its process ids' name space;
    pid, started: which process there (a pid alone comes again); folder: its run folder; since: ISO, UTC;
    lab: whether what it drills is a lab.
    """

    run_id: str
    host: str
    user: str
    place: str
    pid: int
    started: str
    folder: str
    since: str
    lab: bool = False

    @property
    def here(self) -> bool:
        """Whether its process would be visible from this one."""
        return self.place == _place()

    @property
    def dead(self) -> bool:
        """Known to have ended. False for another machine: nobody can know from here."""
        return self.here and _started(self.pid) != self.started

    def to_json(self) -> dict[str, Any]:
        """JSON form; `holder_from` reads it."""
        return asdict(self)

    def __str__(self) -> str:
        return f"run {self.run_id} by {self.user} on {self.host} (process {self.pid}), since {self.since}"


def this_process(run_id: str, folder: Path, since: str, lab: bool = False) -> Holder:
    """The calling process as a holder."""
    pid = os.getpid()
    started = _started(pid)
    assert started is not None, "a process that runs has begun"
    return Holder(run_id, socket.gethostname(), _user(), _place(), pid, started, str(folder), since, lab)


def holder_from(record: Mapping[str, Any]) -> Holder:
    """A holder from its JSON form. ValueError when it is none."""
    try:
        texts = {key: str(record[key]) for key in Holder.__dataclass_fields__ if key not in ("pid", "lab")}
        return Holder(**texts, pid=int(record["pid"]), lab=bool(int(record.get("lab", 0))))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"no holder of a lock: {type(error).__name__}: {error}") from error


def _place() -> str:
    # The boot tells machines apart, and a machine from itself before its last start; containers of one machine share
    # the boot, and not the name space in which a pid means something.
    return f"{socket.gethostname()} {BOOT.read_text().strip()} {PID_SPACE.readlink()}"


def _started(pid: int) -> str | None:
    """When the process began (clock ticks after the boot), None when there is none that still runs."""
    try:
        # "pid (name) state ...": the name may hold anything, so fields are counted after its last bracket.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in GONE else fields[19]


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
