"""One simulated client: its own DNS cache, its own connections, and what it did on record.

What a client does is one task, over and over: `serve`. When it does so is the business of the load's kind
(loadgen/users.py, loadgen/arrivals.py). A client never tries a request twice (drill/client.py): a service that fails
half of its requests is shown to fail half.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from drill.client import Reply, wall_timeout_s
from drill.doors import open_door
from drill.reading import NOBODY, answers
from drill.request_file import FAIL, OK
from drill.write_path import Cohort
from drill.writing import WriteClient

if TYPE_CHECKING:
    from loadgen.session import Session

Told = Callable[[str, str, float, str | None, int], None]
"""What Locust is told of a request: method, name, wall milliseconds from when it was due, what went wrong (None:
nothing), bytes of the body."""


class Client:
    """One client of one cohort. number: unique in its process; tell: called for every request when it is over."""

    def __init__(self, session: Session, number: int, tell: Told) -> None:
        target, clock = session.target, session.clock
        cohorts = target.load.cohorts
        self.session = session
        self.cohort: Cohort = cohorts[(number - 1) % len(cohorts)]
        self._number, self._tell = number, tell
        self._tasks_done = 0
        self._opened_s = clock.monotonic_s()
        self._due_s: float | None = None
        self._door = open_door(target, clock, wall_timeout_s(target.load.timeout_s, clock.speed))
        self._writes = WriteClient(target.writes, self._door, session.ledger, clock=clock)

    def serve(self, due_s: float | None = None) -> None:
        """One task: the target's sequence of writes, or of reads where nothing may be written.

        due_s: when it was to begin (monotonic wall seconds); the latency of its first request counts from there.
        """
        self._due_s = due_s
        self._tasks_done += 1
        if self.cohort == "task":
            self.close()
        if self.session.ledger is None:
            self._read_one_account()
        else:
            self._write_one_account()

    def close(self) -> None:
        """Close the connections."""
        self._door.close()
        self._opened_s = self.session.clock.monotonic_s()

    def _write_one_account(self) -> None:
        """Each write is followed until it is settled; the first that fails ends the task."""
        load = self.session.target.load
        account = self._account(load.synthetic_prefix)
        for position, kind in enumerate(load.task):
            if not self._write(kind, account, self._fresh(position)):
                break

    def _read_one_account(self) -> None:
        """As often as the sequence has writes, in the name of an account nobody has; a failure ends it."""
        account = self._account(NOBODY)
        for position, _ in enumerate(self.session.target.load.task):
            for answer in answers(self._writes, account, fresh=self._fresh(position)):
                self._report(answer.name, "GET", answer.reply, answer.good, answer.said)
                if not answer.good:
                    return

    def _write(self, kind: str, account: str, fresh: bool) -> bool:
        done = self._writes.submit(kind, account, fresh=fresh)
        self._report(kind, self.session.target.writes.kinds[kind].method, done.reply, done.acked, done.result)
        return done.id is not None and self._settles(kind, done.id, account)

    def _settles(self, kind: str, id: str, account: str) -> bool:
        store = self.session.target.writes.store_of(kind)
        due_s = self.session.clock.monotonic_s() + self.session.delivery_wall_s
        later = self.session.target.writes.shows_later
        for left in reversed(range(self.session.max_polls)):
            found = self._writes.read(id, account, fresh=self._fresh(1), store=store)
            early = found.state == "absent" and (found.reply.sent_s < due_s or (later and left > 0))
            good = found.terminal or found.state == "pending" or early
            self._report("read", "GET", found.reply, good, found.state)
            if found.terminal:
                return found.state == "settled"
            self.session.clock.sleep(self.session.poll_s)
        return False

    def _fresh(self, position: int) -> bool:
        """Whether the next request goes over a connection of its own; a kept one that is too old is closed.

        position: of the write in its task. As published, the first request of a task sees a change of DNS, and the
        others share one connection until the task ends.
        """
        if self.cohort == "aged":
            age_s = (self.session.clock.monotonic_s() - self._opened_s) * self.session.clock.speed
            if age_s > self.session.target.load.max_age_s:
                self.close()
        return self.cohort == "fresh" or (self.cohort == "task" and position == 0)

    def _account(self, prefix: str) -> str:
        """A name of an account that no other task, client or run has used."""
        return f"{prefix}{self.session.run_id}-{self.session.worker}u{self._number}-{self._tasks_done}"

    def _report(self, name: str, method: str, reply: Reply, good: bool, said: str) -> None:
        """To the run folder, and to Locust, so that its own statistics are true."""
        due_s, self._due_s = self._due_s, None
        detail = reply.error or (said if good else f"{said} {reply.status}")
        outcome = OK if good else FAIL
        saw = (name, outcome, reply.status, reply.peer, reply.reused, reply.pinned, detail, self.cohort)
        self.session.requests.put(reply.sent_s, reply.done_s, due_s, saw)
        took_s = reply.done_s - (reply.sent_s if due_s is None else due_s)
        self._tell(method, name, took_s * 1000, None if good else detail, len(reply.body))
