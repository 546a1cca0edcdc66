"""What ties the AWS side of a lab to what runs below it: task processes for ECS, database pairs for Aurora."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import psycopg

from lab.aws.ecs import TaskError
from lab.aws.rds import PairError
from lab.postgres import PostgresPair
from lab.postgres_programs import PostgresError
from lab.processes import ChildError
from lab.tasks import Tasks


class Machines:
    """The task processes as ECS wants them: their errors are TaskError."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks

    def start(self, region: str, service: str, task_id: str) -> None:
        """See Tasks."""
        self._do(self._tasks.start, region, service, task_id)

    def stop(self, region: str, service: str, task_id: str) -> None:
        """See Tasks."""
        self._do(self._tasks.stop, region, service, task_id)

    def running(self, region: str, service: str) -> list[str]:
        """See Tasks."""
        return self._tasks.running(region, service)

    @staticmethod
    def _do(step: Callable[[str, str, str], None], region: str, service: str, task_id: str) -> None:
        try:
            step(region, service, task_id)
        except ChildError as error:
            raise TaskError(str(error)) from error


class Aurora:
    """The database pair as the global cluster wants it: its errors are PairError.

    on_rewind(region) is called before the old writer of `region` comes back without what it alone has: after an
    unplanned failover, at each attempt; at the first one both databases may still be read. is_lost(region): whether
    the whole Region is gone, its database with it, although the server behind it runs on.
    """

    def __init__(
        self,
        pair: PostgresPair,
        on_rewind: Callable[[str], None] = lambda region: None,
        is_lost: Callable[[str], bool] = lambda region: False,
    ) -> None:
        self._pair, self._on_rewind, self._is_lost = pair, on_rewind, is_lost
        self._planned = False

    def healthy(self, region: str) -> bool:
        """See PostgresPair."""
        return not self._is_lost(region) and self._pair.healthy(region)

    def writer_region(self) -> str | None:
        """See PostgresPair."""
        return self._pair.writer_region()

    def quiesce(self, region: str) -> None:
        """See PostgresPair."""
        self._do(self._pair.quiesce, region)
        self._planned = True

    def fence(self, region: str) -> bool:
        """See PostgresPair."""
        return self._pair.fence(region)

    def promote(self, region: str) -> None:
        """See PostgresPair."""
        self._do(self._pair.promote, region)

    def follow(self, region: str) -> None:
        """See PostgresPair."""
        if not self._planned:
            self._on_rewind(region)
        self._do(self._pair.follow, region)
        self._planned = False

    @staticmethod
    def _do(step: Callable[[str], None], region: str) -> None:
        try:
            step(region)
        except (PostgresError, psycopg.Error, OSError) as error:
            raise PairError(str(error)) from error


def targets(found: Iterable[tuple[str, int]]) -> list[dict[str, Any]]:
    """Addresses as elbv2 takes its targets."""
    return [{"Id": host, "Port": port} for host, port in sorted(found)]
