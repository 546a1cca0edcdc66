"""Start a lab and hold it: the one entry for the commands, the drills and the tests."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from lab import processes
from lab.clock import LabClock

STOP_TIMEOUT_S = 12.0


class LabError(Exception):
    """The lab did not start or is gone; one sentence that says what to type next."""


@dataclass(frozen=True)
class LabInfo:
    """How to reach a running lab.

    speed: lab seconds per wall second; the two origins tie lab time to CLOCK_MONOTONIC (see LabClock).
    dns_authoritative and resolvers (by Region) are (host, port); http_port is the load balancers' on all addresses;
    scheme replaces that of the endpoints' URLs, "" to leave it.
    truth, overruns: JSON lines files (see lab.truth). pid: the world process; state_dir goes away with the lab.
    """

    system: str
    speed: float
    origin_monotonic_s: float
    origin_epoch_s: float
    account: str
    aws_endpoint: str
    dns_authoritative: tuple[str, int]
    resolvers: Mapping[str, tuple[str, int]]
    http_port: int
    state_dir: Path
    truth: Path
    overruns: Path
    pid: int
    scheme: str = ""
    settings: tuple[str, ...] = ()
    """NAME=VALUE texts as they were asked for, in their order."""

    @property
    def clock(self) -> LabClock:
        """The lab's clock, right in every process of this machine."""
        return LabClock(self.speed, self.origin_monotonic_s, self.origin_epoch_s)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        paths = {name: str(fields[name]) for name in ("state_dir", "truth", "overruns")}
        return {**fields, **paths}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> LabInfo:
        """What `to_json` gave, perhaps after a trip through a file."""
        host, port = fields["dns_authoritative"]
        return cls(
            **{
                **fields,
                "dns_authoritative": (host, port),
                "resolvers": {region: (host, port) for region, (host, port) in fields["resolvers"].items()},
                "state_dir": Path(fields["state_dir"]),
                "truth": Path(fields["truth"]),
                "overruns": Path(fields["overruns"]),
                "settings": tuple(fields.get("settings", ())),
            }
        )


class Lab:
    """A running lab; a context manager that stops it. It also ends when this process does."""

    def __init__(self, keeper: subprocess.Popen[bytes], info: LabInfo) -> None:
        self._keeper = keeper
        self.info = info

    @property
    def keeper_pid(self) -> int:
        """The keeper's process id."""
        return self._keeper.pid

    @property
    def life_line(self) -> int:
        """The file descriptor that keeps the lab alive while this process, or an heir, has it open."""
        assert self._keeper.stdin is not None
        return self._keeper.stdin.fileno()

    def bequeath(self, pid: int) -> None:
        """Let the lab outlive this process for as long as the process `pid`, which holds the life line too, lives."""
        os.write(self.life_line, f"{pid}\n".encode())

    def alive(self) -> bool:
        """Whether the lab still runs."""
        return self._keeper.poll() is None

    def stop(self) -> None:
        """Stop the lab and wait until it left nothing behind."""
        processes.stop(self._keeper, STOP_TIMEOUT_S)

    def __enter__(self) -> Lab:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Opening:
    """A lab that is being started; whether it came up is seen by `ready`. It also ends when this process does.

    speed: lab seconds per wall second. port_base: AWS API there, DNS one higher, HTTP two higher, the databases
    three higher; None takes free ports. settings: "NAME=VALUE" texts. stop_grace_s: wall seconds that it may take to
    end in order, None for the keeper's own.
    """

    def __init__(
        self,
        system: str,
        speed: float,
        port_base: int | None = None,
        settings: Sequence[str] = (),
        stop_grace_s: float | None = None,
    ) -> None:
        argv = [system, f"--lab-speed={speed!r}"]
        argv += [] if port_base is None else [f"--lab-port={port_base}"]
        argv += [f"--lab-set={setting}" for setting in settings]
        argv += [] if stop_grace_s is None else [f"--stop-grace-s={stop_grace_s!r}"]
        self._keeper = processes.spawn(processes.python("-m", "lab", *argv))

    def ready(self, timeout_s: float = 60.0) -> Lab:
        """The lab, as soon as it serves. LabError, and nothing left, when it does not within `timeout_s` wall s."""
        try:
            return Lab(self._keeper, LabInfo.from_json(_first_line(self._keeper, timeout_s)))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Give it up, and wait until it left nothing behind."""
        processes.stop(self._keeper, STOP_TIMEOUT_S)


def launch(
    system: str,
    speed: float,
    port_base: int | None = None,
    settings: Sequence[str] = (),
    timeout_s: float = 60.0,
    stop_grace_s: float | None = None,
) -> Lab:
    """Start a lab of `system` and return when it serves; see Opening. LabError otherwise."""
    return Opening(system, speed, port_base, settings, stop_grace_s).ready(timeout_s)


def _first_line(keeper: subprocess.Popen[bytes], timeout_s: float) -> Mapping[str, Any]:
    """The keeper's `ready`; LabError for its `error`, for silence and for an end without a word."""
    line = _read_line(keeper, time.monotonic() + timeout_s)
    if line is None:
        raise LabError(f"the lab was not ready after {timeout_s:g} s: is the machine busy? Try again")
    if not line:
        raise LabError(f"the lab ended before it was ready, with exit code {keeper.wait(STOP_TIMEOUT_S)}")
    said = json.loads(line)
    if "error" in said:
        raise LabError(said["error"])
    return dict(said["ready"])


def _read_line(keeper: subprocess.Popen[bytes], deadline_s: float) -> bytes | None:
    """One line; b"" at EOF before it, None at the deadline (monotonic seconds)."""
    assert keeper.stdout is not None
    fd, got = keeper.stdout.fileno(), b""
    while b"\n" not in got:
        ready, _, _ = select.select([fd], [], [], max(0.0, deadline_s - time.monotonic()))
        if not ready:
            return None
        data = os.read(fd, 65536)
        if not data:
            return b""
        got += data
    return got.partition(b"\n")[0]
