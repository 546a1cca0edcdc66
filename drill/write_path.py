"""The tables of a target that say how it is written to, how its stores are read, and what the load does.

All durations are target seconds. Models are frozen; `drill.target` joins them into a target.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, field_validator, model_validator

from drill.errors import UsageError
from drill.ledger import STORE

ARCHIVE = "archive"
"""The name of the store that `[writes.archive]` says how to read."""
Cohort = Literal["task", "kept", "aged", "fresh"]
Residue = Literal["left", "cleaned"]
LEFT: Residue = "left"
CLEANED: Residue = "cleaned"


class Table(BaseModel):
    """A table of a target file: nothing unknown in it, no infinity, and nobody changes it."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class WriteKind(Table):
    """How a client makes one kind of write. amount: its signed effect; stores: names of the data stores that hold it.

    path and body are sent as they are, but for "{key}" (the client's own name of this write, unique in all runs) and
    "{account}" in their texts.
    """

    method: Literal["POST", "PUT"] = "POST"
    path: str
    body: dict[str, Any]
    amount: float
    stores: tuple[str, ...] = (STORE,)

    @field_validator("stores")
    @classmethod
    def _named(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or len(set(value)) != len(value) or not all(re.fullmatch(r"[a-z0-9_-]+", v) for v in value):
            raise ValueError("stores are one or more different names of small letters, digits, - and _")
        return value


class ReadPath(Table):
    """How one data store says what became of a write.

    read_path: with "{id}" (the system's, known for acknowledged writes only), or with "{key}" (the client's: then
    refused and indeterminate writes can be looked for too), and "{account}" if it needs it. state_field: field of
    the reply that holds one of settled, refused, pending; without it a 200 means settled. 404 means absent.
    copies_field: field of the reply with the number of records of this write, or the list of them. payload: field of
    the body as sent -> field of the reply that must still hold its value; all fields, or none. region_field: field
    with the code of the Region that accepted it.
    """

    read_path: str
    state_field: str = ""
    settled: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    copies_field: str = ""
    payload: dict[str, str] = Field(default_factory=dict)
    region_field: str = ""

    @property
    def by_key(self) -> bool:
        """Whether a write is asked for by the client's own name of it."""
        return "{id}" not in self.read_path


class Unreplicated(Table):
    """Something that a system keeps in one Region alone: what it is, and the kinds of writes that leave some there.

    It is counted by these writes and judged by no objective; what is read back at the survivor are the stores.
    """

    what: str
    kinds: tuple[str, ...]


class EventsPath(Table):
    """Where events go: bus and source of every entry; a kind's path is its detail type, its body the detail.

    per_s: PutEvents a (target) second that all producers make at their peak, the drill's load among them: what the
    standby's quota has to allow.
    """

    bus: str
    source: str
    per_s: PositiveFloat


class WritePath(Table):
    """How writes are made, identified and read back.

    protocol: how writes are made (drill/doors.py). "http"; "sql": drill/sql_door.py says what these fields are there,
    and user. "events": by PutEvents to the global endpoint that the target's
    endpoint names, and read back at the regional endpoints, where the consumers answer; `events` says the rest.

    account_header: request header that carries the synthetic account; id_field: field of the 200 reply that holds
    the system's id, "" for a system that tells none: then a whole 200 accepts, and the client's own name of the
    write is its id; errors: name -> regular expression, by which what a failed reply says is told apart; read_path:
    with "{id}" or "{key}"; state_field: field of the read reply; settled/refused/pending: its values. A read that
    answers 404 means absent. balance_path/balance_field: the account's balance.
    copies_field, payload, region_field: see ReadPath; they and the read fields here are those of the store "main".
    stores: name -> how it is read, for a system that keeps its writes in several. archive: how to ask what a replay
    of the survivor's archive has written down, for what no consumer has: it makes no write count as arrived.
    """

    protocol: Literal["http", "events", "sql"] = "http"
    events: EventsPath | None = None
    account_header: str = ""
    user: str = ""
    id_field: str
    read_path: str
    state_field: str
    settled: tuple[str, ...]
    refused: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    balance_path: str | None = None
    balance_field: str = "balance"
    copies_field: str = ""
    payload: dict[str, str] = Field(default_factory=dict)
    region_field: str = ""
    errors: dict[str, str] = Field(default_factory=dict)
    stores: dict[str, ReadPath] = Field(default_factory=dict)
    archive: ReadPath | None = None
    unreplicated: dict[str, Unreplicated] = Field(default_factory=dict)
    kinds: dict[str, WriteKind]
    probe: str
    """The kind that the prober writes."""

    @field_validator("errors")
    @classmethod
    def _readable(cls, value: dict[str, str]) -> dict[str, str]:
        for name, expression in value.items():
            try:
                re.compile(expression)
            except re.error as error:
                raise ValueError(f"errors.{name} is no regular expression: {error}") from None
        return value

    @model_validator(mode="after")
    def _protocol_told(self) -> WritePath:
        needed = "user" if self.protocol == "sql" else "account_header"
        if not getattr(self, needed):
            raise ValueError(f"protocol is {self.protocol!r} and {needed} is missing")
        return self

    @model_validator(mode="after")
    def _archive_apart(self) -> WritePath:
        if ARCHIVE in self.stores:
            raise ValueError(
                f"{ARCHIVE!r} is no name for a store: what is archived has not arrived ([writes.archive])"
            )
        return self

    @model_validator(mode="after")
    def _probe_known(self) -> WritePath:
        if (self.protocol == "events") != (self.events is not None):
            missing = self.events is None
            raise ValueError(f"protocol is {self.protocol!r} and events is {'missing' if missing else 'given'}")
        named = {f"unreplicated {name!r}": kind for name, u in self.unreplicated.items() for kind in u.kinds}
        for what, kind in {"probe": self.probe, **named}.items():
            if kind not in self.kinds:
                raise ValueError(f"{what} {kind!r} is not one of the kinds {sorted(self.kinds)}")
        for kind, spec in sorted(self.kinds.items()):
            for store in spec.stores:
                if store != STORE and store not in self.stores:
                    raise ValueError(f"kind {kind!r} names the store {store!r}, which is not in stores")
                payload = self.reader(store).payload
                if payload and payload.keys() != spec.body.keys():
                    raise ValueError(f"payload of store {store!r} must name every field of the body of {kind!r}")
        return self

    @property
    def shows_later(self) -> bool:
        """Whether what was accepted is read back somewhere else, where it arrives later: absent is no failure yet."""
        return self.protocol == "sql"

    def store_of(self, kind: str) -> str:
        """The store by which a client follows a write of that kind: the first that holds it."""
        return self.kinds[kind].stores[0]

    def reader(self, store: str) -> ReadPath:
        """How that store is read. UsageError names the known ones."""
        if store == ARCHIVE and self.archive is not None:
            return self.archive
        if store == STORE and store not in self.stores:
            return ReadPath(**{name: getattr(self, name) for name in ReadPath.model_fields})
        try:
            return self.stores[store]
        except KeyError:
            raise UsageError(f"[writes] has no store {store!r}; known: {', '.join(sorted(self.stores))}") from None


class Load(Table):
    """The load: Locust users.

    kind: "closed", a fixed number of users of whom each waits for its answers (a published load is usually that, and
    falls silent in an outage), or "open", tasks that begin on a schedule whatever became of those before.
    arrival_rate_per_s: tasks per wall second, open only; arrivals: equal pauses, or those of a Poisson process.
    users: how many there are; in an open loop how many can be at work at once (rate x timeout at least, or demand
    is left unserved and counted as such). timeout_s, poll_s: target seconds, with wall floors in the client; task:
    kinds of write, in order, per task. cohorts: how users keep their connections, in turn: "task" (the first request
    of a task over a new one, which the others share, as published), "kept" (as long as it works), "aged" (at most
    max_age_s target seconds), "fresh" (one for each request). residue: what becomes of what load and probes have
    written, once the drill is over: "left", or "cleaned" (deleted and read back), which a target of SQL can.
    """

    kind: Literal["closed", "open"] = "closed"
    arrival_rate_per_s: PositiveFloat | None = None
    arrivals: Literal["poisson", "constant"] = "poisson"
    cohorts: tuple[Cohort, ...] = Field(default=("task",), min_length=1)
    max_age_s: PositiveFloat = 60.0
    users: int = Field(gt=0, le=1000)
    spawn_rate: PositiveFloat
    timeout_s: PositiveFloat
    poll_s: PositiveFloat
    task: tuple[str, ...]
    synthetic_prefix: str = ""
    """Accounts that the load may use begin with this. Without it nobody's account may be written: reads only."""
    residue: Residue = LEFT

    @property
    def read_only(self) -> bool:
        """Whether neither the load nor a probe may write."""
        return not self.synthetic_prefix

    @model_validator(mode="after")
    def _rate_known(self) -> Load:
        if (self.kind == "open") != (self.arrival_rate_per_s is not None):
            missing = self.arrival_rate_per_s is None
            raise ValueError(f"kind is {self.kind!r} and arrival_rate_per_s is {'missing' if missing else 'given'}")
        return self
