"""The write path of a target as a client uses it: write, read back, balance; every write through the ledger.

The order is the point: the intent is on disk before the first byte may leave, the outcome after. What a client
cannot know stays unknown: a write is acknowledged only by a whole 200 that carries its id, refused only when the
system said so or nothing was sent, and indeterminate in every other case.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from drill.client import Reply
from drill.clock import Clock, SystemClock
from drill.doors import Door
from drill.filling import filled
from drill.ledger import STORE, LedgerWriter, Result, Write
from drill.ledger_file import MAX_TEXT
from drill.write_path import ReadPath, WritePath

try:
    # Not hashlib's: OpenSSL's costs three times as much for a payload of a few bytes, and this is in the load's way.
    from _sha256 import sha256 as _sha256  # type: ignore[import-not-found, unused-ignore]
except ImportError:  # a Python that has it elsewhere (3.12), or nowhere
    from hashlib import sha256 as _sha256

State = Literal["settled", "refused", "pending", "absent", "unknown"]
TERMINAL: tuple[State, ...] = ("settled", "refused")
MAX_SAID = 4096
"""Bytes of a reply that are looked through for what it says has failed."""
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
    """Writes and reads one target's data through one door.

    ledger: None for a client that only reads. One instance may be shared by threads that pass `fresh=True`, and one
    ledger by several instances.
    """

    def __init__(
        self, writes: WritePath, door: Door, ledger: LedgerWriter | None, *, clock: Clock | None = None
    ) -> None:
        self.writes = writes
        self.door = door
        self._ledger = ledger
        self._clock = clock or SystemClock()

    def submit(self, kind: str, account: str, *, fresh: bool = True) -> Submitted:
        """Make one write of that kind for `account`.

        KeyError: the target has no such kind; ValueError: this client has no ledger; OSError: the ledger cannot
        be written, and then nothing was sent.
        """
        if self._ledger is None:
            raise ValueError("this client has no ledger: it may only read")
        spec = self.writes.kinds[kind]
        ledger, stores = self._ledger, ",".join(spec.stores)
        with ledger.lock:
            names = {"key": client_key(account, ledger.next_number), "account": account}
            body = canonical(filled(spec.body, names))
            n = ledger.add_intent(self._clock.monotonic_s(), kind, account, spec.amount, stores, sha256(body))
        reply = self.door.write(kind, names, body, fresh=fresh)
        found = self._id(reply, names["key"])
        result = _result(reply, found)
        ledger.outcome(n, reply.done_s, result, id=found, status=reply.status, peer=reply.peer)
        return Submitted(n, account, self.door.with_pinned(reply), result, found)

    def read(self, id: str, account: str, *, fresh: bool = True, store: str = STORE, key: str = "") -> ReadState:
        """Look once what became of a write in one store: by its id, or (see ReadPath) by the client's key."""
        how = self.writes.reader(store)
        reply = self.door.read(store, {"id": id, "key": key or id, "account": account}, fresh=fresh)
        said = _json(reply)
        seen = _copies(how, said), _digest(how, said), str(said.get(how.region_field) or "")
        return ReadState(_state(how, reply), self.door.with_pinned(reply), *seen)

    def balance(self, account: str, *, fresh: bool = True) -> Balance:
        """The account's balance now. ValueError: the target declares no balance_path."""
        if self.writes.balance_path is None:
            raise ValueError("the target's [writes] has no balance_path")
        reply = self.door.balance(account, fresh=fresh)
        value = _json(reply).get(self.writes.balance_field)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return Balance(None, reply)
        return Balance(float(value), reply)

    def _id(self, reply: Reply, key: str) -> str | None:
        if not self.writes.id_field:
            return key if not reply.error and reply.status == 200 else None
        value = _json(reply).get(self.writes.id_field)
        if isinstance(value, bool) or not isinstance(value, str | int):
            return None
        id = str(value)
        # An id that the ledger cannot hold could never be read back (a character has at most four bytes).
        return id if 0 < len(id) <= MAX_TEXT // 4 else None


def error_named(writes: WritePath, reply: Reply) -> str:
    """The target's own name for what a reply says has failed; "" when it has none for it."""
    if not writes.errors or not reply.body:
        return ""
    said = reply.body[:MAX_SAID].decode(errors="replace")
    return next((name for name, expression in writes.errors.items() if re.search(expression, said)), "")


def client_key(account: str, number: int) -> str:
    """The client's own name of a write: unique in all runs, as the account carries the run's id.

    number: the write's in its ledger.
    """
    return f"{account}-{number}"


def client_key_of(write: Write) -> str:
    """The same, of a write that is on record."""
    return client_key(write.account, int(write.key.rpartition("-")[2]))


def canonical(body: object) -> bytes:
    """JSON as it is sent: the same values are always the same bytes."""
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def sha256(payload: bytes) -> bytes:
    """A payload's digest as it is recorded."""
    return bytes(_sha256(payload).digest())


def digest_of(payload: bytes) -> str:
    """A payload's digest as it is read: hex."""
    return sha256(payload).hex()


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
