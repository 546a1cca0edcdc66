"""Hand-written histories: a run is said in target seconds from the start of the first window, and built as evidence.

`Story` is speed 10 and the core-banking Regions unless told otherwise. Everything it adds is explicit: what a test
does not say did not happen.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from checks.seal import SEAL, seal_of
from drill.clock import FakeClock
from drill.ledger import LedgerWriter, Result, Write, ledger_path
from drill.timeline import Event, History, Observation, Outcome, Readback, Request

TOKYO, OSAKA, OREGON = "ap-northeast-1", "ap-northeast-3", "us-west-2"
TOKYO_PEER, OSAKA_PEER = "127.100.5.165", "127.101.5.165"
PEERS = {TOKYO: TOKYO_PEER, OSAKA: OSAKA_PEER, "": ""}
TARGET: dict[str, Any] = {
    "name": "core-banking",
    "kind": "lab",
    "regions": {
        "primary": TOKYO,
        "standby": OSAKA,
        "observer": OREGON,
        "cidrs": {TOKYO: ["127.100.0.0/16"], OSAKA: ["127.101.0.0/16"]},
    },
    "load": {"timeout_s": 3.0},
}
SERVICE = f"arn:aws:ecs:{TOKYO}:111111111111:service/bank/Transaction-1"
WATCHED = TARGET | {"resources": {"transaction": {"region": TOKYO, "within": "bank", "name": "Transaction-*"}}}
"""The same target, with the service that the witness of signals looks at."""
OBJECTIVES = {"rto_s": 600.0, "rpo_s": 0.0, "failback_rto_s": 420.0, "failback_rpo_s": 0.0}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""The wall clock of a told run shows its monotonic stamps."""
OK, FAIL, UNKNOWN = Outcome.OK, Outcome.FAIL, Outcome.UNKNOWN


