"""The users: what one client of the system does, over and over.

A closed loop, because the system's own document prescribes it: a fixed number of users, each of which waits for an
answer before it goes on. So the load falls while the system is slow, and its failure counts say little about how
long an outage lasted; the open-loop prober measures that. What the load is for: data at risk, and a system at work.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, ClassVar

from locust import User, task

from drill.client import HttpClient, Reply, wall_timeout_s
from drill.reading import NOBODY, answers
from drill.resolver import CachingClient
from drill.timeline import Outcome, Request
from drill.writing import WriteClient

if TYPE_CHECKING:
    from loadgen.session import Session


class RequestFailed(Exception):
    """What Locust counts as a failure; the message groups its error table."""


class OneClient(User):
    """What every client has: its own DNS cache and its own connections, and what it did on record.

    session: set by a subclass (Locust makes the users itself and hands them nothing but the environment).
    """

    abstract = True
    session: ClassVar[Session]
    _numbers: ClassVar[itertools.count[int]] = itertools.count(1)

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        target, clock = self.session.target, self.session.clock
        self._number = next(self._numbers)
        self._tasks_done = 0
        self._http = HttpClient(CachingClient.for_target(target, clock), clock)
        self._writes = WriteClient(
            target.writes,
            self._http,
            self.session.ledger,
            base_url=target.url(target.endpoint),
            timeout_wall_s=wall_timeout_s(target.load.timeout_s, clock.speed),
            clock=clock,
        )

    def wait_time(self) -> float:
        """Wall seconds between two tasks: an outage that refuses at once must not become a storm of requests."""
        return self.session.poll_s / self.session.clock.speed

    def account(self, prefix: str) -> str:
        """A name of an account that no other task, client or run has used."""
        self._tasks_done += 1
        return f"{prefix}{self.session.run_id}-{self.session.worker}u{self._number}-{self._tasks_done}"

    def on_stop(self) -> None:
        """Close the connections."""
        self._http.close()

    def report(self, name: str, method: str, reply: Reply, good: bool, said: str) -> None:
        """To the run folder, and to Locust, so that its own statistics are true."""
        detail = reply.error or (said if good else f"{said} {reply.status}")
        self.session.requests.add(
            Request(
                sent_s=reply.sent_s,
                done_s=reply.done_s,
                name=name,
                outcome=Outcome.OK if good else Outcome.FAIL,
                status=reply.status,
                peer=reply.peer,
                reused=reply.reused,
                pinned=reply.pinned,
                detail=detail,
            )
        )
        self.environment.events.request.fire(
            request_type=method,
            name=name,
            response_time=(reply.done_s - reply.sent_s) * 1000,
            response_length=len(reply.body),
            exception=None if good else RequestFailed(detail),
            context={},
        )


class WriterUser(OneClient):
    """A client that writes: a new synthetic account for every task."""

    abstract = True

    @task
    def writes_of_one_account(self) -> None:
        """The target's sequence of writes, each followed until it is settled; the first that fails ends it.

        As in the published load the first request goes over a connection of its own, so that a change of DNS is
        seen; the others share one that is kept until the task ends.
        """
        self._http.close()
        load = self.session.target.load
        account = self.account(load.synthetic_prefix)
        for position, kind in enumerate(load.task):
            if not self._write(kind, account, fresh=position == 0):
                break

    def _write(self, kind: str, account: str, fresh: bool) -> bool:
        done = self._writes.submit(kind, account, fresh=fresh)
        self.report(kind, self.session.target.writes.kinds[kind].method, done.reply, done.acked, done.result)
        return done.id is not None and self._settles(done.id, account)

    def _settles(self, id: str, account: str) -> bool:
        for _ in range(self.session.max_polls):
            found = self._writes.read(id, account, fresh=False)
            self.report("read", "GET", found.reply, found.terminal or found.state == "pending", found.state)
            if found.terminal:
                return found.state == "settled"
            self.session.clock.sleep(self.session.poll_s)
        return False


class ReaderUser(OneClient):
    """A client that only reads, for a target that declares no synthetic identity: nobody's data may be changed.

    Each task makes its reads as often as the target's sequence has writes, in the name of an account nobody has.
    """

    abstract = True

    @task
    def reads_of_one_account(self) -> None:
        """The first read over a connection of its own, the others over one that is kept; a failure ends it."""
        self._http.close()
        account = self.account(NOBODY)
        for position, _ in enumerate(self.session.target.load.task):
            for answer in answers(self._writes, account, fresh=position == 0):
                self.report(answer.name, "GET", answer.reply, answer.good, answer.said)
                if not answer.good:
                    return
