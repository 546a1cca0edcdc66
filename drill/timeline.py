"""The run folder: one append-only history that everything is judged from afterwards.

    run.json              header: format, run id, scenario, target, speed, objectives, timings, versions
    events.jsonl          the drill's own marks: phases, faults, decisions
    obs-<witness>.jsonl   observations, one file per witness process
    obs-<witness>.bin     those of a witness that looks often (drill/observations.py)
    requests-<n>.jsonl    what each load worker's requests saw (drill/request_file.py)
    ledger-<n>.bin        the write ledger (drill/ledger.py); `drill writes RUN` prints it
    readback.jsonl        what the survivor answered when the acknowledged writes were read back
    journal.jsonl         the changes (drill/journal.py)
    watchdog.jsonl        what the watchdog noticed and did, when it had to (drill/watching.py)
    snapshot-before.json, snapshot-after.json   the configuration of all that the target names (checks/snapshot.py)

All stamps `*_s` are monotonic wall seconds of one machine.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from drill import observations, request_file
from drill.chain import LINK, ChainFile, broken
from drill.clock import Clock
from drill.journal import journal_records
from drill.ledger import STORE, Write, read_ledger, read_lines, torn_ledgers
from drill.observations import ObservationTail, read_logs
from drill.probes import probe_of
from drill.redact import redact, redacted
from drill.watching import watchdog_records

T = TypeVar("T")
Observation = observations.Observation
Outcome = observations.Outcome
Request = request_file.Request
RequestFile = request_file.RequestFile
FORMAT = 1
EVENTS = "events.jsonl"
SNAPSHOTS = ("before", "after")
PHASES = (
    "baseline",
    "injecting",
    "in_force",
    "recovering",
    "recovered",
    "restoring",
    "restored",
    "failback",
    "settled",
)


@dataclass(frozen=True)
class Event:
    """A mark of the drill itself: at_s monotonic wall seconds, name, and JSON-able data."""

    at_s: float
    name: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Readback:
    """What the survivor said of one acknowledged write.

    pass_: "recovery" or "settled", window: "failover" or "failback"; or "cleaned" and ""; key: the ledger's key;
    state: settled | refused | pending | absent | unknown; store: which data store; copies: how many records of it
    that store shows, None unknown; digest: of the payload that it holds, "" unknown; region: which Region accepted
    it, as the store says, "" unknown.
    """

    at_s: float
    window: str
    pass_: str
    key: str
    state: str
    store: str = STORE
    copies: int | None = None
    digest: str = ""
    region: str = ""


@dataclass(frozen=True)
class History:
    """Everything a run folder says, read at one time. What is judged is a pure function of this."""

    header: dict[str, Any]
    events: tuple[Event, ...] = ()
    observations: tuple[Observation, ...] = ()
    requests: tuple[Request, ...] = ()
    writes: tuple[Write, ...] = ()
    readbacks: tuple[Readback, ...] = ()
    balances: tuple[dict[str, Any], ...] = ()
    journal: tuple[dict[str, Any], ...] | None = ()
    """The records of the journal; None when it cannot be read."""
    watchdog: tuple[dict[str, Any], ...] = ()
    """What the watchdog recorded; nothing when there was none."""
    snapshots: tuple[dict[str, Any], ...] = ()
    """The configuration before and after the drill ("when"), as checks/snapshot.py takes it; each may be missing."""
    torn: dict[str, int] = field(default_factory=dict)
    """Ledger file -> bytes cut off at its end: a record that a killed writer did not finish."""

    @property
    def speed(self) -> float:
        """Target seconds per wall second."""
        return float(self.header["speed"])

    @property
    def read_only(self) -> bool:
        """Whether nothing was written, because the target declares no synthetic identity."""
        return bool(self.header.get("read_only"))

    @property
    def probe(self) -> str:
        """The probe that says whether clients were served."""
        return probe_of(self.read_only)

    def named(self, *names: str) -> tuple[Event, ...]:
        """The events with one of these names, in order."""
        return tuple(e for e in self.events if e.name in names)

    def first(self, name: str) -> Event | None:
        """The first event of that name."""
        return next(iter(self.named(name)), None)

    def of(self, probe: str, vantage: str | None = None) -> tuple[Observation, ...]:
        """The observations of one probe (and vantage), by send time."""
        found = self._by_probe.get(probe, ())
        return found if vantage is None else tuple(o for o in found if o.vantage == vantage)

    @cached_property
    def _by_probe(self) -> dict[str, tuple[Observation, ...]]:
        """Every question of the judge asks for one probe; looking through all looks each time would be its cost."""
        found: dict[str, list[Observation]] = {}
        for observation in self.observations:
            found.setdefault(observation.probe, []).append(observation)
        return {probe: tuple(sorted(looks, key=lambda o: o.sent_s)) for probe, looks in found.items()}


class Followed:
    """A run folder that is read while others write it. events: the drill's own marks, by who knows them."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder = folder
        self.clock = clock
        self._offsets: dict[Path, int] = {}
        self._tails: dict[Path, ObservationTail] = {}
        self.observations: list[Observation] = []
        self.requests: list[Request] = []
        self.events: list[Event] = []

    def refresh(self) -> None:
        """Read what other processes have appended to this folder since the last call."""
        for path in sorted(self.folder.glob("obs-*.jsonl")):
            self.observations.extend(observation_from(record) for record in self._new_lines(path))
        for path in sorted(self.folder.glob("obs-*.bin")):
            self.observations.extend(self._tails.setdefault(path, ObservationTail(path)).new())
        for path in sorted(self.folder.glob("requests-*.jsonl")):
            self.requests.extend(request_from(record) for record in self._new_lines(path))

    def _new_lines(self, path: Path) -> Iterator[dict[str, Any]]:
        offset = self._offsets.get(path, 0)
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offsets[path] = offset + len(whole)
        for line in whole.splitlines():
            yield json.loads(line)


