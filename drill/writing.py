"""The write path of a target as a client uses it: write, read back, balance; every write through the ledger.

The order is the point: the intent is on disk before the first byte may leave, the outcome after. What a client
cannot know stays unknown: a write is acknowledged only by a whole 200 that carries its id, refused only when the
system said so or nothing was sent, and indeterminate in every other case.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from drill.client import HttpClient, Reply
from drill.clock import Clock, SystemClock
from drill.ledger import STORE, LedgerWriter, Result
from drill.ledger_file import MAX_TEXT
from drill.write_path import ReadPath, WritePath

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
    """What a read-back showed: a state of the write, "unknown" when the reply names none of the target's states.

    copies, digest, region: as in drill.timeline.Readback; None and "" when the store does not say.
    """

    state: State
    reply: Reply
    copies: int | None = None
    digest: str = ""
    region: str = ""

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
            names = {"key": client_key(account, self._ledger.next_number), "account": account}
            body = canonical(_filled(spec.body, names))
            told = {"store": ",".join(spec.stores), "digest": digest_of(body)}
            n = self._ledger.intent(self._clock.monotonic_s(), kind, account, spec.amount, **told)
        reply = self._request(spec.method, _path(spec.path, names), account, fresh, body)
        found = self._id(reply)
        result = _result(reply, found)
        with self._ledger_lock:
            self._ledger.outcome(n, reply.done_s, result, id=found, status=reply.status, peer=reply.peer)
        return Submitted(n, account, self._with_pinned(reply), result, found)

    def read(self, id: str, account: str, *, fresh: bool = True, store: str = STORE, key: str = "") -> ReadState:
        """Look once what became of a write in one store: by its id, or (see ReadPath) by the client's key."""
        how = self.writes.reader(store)
        path = _path(how.read_path, {"id": id, "key": key, "account": account})
        reply = self._request("GET", path, account, fresh)
        said = _json(reply)
        seen = _copies(how, said), _digest(how, said), str(said.get(how.region_field) or "")
        return ReadState(_state(how, reply), self._with_pinned(reply), *seen)

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
        id = str(value)
        # An id that the ledger cannot hold could never be read back (a character has at most four bytes).
        return id if 0 < len(id) <= MAX_TEXT // 4 else None


def client_key(account: str, number: int) -> str:
    """The client's own name of a write: unique in all runs, as the account carries the run's id.

    number: the write's in its ledger.
    """
    return f"{account}-{number}"


def canonical(body: object) -> bytes:
    """JSON as it is sent: the same values are always the same bytes."""
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def digest_of(payload: bytes) -> str:
    """sha256, hex."""
    return hashlib.sha256(payload).hexdigest()


def _filled(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(item, names) for name, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, names) for item in value]
    if isinstance(value, str):
        for name, text in names.items():
            value = value.replace(f"{{{name}}}", text)
    return value


def _path(path: str, names: Mapping[str, str]) -> str:
    return str(_filled(path, {name: quote(text, safe="") for name, text in names.items()}))


def _state(how: ReadPath, reply: Reply) -> State:
    if reply.status == 404 and not reply.error:
        return "absent"
    said = _json(reply)
    if not how.state_field:
        return "settled" if said else "unknown"
    value = said.get(how.state_field)
    states: tuple[tuple[State, tuple[str, ...]], ...] = (
        ("settled", how.settled),
        ("refused", how.refused),
        ("pending", how.pending),
    )
    return next((state for state, values in states if value in values), "unknown")


def _copies(how: ReadPath, said: Mapping[str, Any]) -> int | None:
    value = said.get(how.copies_field) if how.copies_field else None
    if isinstance(value, list):
        return len(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _digest(how: ReadPath, said: Mapping[str, Any]) -> str:
    if not how.payload or not said:
        return ""
    return digest_of(canonical({sent: said.get(held) for sent, held in how.payload.items()}))


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
