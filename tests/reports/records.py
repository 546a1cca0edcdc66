"""Records and run folders of whole drills, as small as a test needs: one that passes, dated and named at will."""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

from checks.judge import judge
from checks.seal import seal_digest
from drill.harness import this_harness
from drill.target import load_target
from drill.timeline import History
from drill.verdict import Judgement
from reports.record import DrillRecord, record_of
from reports.summary import write_summary
from tests.checks.histories import complete, sealed, write_folder

TARGET = load_target(Path(__file__).parents[2] / "targets" / "core-banking.toml")
CREATED = "2026-01-01T00:00:00+00:00"
SCENARIO = "service-loss-and-return"


def whole(**header: Any) -> History:
    """A drill that passes, with a header as a drill writes it; header: fields that are otherwise."""
    return _whole(json.dumps(header))


@functools.cache
def _whole(changes: str) -> History:
    header, bare = json.loads(changes), complete()
    full = bare.header | {
        "created": CREATED,
        "scenario": SCENARIO,
        "docstring": "Tokyo loses its Transaction service; Osaka serves within the RTO.",
        "release": "4f2c1ab",
        "target": bare.header["target"] | {"system": TARGET.system, "account": TARGET.account},
        "target_name": TARGET.name,
        "target_kind": "lab",
        "target_digest": TARGET.digest,
        "overrides": [],
        "command_line": ["pytest", "-m", "failover"],
        "versions": {**this_harness(), "python": "3.11.7"},
    }
    return sealed(dataclasses.replace(bare, header=full | header))


def record(**header: Any) -> DrillRecord:
    """Its record."""
    history = whole(**header)
    return record_of(history, _judged(json.dumps(header)), seal_digest(history))


def run_folder(folder: Path, **header: Any) -> Path:
    """Its run folder, with its verdict.json."""
    history = whole(**header)
    write_folder(folder, history)
    write_summary(folder, _judged(json.dumps(header)))
    return folder


@functools.cache
def _judged(changes: str) -> Judgement:
    return judge(_whole(changes))
