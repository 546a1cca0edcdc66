"""Hand-written runs of the core-banking target, as small or as large as a test needs."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from drill.target import load_target
from drill.timeline import Event, History, Observation, Outcome, Request
from drill.verdict import Finding, Interval, Judgement, Verdict, conclude, judge_interval
from reports.run import Run

TARGET = load_target(Path(__file__).parents[2] / "targets" / "core-banking.toml")
PRIMARY, STANDBY, OBSERVER = "ap-northeast-1", "ap-northeast-3", "us-west-2"
TOKYO, OSAKA = "127.100.5.165", "127.101.6.12"
SPEED = 10.0
BEGAN_S = 5000.0
"""Monotonic wall second at which the hand-written runs begin."""
FAULT, RECOVERED, FAILBACK, BACK, END = 80.0, 320.0, 440.0, 600.0, 660.0
"""Target seconds from the start of the hand-written run."""


def wall(target_s: float) -> float:
    """The monotonic wall stamp of a target second of the hand-written run."""
    return BEGAN_S + target_s / SPEED


def header(**changes: Any) -> dict[str, Any]:
    """A header as a drill writes it."""
    record = {
        "format": 1,
        "speed": SPEED,
        "created": "2026-01-01T00:00:00+00:00",
        "run_id": "r20260101-01",
        "scenario": "service_loss",
        "target": TARGET.model_dump(mode="json"),
        "target_name": TARGET.name,
        "target_kind": "lab",
        "target_digest": TARGET.digest,
        "objectives": TARGET.objectives.model_dump(mode="json"),
        "timings": TARGET.timings.model_dump(mode="json"),
        "overrides": [],
        "command_line": "pytest -m failover --target core-banking",
        "versions": {"python": "3.11.7", "failover-drill": "0.1.0", "locust": "2.47.0"},
        "docstring": "Tokyo loses its Transaction service; Osaka serves within the RTO.",
        "windows": ["failover", "failback"],
    }
    return record | changes


def look(at_s: float, probe: str, vantage: str, value: str, outcome: Outcome = Outcome.OK) -> Observation:
    """An observation whose result came at a target second of the run, half a target second after it was sent."""
    return Observation(wall(at_s - 0.5), wall(at_s), probe, vantage, outcome, value)


def region_at(at_s: float, lag_s: float = 0.0) -> str:
    """The address that serves at a target second: Tokyo, from the failover on Osaka, after the failback Tokyo."""
    return OSAKA if RECOVERED - 30 + lag_s <= at_s < FAILBACK + 100 + lag_s else TOKYO


def events() -> tuple[Event, ...]:
    """The marks of a drill with failover and failback."""
    marks: list[tuple[float, str, dict[str, Any]]] = [
        (0, "phase", {"phase": "baseline"}),
        (12, "fault.injected", {"kind": "EnableEventRule", "effect": "none", "window": ""}),
        (75, "window.begin", {"window": "failover", "survivor": STANDBY}),
        (76, "phase", {"phase": "injecting"}),
        (FAULT, "fault.injected", {"kind": "ScaleEcsService", "effect": "errors", "window": "failover"}),
        (FAULT + 4, "phase", {"phase": "in_force"}),
        (RECOVERED + 30, "window.recovered", {"window": "failover", "first_good_s": wall(RECOVERED)}),
        (RECOVERED + 30, "phase", {"phase": "recovered"}),
        (RECOVERED + 30, "window.end", {"window": "failover", "reason": "recovered"}),
        (RECOVERED + 95, "phase", {"phase": "restoring"}),
        (RECOVERED + 110, "fault.restored", {"kind": "ScaleEcsService"}),
        (RECOVERED + 110, "phase", {"phase": "restored"}),
        (RECOVERED + 112, "fault.restored", {"kind": "EnableEventRule"}),
        (FAILBACK, "window.begin", {"window": "failback", "survivor": PRIMARY}),
        (FAILBACK + 1, "phase", {"phase": "failback"}),
        (FAILBACK + 1, "action", {"window": "failback", "kind": "StartStateMachine", "effect": "region_moved"}),
        (FAILBACK + 130, "action.ended", {"window": "failback", "reached": True}),
        (BACK + 30, "window.recovered", {"window": "failback", "first_good_s": wall(BACK)}),
        (BACK + 30, "phase", {"phase": "recovered"}),
        (BACK + 30, "window.end", {"window": "failback", "reason": "recovered"}),
        (END, "phase", {"phase": "settled"}),
    ]
    return tuple(Event(wall(at), name, data) for at, name, data in marks)


def out_at(at_s: float) -> bool:
    """Whether users were without the service at that target second."""
    return FAULT <= at_s < RECOVERED or FAILBACK + 20 <= at_s < BACK


def observations() -> tuple[Observation, ...]:
    """What the witnesses saw: probes each 2 target seconds, DNS each second, signals each 5."""
    found = []
    for at in range(1, int(END), 2):
        outcome = Outcome.FAIL if out_at(at) else Outcome.OK
        found.append(look(at, "write.settle", "client", "" if out_at(at) else region_at(at), outcome))
    for at in range(1, int(END)):
        found.append(look(at, "dns", "authoritative", region_at(at, -60.0)))
        found.append(look(at, "dns", "resolver:us-west-2", region_at(at)))
    for at in range(2, int(END), 5):
        down = FAULT <= at < RECOVERED + 100
        found.append(look(at, "aws.ecs.transaction", PRIMARY, "0/0" if down else "2/2"))
        found.append(look(at, "aws.rule", STANDBY, "ENABLED" if 12 < at < 432 else "DISABLED"))
        found.append(look(at, "aws.alarm.standby", STANDBY, "ALARM" if 150 < at < RECOVERED + 60 else "OK"))
        found.append(look(at, "aws.execution.failover", STANDBY, _execution(at)))
        found.append(look(at, "aws.writer", OBSERVER, STANDBY if 250 < at < 540 else PRIMARY))
        unknown = Outcome.UNKNOWN if 200 < at < 215 else Outcome.OK
        found.append(look(at, "aws.control.primary", OBSERVER, "Off" if 200 < at < 540 else "On", unknown))
    return tuple(found)


def _execution(at_s: float) -> str:
    return "0:-" if at_s < 180 else "1:RUNNING" if at_s < 290 else "1:SUCCEEDED"


def requests() -> tuple[Request, ...]:
    """The load: twenty requests a wall second; some connections stay pinned to Tokyo after the DNS moved."""
    return tuple(_request(n) for n in range(int(END / SPEED * 20)))


def _request(n: int) -> Request:
    at = n / 20 * SPEED
    down, refused = out_at(at), n % 3 == 0
    pinned = not down and RECOVERED <= at < RECOVERED + 60 and n % 4 == 0
    peer = "" if down and refused else TOKYO if pinned else region_at(at)
    outcome = Outcome.FAIL if down or n == 200 else Outcome.OK
    status = 0 if not peer else 503 if down else 200
    return Request(wall(at), wall(at + 1), "deposit", outcome, status, peer, pinned=pinned)


def history(**changes: Any) -> History:
    """The hand-written run."""
    return History(header(**changes), events(), observations(), requests())


LOST = {
    "key": "load-1-17",
    "id": "t-000017",
    "write": "deposit",
    "account": "drill-r20260101-01-3-1",
    "amount": 1000.0,
    "sent_s": -1.5,
    "acked_s": -0.4,
}


POLL = "harness clock, poll of it every 5 s"
STEPS = (
    ("failover: detected", Interval(70.0, 75.0), POLL),
    ("failover: decided", Interval(98.0, 103.0), POLL),
    ("failover: data promoted", Interval(200.0, 206.0), POLL),
    ("failover: traffic switched", Interval(148.0, 151.0), POLL),
    ("failover: detected, own clock", Interval(71.0, 71.1), "alarm history, its own clock"),
    ("failover: clients recovered", Interval(238.0, 243.0), POLL),
    ("failover: clients recovered after the decision", Interval(135.0, 145.0), POLL),
    ("failback: data promoted", None, POLL),
)
"""The split of a recovery as the judge names its rows, not in the order in which they happened."""


def judgement(rto_s: float = 600.0, lost: int = 0, reach_s: float = 243.0) -> Judgement:
    """A judgement of the hand-written run. reach_s: upper bound of the recovery time."""
    rto = judge_interval("recovery time, failover", Interval(min(238.0, reach_s), reach_s), rto_s, unit="lab s")
    bounds = {
        "onset_monotonic_s": [wall(FAULT - 2), wall(FAULT + 1)],
        "recovery_monotonic_s": [wall(RECOVERED - 2), wall(RECOVERED + 1)],
    }
    if math.isinf(reach_s):
        bounds["recovery_monotonic_s"] = [wall(RECOVERED), math.inf]
    rows = [LOST | {"key": f"load-1-{n}", "id": f"t-{n:06d}"} for n in range(17, 17 + lost)]
    rpo_verdict = Verdict.FAIL if lost else Verdict.PASS
    rpo = Finding(
        "recovery point, failover",
        rpo_verdict,
        f"{lost} acknowledged writes lost" if lost else "no acknowledged write was lost",
        0.0,
        Interval(0.0, 1.5 if lost else 0.0),
        data={"lost": rows},
    )
    phases = (("detected", Interval(70.0, 75.0), "harness clock, poll of cloudwatch DescribeAlarms every 5 s"),)
    phases += (("decided", None, "harness clock, poll of states ListExecutions every 5 s"),)  # type: ignore[assignment]
    writes = {"failover": {"acknowledged": 812, "lost": lost, "late": 2, "duplicate": 0, "indeterminate": 9}}
    dated = Finding(rto.name, rto.verdict, rto.reason, rto.limit_s, rto.interval, rto.advice, bounds)
    return conclude([dated, rpo], phases, writes)


def run(**changes: Any) -> Run:
    """A judged run in memory; changes: fields of Run."""
    values = {"folder": Path("reports/runs/latest"), "history": history(), "judgement": judgement()}
    return Run(**(values | changes))  # type: ignore[arg-type]


def write_folder(folder: Path, found: History) -> Path:
    """Write a history as a run folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps(found.header))
    _lines(folder / "events.jsonl", found.events)
    _lines(folder / "obs-prober.jsonl", found.observations)
    _lines(folder / "requests-load.jsonl", found.requests)
    return folder


def _lines(path: Path, records: Any) -> None:
    path.write_text("".join(json.dumps(_plain(asdict(record))) + "\n" for record in records))


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value.value if isinstance(value, Outcome) else value for key, value in record.items()}