@dataclass
class Story:
    """A run being told. Times given are target seconds; zero_s is the monotonic instant they count from."""

    speed: float = 10.0
    zero_s: float = 5000.0
    objectives: dict[str, float] = field(default_factory=lambda: dict(OBJECTIVES))
    timings: dict[str, float] = field(default_factory=dict)
    target: dict[str, Any] = field(default_factory=lambda: TARGET)
    windows: tuple[str, ...] | None = None
    run_id: str = ""
    events: list[Event] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    readbacks: list[Readback] = field(default_factory=list)
    balances: list[dict[str, Any]] = field(default_factory=list)

    def at(self, target_s: float) -> float:
        """The monotonic instant of a time of the story."""
        return self.zero_s + target_s / self.speed

    def mark(self, target_s: float, name: str, /, **data: Any) -> Story:
        """A mark of the drill."""
        self.events.append(Event(self.at(target_s), name, data))
        return self

    def window(self, begin_s: float, end_s: float, name: str = "failover", reason: str = "recovered") -> Story:
        """A window; a failover also has its fault, injected at the begin and restored after the end."""
        self.mark(begin_s, "window.begin", window=name, cause="a test")
        if name == "failover":
            data = {"kind": "ecs.scale", "effect": "errors", "window": name, "in_force": True, "resources": [SERVICE]}
            self.mark(begin_s + 0.5, "fault.injected", **data).mark(end_s + 0.5, "fault.held", kind="ecs.scale")
            self.mark(end_s + 1, "fault.restored", kind="ecs.scale")
        if name == "failback":
            self.mark(begin_s + 0.5, "action", kind="machine", effect="region_moved", window=name)
            self.mark(end_s, "action.ended", kind="machine", window=name, reached=True, observed=["status: 'DONE'"])
        return self.mark(end_s, "window.end", window=name, reason=reason)

    def look(
        self, sent_s: float, done_s: float, outcome: Outcome, region: str = TOKYO, probe: str = "write.settle"
    ) -> Story:
        """One probe."""
        peer = PEERS[region] if outcome is OK else ""
        self.observations.append(
            Observation(
                self.at(sent_s), self.at(done_s), probe, "client", outcome, peer, "" if outcome is OK else "503"
            )
        )
        return self

    def looks(
        self,
        from_s: float,
        to_s: float,
        outcome: Outcome = OK,
        region: str = TOKYO,
        took_s: float = 0.5,
        every_s: float = 2.0,
    ) -> Story:
        """Probes at from_s, from_s + every_s, ... before to_s."""
        for number in range(max(0, round((to_s - from_s) / every_s + 0.4999))):
            self.look(from_s + number * every_s, from_s + number * every_s + took_s, outcome, region)
        return self

    def load(self, from_s: float, to_s: float, outcome: Outcome = OK, region: str = TOKYO) -> Story:
        """One request each second."""
        for second in range(round(to_s - from_s)):
            sent_s, done_s = self.at(from_s + second), self.at(from_s + second + 0.5)
            self.requests.append(Request(sent_s, done_s, "deposit", outcome, 200, PEERS[region]))
        return self

    def write(
        self,
        key: str,
        sent_s: float,
        acked_s: float | None,
        result: Result = "acked",
        account: str = "drill-1",
        amount: float = 1000.0,
    ) -> Story:
        """One write of the ledger."""
        result_s = None if acked_s is None else self.at(acked_s)
        id_ = f"id-{key}" if result == "acked" else None
        self.writes.append(
            Write(key, "deposit", account, amount, self.at(sent_s), result_s, result, id_, 200, TOKYO_PEER)
        )
        return self

    def read(self, at_s: float, states: dict[str, str], pass_: str = "settled", window: str = "failover") -> Story:
        """One pass of the read-back, from the window's survivor."""
        region = OSAKA if window == "failover" else TOKYO
        self.mark(at_s, "readback", window=window, pass_=pass_, region=region)
        self.readbacks += [Readback(self.at(at_s), window, pass_, key, state) for key, state in states.items()]
        return self

    def balance(self, at_s: float, account: str, balance: float | None, window: str = "failover") -> Story:
        """One balance read back."""
        record = {"window": window, "account": account, "balance": balance, "at_s": self.at(at_s)}
        self.balances.append(record)
        return self

    def signal(self, probe: str, values: Iterable[tuple[float, str]], vantage: str = OSAKA) -> Story:
        """Looks at one of the system's own signals, each answered 0.2 target seconds after it was sent."""
        for sent_s, value in values:
            outcome = OK if value else UNKNOWN
            self.observations.append(
                Observation(self.at(sent_s), self.at(sent_s + 0.2), probe, vantage, outcome, value)
            )
        return self

    def history(self) -> History:
        """What `load_history` would read of a drill that came to its end."""
        return sealed(self.unsealed())

    def unsealed(self) -> History:
        """What it would read of a drill that did not."""
        header: dict[str, Any] = {
            "format": 1,
            "speed": self.speed,
            "target": self.target,
            "objectives": self.objectives,
            "timings": self.timings,
        } | ({"run_id": self.run_id} if self.run_id else {})
        return History(
            header if self.windows is None else header | {"windows": list(self.windows)},
            tuple(sorted(self.events, key=lambda e: e.at_s)),
            tuple(self.observations),
            tuple(self.requests),
            tuple(sorted(self.writes, key=lambda w: w.sent_s)),
            tuple(self.readbacks),
            tuple(self.balances),
        )


def sealed(history: History) -> History:
    """The history with a seal over what it is now, whatever was changed in it."""
    events = tuple(e for e in history.events if e.name != SEAL)
    at_s = max((e.at_s for e in events), default=0.0) + 1
    bare = dataclasses.replace(history, events=events)
    return dataclasses.replace(history, events=(*events, Event(at_s, SEAL, seal_of(bare))))


