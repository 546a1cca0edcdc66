"""What the rooms of all systems have in common: how one is opened, described and closed; the steps are a system's."""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lab.clock import LabClock
from lab.metronome import Metronome
from lab.plan import Plan
from lab.truth import Truth

if TYPE_CHECKING:
    from lab.base_cloud import BaseCloud  # at run time late: moto's import takes a second that the rest can use

DATABASE_TIMEOUT_S = 60.0
"""How long a database may take to come up, in wall seconds."""
C = TypeVar("C", bound="BaseCloud")


class BaseRoom(ABC, Generic[C]):
    """A system; over: set when its owner ended. What takes long starts first and side by side, the cloud last."""

    _cloud: C

    def __init__(self, plan: Plan, values: Mapping[str, Any], over: threading.Event) -> None:
        self._plan, self._settings, self._over = plan, values, over
        self._clock = LabClock.starting_now(plan.speed)
        self._truth = Truth(plan.state_dir, self._clock)
        self._closers = contextlib.ExitStack()
        self._coming_up: list[concurrent.futures.Future[Any]] = []

    def open(self) -> None:
        """Start everything; returns when the system serves."""
        self._start()
        self._cloud = self._cloud_class()(self._plan, self._settings, self._clock, self._truth, self._over)
        self._closers.callback(self._cloud.close)
        self._open_cloud()
        for up in self._coming_up:
            up.result(DATABASE_TIMEOUT_S)
        self._run_cloud()
        self._truth.begin()
        self._admit_floors()
        metronome = Metronome(self._clock, self._truth)
        self._closers.callback(metronome.stop)
        metronome.start()
        self._truth.record("lab.ready")

    def describe(self) -> Mapping[str, Any]:
        """The LabInfo of this lab, as JSON."""
        return self._cloud.info().to_json()

    def close(self) -> None:
        """End everything, newest first."""
        self._closers.close()

    # -- a system's own -----------------------------------------------------------------------------------------

    @abstractmethod
    def _start(self) -> None:
        """Start what takes long."""

    @abstractmethod
    def _cloud_class(self) -> type[C]:
        """Imported here and not above."""

    @abstractmethod
    def _open_cloud(self) -> None:
        """Start the API and create the system's resources."""

    @abstractmethod
    def _run_cloud(self) -> None:
        """Wait until the system serves; the databases are up."""

    def _admit_floors(self) -> None:
        """Tell the truth of what has a shortest pause in wall time."""

    # -- parts --------------------------------------------------------------------------------------------------

    def _come_up(self, starts: Sequence[Callable[[], Any]], stops: Sequence[Callable[[], object]]) -> None:
        """Start databases side by side in threads; `open` waits for them before the system runs."""
        pool = concurrent.futures.ThreadPoolExecutor(len(starts), thread_name_prefix="database")
        for stop in stops:
            self._closers.callback(stop)
        self._closers.callback(pool.shutdown)
        self._coming_up = [pool.submit(start) for start in starts]
