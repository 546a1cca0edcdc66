"""The closed loop: a fixed number of users, each of which waits for an answer before it goes on.

A system's own published load is usually that. So the load falls while the system is slow, and its failure counts
say little about how long an outage lasted: the open-loop prober measures that, and an open loop (loadgen/arrivals.py)
asks what the demand of all that time would have met. What a closed load is for: data at risk, and a system at work.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, ClassVar

from locust import User, task

from loadgen.clients import Client, Told

if TYPE_CHECKING:
    from loadgen.session import Session


class RequestFailed(Exception):
    """What Locust counts as a failure; the message groups its error table."""


def teller(environment: Any) -> Told:
    """What tells Locust of a request."""
    fire = environment.events.request.fire

    def tell(method: str, name: str, took_ms: float, wrong: str | None, size: int) -> None:
        fire(
            request_type=method,
            name=name,
            response_time=took_ms,
            response_length=size,
            exception=None if wrong is None else RequestFailed(wrong),
            context={},
        )

    return tell


class ClosedUser(User):
    """One user: a client that does its task, waits, and does it again.

    session: set by a subclass (Locust makes the users itself and hands them nothing but the environment).
    """

    abstract = True
    session: ClassVar[Session]
    _numbers: ClassVar[itertools.count[int]] = itertools.count(1)

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self._client = Client(self.session, next(self._numbers), teller(environment))

    def wait_time(self) -> float:
        """Wall seconds between two tasks: an outage that refuses at once must not become a storm of requests."""
        return self.session.poll_s / self.session.clock.speed

    def on_stop(self) -> None:
        """Close the connections."""
        self._client.close()

    @task
    def one_task(self) -> None:
        """Do it once."""
        self._client.serve()
