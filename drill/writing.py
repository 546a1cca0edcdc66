"""The write path of a target as a client uses it: write, read back, balance; every write through the ledger.

The order is the point: the intent is on disk before the first byte may leave, the outcome after. What a client
cannot know stays unknown: a write is acknowledged only by a whole 200 that carries its id, refused only when the
system said so or nothing was sent, and indeterminate in every other case.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from drill.client import HttpClient, Reply
from drill.clock import Clock, SystemClock
from drill.ledger import LedgerWriter, Result
from drill.target import WritePath

State = Literal["settled", "refused", "pending", "absent", "unknown"]
TERMINAL: tuple[State, ...] = ("settled", "refused")
SAID_NO_5XX = (501, 503)
"""Server errors that say "not done". The others (500, a gateway's 502 and 504) do not say how far it came."""


@dataclass(frozen=True)
class Submitted:
    """One write. n: its sequence number in this writer's ledger; id: the system's own, None unless acked."""

    n: int
    account: str
    reply: Reply
    result: Result
    id: str | None

    @property
    def acked(self) -> bool:
        """The client saw it accepted: 200 and an id."""
        return self.result == "acked"


@dataclass(frozen=True)
class ReadState:
    """What a read-back showed: a state of the write, "unknown" when the reply names none of the target's states."""

    state: State
    reply: Reply

    @property
    def terminal(self) -> bool:
        """Settled or refused: no later read will differ."""
        return self.state in TERMINAL


@dataclass(frozen=True)
class Balance:
    """An account's balance, None when the reply does not carry one."""

    value: float | None
    reply: Reply


class WriteClient:
    """Writes and reads one target's data over one HttpClient.

    base_url: scheme, host and port that the paths of `writes` go to (`Target.url`); timeout_wall_s: deadline of
    each single request (see `wall_timeout_s`); ledger: None for a client that only reads. One instance may be
    shared by threads that pass `fresh=True`; writers that share a ledger among threads must share the instance.
    """

    def __init__(
        self,
        writes: WritePath,
        client: HttpClient,
        ledger: LedgerWriter | None,
        *,
        base_url: str,
        timeout_wall_s: float,
        clock: Clock | None = None,
    ) -> None:
        self.writes = writes
        self.client = client
        self._ledger = ledger
        self._base_url = base_url.rstrip("/")
        self._timeout_wall_s = timeout_wall_s
        self._clock = clock or SystemClock()
        self._ledger_lock = threading.Lock()

    def submit(self, kind: str, account: str, *, fresh: bool = True) -> Submitted:
        """Make one write of that kind for `account`.

        KeyError: the target has no such kind; ValueError: this client has no ledger; OSError: the ledger cannot
        be written, and then nothing was sent.
        """
        if self._ledger is None:
            raise ValueError("this client has no ledger: it may only read")
        spec = self.writes.kinds[kind]
        with self._ledger_lock:
            n = self._ledger.intent(self._clock.monotonic_s(), kind, account, spec.amount)
        reply = self._request(spec.method, spec.path, account, fresh, json.dumps(spec.body).encode())
        found = self._id(reply)
        result = _result(reply, found)
        with self._ledger_lock:
            self._ledger.outcome(n, reply.done_s, result, id=found, status=reply.status, peer=reply.peer)
        return Submitted(n, account, self._with_pinned(reply), result, found)

    def read(self, id: str, account: str, *, fresh: bool = True) -> ReadState:
        """Look once what became of the write with that id."""
        path = self.writes.read_path.replace("{id}", quote(id, safe=""))
        reply = self._request("GET", path, account, fresh)
        return ReadState(self._state(reply), self._with_pinned(reply))

    def balance(self, account: str, *, fresh: bool = True) -> Balance:
        """The account's balance now. ValueError: the target declares no balance_path."""
        if self.writes.balance_path is None:
            raise ValueError("the target's [writes] has no balance_path")
        reply = self._request("GET", self.writes.balance_path, account, fresh)
        value = _json(reply).get(self.writes.balance_field)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return Balance(None, reply)
        return Balance(float(value), reply)

    def _request(self, method: str, path: str, account: str, fresh: bool, body: bytes | None = None) -> Reply:
        headers = {self.writes.account_header: account}
        if body is not None:
            headers["Content-Type"] = "application/json"
        return self.client.request(
            method,
            self._base_url + path,
            timeout_wall_s=self._timeout_wall_s,
            headers=headers,
            body=body,
            fresh=fresh,
        )

    def _with_pinned(self, reply: Reply) -> Reply:
        return self.client.with_pinned(self._base_url, reply)

    def _id(self, reply: Reply) -> str | None:
        value = _json(reply).get(self.writes.id_field)
        if isinstance(value, bool) or not isinstance(value, str | int):
            return None
        return str(value) or None

    def _state(self, reply: Reply) -> State:
        if reply.status == 404 and not reply.error:
            return "absent"
        value = _json(reply).get(self.writes.state_field)
        states: tuple[tuple[State, tuple[str, ...]], ...] = (
            ("settled", self.writes.settled),
            ("refused", self.writes.refused),
            ("pending", self.writes.pending),
        )
        return next((state for state, values in states if value in values), "unknown")


def _json(reply: Reply) -> dict[str, Any]:
    """The object of a whole 200 reply, {} for anything else."""
    if reply.error or reply.status != 200:
        return {}
    try:
        value = json.loads(reply.body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _result(reply: Reply, id: str | None) -> Result:
    if id is not None:
        return "acked"
    if not reply.maybe_sent:
        return "refused"
    said_no = not reply.error and (300 <= reply.status < 500 or reply.status in SAID_NO_5XX)
    return "refused" if said_no else "indeterminate"
