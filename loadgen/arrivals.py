"""The open loop: tasks begin on a schedule, whatever became of those before them.

One Locust user keeps the schedule and gives each arrival to a client that is free. So clients that hang in timeouts
thin out nothing: the next arrival takes another one. There are at most `load.users` of them, and an arrival that
finds none free is demand that was not served: it is put down as a failed request, due then, never sent. A schedule
that this process itself could not keep is told in the summary (lateness), and latencies count from the plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import gevent
import gevent.pool
from locust import User, task

from drill.request_file import FAIL
from loadgen.clients import Client
from loadgen.schedule import UNSERVED, pauses
from loadgen.users import teller

if TYPE_CHECKING:
    from loadgen.session import Session

MOST_LATENESSES = 1_000_000


class Arrivals(User):
    """The one user of an open loop; session: set by a subclass."""

    abstract = True
    session: ClassVar[Session]
    planned: ClassVar[int] = 0
    unserved: ClassVar[int] = 0
    late_s: ClassVar[list[float]] = []

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self._tell = teller(environment)
        self._at_work = gevent.pool.Group()
        self._free: list[Client] = []
        self._made = 0

    def on_stop(self) -> None:
        """Leave what is under way: like everything at the end of a load, it has no result."""
        self._at_work.kill(block=False)

    @task
    def keep_the_schedule(self) -> None:
        """Arrivals until the load is stopped."""
        load, clock = self.session.target.load, self.session.clock
        assert load.arrival_rate_per_s is not None
        due_s = clock.monotonic_s()
        for pause_s in pauses(load.arrival_rate_per_s, load.arrivals, self.session.run_id):
            due_s += pause_s
            # Even when it is late: the other greenlets must have their turn.
            gevent.sleep(max(0.0, due_s - clock.monotonic_s()))
            self._arrive(due_s)

    def _arrive(self, due_s: float) -> None:
        cls = type(self)
        cls.planned += 1
        if len(cls.late_s) < MOST_LATENESSES:
            cls.late_s.append(self.session.clock.monotonic_s() - due_s)
        client = self._client()
        if client is None:
            cls.unserved += 1
            self._not_served(due_s)
            return
        self._at_work.spawn(self._serve, client, due_s)

    def _client(self) -> Client | None:
        """One that is free, the longest idle first, so that cohorts take turns; None when all are at work."""
        if self._made < self.session.target.load.users:
            self._made += 1
            return Client(self.session, self._made, self._tell)
        return self._free.pop(0) if self._free else None

    def _serve(self, client: Client, due_s: float) -> None:
        try:
            client.serve(due_s)
        except Exception as error:  # noqa: BLE001 - whatever breaks a client must end the load, as it does a user's
            self.environment.events.user_error.fire(user_instance=self, exception=error, tb=error.__traceback__)
        self._free.append(client)

    def _not_served(self, due_s: float) -> None:
        kind = self.session.target.load.task[0] if self.session.ledger is not None else "read"
        method = self.session.target.writes.kinds[kind].method if self.session.ledger is not None else "GET"
        self.session.requests.put(due_s, due_s, due_s, (kind, FAIL, 0, "", False, False, UNSERVED, ""))
        self._tell(method, kind, 0.0, UNSERVED, 0)
