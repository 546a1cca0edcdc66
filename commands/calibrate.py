"""`drill calibrate`: plant outages and writes with known truth on this machine and see how right the harness is."""

from __future__ import annotations

import argparse
import json
import math
from typing import Any

import psutil
from tabulate import tabulate

from checks.accuracy import HARD, Result, by_kind, summary
from commands.calibrating import Calibrated, Plan, calibrate
from commands.calibrating_writes import Classified, calibrate_writes
from commands.say import say
from commands.scratch import scratch
from commands.world import CALIBRATION
from drill.calibration import store, this_machine
from drill.clock import Clock, SystemClock
from drill.errors import UsageError
from drill.verdict import Verdict

MOST_OUTAGES = 100_000
WRITES_EACH = 2
"""Planted writes for each planted outage."""
DEFINITION = (
    "error: the point estimate of an outage's duration minus its true duration (docs/reading-a-report.md)\n"
    "bounds: how wide the interval is\n"
    "covered: onset, recovery and duration all lie within their bounds; no end: bounds that say nothing, and cover\n"
    "spells that are shorter than the time between two looks are not seen: flapping needs the higher rates"
)


def register(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser("calibrate", help="measure this machine's accuracy on outages with known edges")
    parser.add_argument("--outages", type=int, default=160, metavar="N", help="how many to plant (default: 160)")
    parser.add_argument("--rate", type=float, default=1000.0, metavar="HZ", help="looks a second (default: 1000)")
    parser.add_argument("--load", type=float, default=400.0, metavar="HZ", help="requests a second beside it")
    parser.add_argument("--parallel", type=int, default=4, metavar="N", help="victims at once (default: 4)")
    parser.add_argument("--seed", type=int, default=1, help="of the planted plans")
    parser.add_argument("--json", action="store_true", help="the result as JSON on stdout, and nothing else")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 when every interval contained its truth and every write was right, 1 otherwise; stored in both cases."""
    plan = _plan(args)
    clock = SystemClock()

    def tell(words: str) -> None:
        if not args.json:
            say(words)

    with scratch("drill-calibrate-") as made:
        psutil.cpu_percent()
        found = calibrate(plan, made.folder, clock, tell)
        busy = psutil.cpu_percent() / 100
        writes = made.folder / "writes"
        writes.mkdir()
        tell(f"planting {WRITES_EACH * plan.outages} writes")
        classified = calibrate_writes(WRITES_EACH * plan.outages, plan.seed, writes, clock)
    result = _result(plan, found, classified, busy, clock)
    store(CALIBRATION, result)
    say(json.dumps(result, indent=1, allow_nan=False) if args.json else _text(result, found))
    right = result["covered"] == result["outages"] and classified.right == classified.writes
    return 0 if right else Verdict.FAIL.exit_code


def _plan(args: argparse.Namespace) -> Plan:
    limits = {
        "--outages": (args.outages, 1, MOST_OUTAGES),
        "--rate": (args.rate, 100, 1000),
        "--load": (args.load, 0, 5000),
        "--parallel": (args.parallel, 1, 32),
    }
    for option, (value, least, most) in limits.items():
        if not (math.isfinite(value) and least <= value <= most):
            raise UsageError(f"{option} {value:g}: must be from {least:g} to {most:g}")
    return Plan(args.outages, args.rate, args.load, args.parallel, args.seed)


def _result(plan: Plan, found: Calibrated, writes: Classified, busy: float, clock: Clock) -> dict[str, Any]:
    main = found.by_rate[plan.rate_hz]
    every = summary(main)
    return {
        "created": clock.wall().isoformat(),
        "machine": this_machine(),
        "rate_hz": plan.rate_hz,
        "load_hz": plan.load_hz,
        "cores_busy": round(busy, 3),
        "slots_missed_share": round(found.gap_share, 6),
        "outages": every["outages"],
        "covered": every["covered"],
        "unbounded": every["unbounded"],
        "error_s": _hard(main)["error_s"],
        "writes": writes.writes,
        "writes_right": writes.right,
        "writes_wrong": [[fate, called, n] for (fate, called), n in writes.wrong.items()],
        "by_kind": by_kind(main),
        "by_rate": {f"{rate:g}": _hard(rows) | {"by_kind": by_kind(rows)} for rate, rows in found.by_rate.items()},
        "notes": list(found.notes),
        "not_covered": [[r.kind, r.why] for r in main if not r.covered],
    }


def _hard(rows: list[Result]) -> dict[str, Any]:
    return summary([r for r in rows if r.kind in HARD])


def _text(result: dict[str, Any], found: Calibrated) -> str:
    header = ["kind", "planted", "covered", "no end", "bias", "median", "p95", "worst", "bounds", "widest"]
    parts = []
    for rate, rows in found.by_rate.items():
        lines = [_row(kind, values) for kind, values in by_kind(rows).items()]
        lines.append(_row("hard edges, hang, black hole", _hard(rows)))
        thinned = "" if rate == result["rate_hz"] else " (the same looks, thinned)"
        parts.append(f"{rate:g} looks a second{thinned}; all figures in ms of wall time")
        parts.append(tabulate(lines, header, tablefmt="simple", disable_numparse=True, colalign=_ALIGN))
    parts.append(DEFINITION)
    parts += [f"note: {note}" for note in result["notes"]]
    parts += [f"NOT COVERED: {kind}: {why}" for kind, why in result["not_covered"]]
    parts += [
        f"WRONG: {n} writes that were {fate} were called {called}" for fate, called, n in result["writes_wrong"]
    ]
    parts.append(
        f"{result['covered']} of {result['outages']} outages covered; {result['writes_right']} of {result['writes']} "
        f"writes right; {result['load_hz']:g} requests a second beside it, {result['cores_busy']:.0%} of all cores "
        f"busy, {result['slots_missed_share']:.1%} of the slots missed. Stored in {CALIBRATION}."
    )
    return "\n\n".join(parts)


_ALIGN = ("left", *["right"] * 9)


def _row(kind: str, values: dict[str, Any]) -> list[str]:
    error, width = values["error_s"], values["width_s"]
    counts = [str(values[key]) for key in ("outages", "covered", "unbounded")]
    figures = (values["bias_s"], error["median"], error["p95"], error["worst"], width["median"], width["worst"])
    return [kind, *counts, *("-" if v is None else f"{v * 1000:.2f}" for v in figures)]