def good_failover(onset_s: float = 10.0, recovery_s: float = 250.0, fate: str = "settled", **options: Any) -> Story:
    """A failover that passes with the usual objectives: down from onset_s to recovery_s, nothing lost.

    Write u1-2, acknowledged 2.5 s before the onset, is late: a test may read it back as something else.
    """
    end_s = recovery_s + 40
    story = Story(**options).window(0, end_s)
    story.looks(-60, onset_s).looks(onset_s, recovery_s, FAIL).looks(recovery_s, end_s + 30, region=OSAKA)
    story.load(-60, onset_s).load(onset_s, recovery_s, FAIL, "").load(recovery_s, end_s + 30, region=OSAKA)
    story.write("u1-1", -20, -19.5).write("u1-2", onset_s - 3, onset_s - 2.5, account="drill-2")
    story.write("u1-3", onset_s + 5, onset_s + 5.1, "refused", account="drill-3")
    story.read(end_s + 1, {"u1-1": "settled", "u1-2": "pending"}, "recovery")
    return story.read(end_s + 90, {"u1-2": fate})


COMPLETE = WATCHED | {
    "load": {"timeout_s": 3.0, "synthetic_prefix": "drill-"},
    "writes": {"balance_path": "/balance"},
}
"""A target that has everything the judge looks at."""


def complete() -> History:
    """A whole drill that passes: failover, failback, signals, balances; out from 10 to 250 and from 420 to 500."""
    story = good_failover(windows=("failover", "failback"), run_id="r1", target=COMPLETE)
    story.mark(-70, "looking", name="account").window(400, 560, "failback").write("u2-1", 350, 351, account="drill-5")
    story.looks(320, 420, region=OSAKA).looks(420, 500, FAIL).looks(500, 590)
    story.load(320, 420, region=OSAKA).load(420, 500, FAIL, "").load(500, 590)
    story.read(561, dict.fromkeys(("u1-1", "u1-2", "u2-1"), "settled"), "recovery", "failback")
    story.mark(625, "readback", window="failback", pass_="settled", region=TOKYO)
    story.signal("aws.ecs.transaction", [(-5, "1/1"), (5, "0/0"), (100, "0/0"), (290, "0/0")], TOKYO)
    for window, at_s, accounts in (("failover", 385, (1, 2)), ("failback", 626, (1, 2, 5))):
        for number in accounts:
            story.balance(at_s, f"drill-r1-{number}", 1000.0, window)
    renamed = (dataclasses.replace(w, account=w.account.replace("-", "-r1-", 1)) for w in story.writes)
    story.writes = list(renamed)
    return story.history()


def write_folder(folder: Path, history: History) -> Path:
    """The run folder that `load_history` reads as `history`."""
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps(history.header, indent=2))
    _lines(folder / "events.jsonl", map(dataclasses.asdict, history.events))
    _lines(folder / "obs-p.jsonl", map(_outcome, history.observations))
    _lines(folder / "requests-l.jsonl", map(_outcome, history.requests))
    _lines(folder / "readback.jsonl", map(dataclasses.asdict, history.readbacks))
    _lines(folder / "balances.jsonl", history.balances)
    for writer in {w.key.partition("-")[0] for w in history.writes}:
        of_writer = [w for w in history.writes if w.key.startswith(f"{writer}-")]
        _ledger(folder, writer, of_writer)
    return folder


def _lines(path: Path, records: Iterable[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def _outcome(look: Observation | Request) -> dict[str, Any]:
    return dataclasses.asdict(look) | {"outcome": look.outcome.value}


def _ledger(folder: Path, writer: str, writes: Sequence[Write]) -> None:
    ledger = LedgerWriter(ledger_path(folder, writer), FakeClock(date=EPOCH, now_s=0.0))
    for n, write in enumerate(sorted(writes, key=lambda w: int(w.key.rpartition("-")[2])), start=1):
        assert write.key == f"{writer}-{n}", "a ledger numbers its writes from 1"
        ledger.intent(write.sent_s, write.write, write.account, write.amount, store=write.store, digest=write.digest)
        if write.result_s is not None:
            told: dict[str, Any] = {"id": write.id, "status": write.status, "peer": write.peer}
            ledger.outcome(n, write.result_s, write.result, **told)
    ledger.close()


def verdicts(findings: Sequence[Any]) -> dict[str, str]:
    """Finding name -> verdict, for assertions that read well."""
    return {f.name: f.verdict.value for f in findings}