class Timeline(Followed):
    """The run folder while it is written, and incrementally read.

    folder: exists and is empty but for `run.json`, which `create` writes. Other processes append their own files
    of the same folder; `refresh` picks up what they have written since.
    """

    def __init__(self, folder: Path, clock: Clock, run_id: str = "") -> None:
        super().__init__(folder, clock)
        self._marks = ChainFile(folder / EVENTS, run_id)

    @classmethod
    def create(cls, folder: Path, clock: Clock, header: dict[str, Any]) -> Timeline:
        """Make a new run folder. FileExistsError when there is one already."""
        folder.mkdir(parents=True)
        full = {"format": FORMAT, "speed": clock.speed, "created": clock.wall().isoformat(), **redacted(header)}
        (folder / "run.json").write_text(json.dumps(full, indent=2, default=_text) + "\n")
        return cls(folder, clock, str(full.get("run_id", "")))

    def mark(self, event: str, /, **data: Any) -> Event:
        """Append an event, stamped now."""
        made = Event(self.clock.monotonic_s(), event, redacted(data))
        self._marks.append(asdict(made), _text)
        self.events.append(made)
        return made

    def phase(self, name: str) -> Event:
        """Mark the begin of one of the fixed phases. ValueError for any other name."""
        if name not in PHASES:
            raise ValueError(f"phase {name!r} is not one of {', '.join(PHASES)}")
        return self.mark("phase", phase=name)

    def between(self, low_s: float, high_s: float, probe: str) -> list[Observation]:
        """Observations of `probe` whose result came in [low_s, high_s]."""
        return [o for o in self.observations if o.probe == probe and low_s <= o.done_s <= high_s]

    def close(self) -> None:
        """Close the files."""
        self._marks.close()


class ObservationFile:
    """Where one witness process appends its observations; one write(2) a line."""

    def __init__(self, folder: Path, witness: str) -> None:
        self._fd = os.open(
            folder / f"obs-{witness}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644
        )

    def add(self, observation: Observation) -> None:
        """Append one observation."""
        record = redacted(asdict(observation)) | {"outcome": observation.outcome.value}
        os.write(self._fd, (json.dumps(record) + "\n").encode())

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def observation_from(record: dict[str, Any]) -> Observation:
    """An observation from its JSON form."""
    found = Observation(**(record | {"outcome": Outcome(record["outcome"])}))
    return _stamped(found, found.sent_s, found.done_s)


def request_from(record: dict[str, Any]) -> Request:
    """A request from its JSON form."""
    found = Request(**(record | {"outcome": Outcome(record["outcome"])}))
    return _stamped(found, found.sent_s, found.done_s)


def append_readbacks(folder: Path, readbacks: Iterable[Readback]) -> None:
    """Append read-back results to `readback.jsonl`."""
    with (folder / "readback.jsonl").open("a") as file:
        for readback in readbacks:
            file.write(json.dumps(asdict(readback)) + "\n")


def load_history(folder: Path, many: bool = True) -> History:
    """Read a whole run folder; many=False: without requests and quick looks, for who reads these in columns.

    Raises ValueError naming what is wrong: no header, a newer format, an unreadable line.
    """
    try:
        header = json.loads((folder / "run.json").read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder}: no readable run.json ({error})") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        found = header.get("format") if isinstance(header, dict) else type(header).__name__
        raise ValueError(f"{folder}: format {found!r}, this version reads {FORMAT}")
    return History(
        header=header,
        events=_events(folder, str(header.get("run_id", ""))),
        observations=(
            *_all(folder, "obs-*.jsonl", observation_from),
            *(read_logs(folder.glob("obs-*.bin")) if many else ()),
        ),
        requests=_all(folder, "requests-*.jsonl", request_from) if many else (),
        writes=_writes(folder),
        readbacks=_all(folder, "readback.jsonl", _readback_from),
        balances=_all(folder, "balances.jsonl", _balance_from),
        journal=_journal(folder / "journal.jsonl"),
        watchdog=tuple(watchdog_records(folder)),
        snapshots=tuple(s for when in SNAPSHOTS if (s := _snapshot(snapshot_path(folder, when))) is not None),
        torn=torn_ledgers(folder.glob("ledger-*.bin")),
    )


def _text(thing: object) -> str:
    """How anything that is no JSON is written down."""
    return redact(str(thing))


def _writes(folder: Path) -> tuple[Write, ...]:
    """The whole ledger. ValueError for one in the text format of earlier versions, which would read as empty."""
    old = sorted(folder.glob("ledger-*.jsonl"))
    if old:
        raise ValueError(f"{old[0].name}: a ledger of an earlier version; use the version that made it")
    return tuple(read_ledger(folder.glob("ledger-*.bin")))


def snapshot_path(folder: Path, when: str) -> Path:
    """Where the snapshot from "before" or "after" the drill lies."""
    return folder / f"snapshot-{when}.json"


def _snapshot(path: Path) -> dict[str, Any] | None:
    """None when there is none that can be read: that costs the audit, never the rest of the evidence."""
    try:
        snapshot = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return snapshot if isinstance(snapshot, dict) else None


def _journal(path: Path) -> tuple[dict[str, Any], ...] | None:
    """None when it cannot be read; what that means for the changes is said by who restores."""
    try:
        return tuple(journal_records(path)) if path.exists() else ()
    except (OSError, ValueError):
        return None


def _all(folder: Path, pattern: str, read: Callable[[dict[str, Any]], T]) -> tuple[T, ...]:
    """Every record of the files of that pattern. ValueError names file and line of one that is none."""
    found: list[T] = []
    for path in sorted(folder.glob(pattern)):
        for number, record in enumerate(read_lines(path), start=1):
            try:
                found.append(read(record))
            except (KeyError, TypeError, ValueError) as error:
                why = f"{type(error).__name__}: {error}"
                raise ValueError(f"{path.name}, line {number}: not such a record ({why})") from error
    return tuple(found)


def _events(folder: Path, run_id: str) -> tuple[Event, ...]:
    """The marks. ValueError also where they are no chain (drill/chain.py)."""
    found = _all(folder, EVENTS, event_from)
    why = broken(read_lines(folder / EVENTS), run_id) if found else ""
    if why:
        raise ValueError(f"{EVENTS}, {why}")
    return found


def event_from(record: dict[str, Any]) -> Event:
    """An event from its JSON form, with its link or without."""
    event = Event(**{name: value for name, value in record.items() if name != LINK})
    if not isinstance(event.data, dict):
        raise TypeError("data is not a table")
    return _stamped(event, event.at_s)


def _readback_from(record: dict[str, Any]) -> Readback:
    readback = Readback(**record)
    return _stamped(readback, readback.at_s)


def _balance_from(record: dict[str, Any]) -> dict[str, Any]:
    return _stamped(record, record["at_s"])


def _stamped(record: T, *stamps: Any) -> T:
    """The record, if its stamps are instants in their order."""
    for stamp in stamps:
        if isinstance(stamp, bool) or not isinstance(stamp, int | float) or not math.isfinite(stamp):
            raise ValueError(f"{stamp!r} is no instant")
    if list(stamps) != sorted(stamps):
        raise ValueError("done before it was sent")
    return record
