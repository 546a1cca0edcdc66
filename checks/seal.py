"""The seal of a run folder: what the drill had recorded when it ended, so that a folder that lost some is noticed.

Not a signature: who can write the folder can write the seal. It tells evidence that is whole from evidence that was
cut off, mixed with another run's, or judged by a header that was changed since.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from drill.calls_made import FINISHED, call_records
from drill.timeline import Event, History

SEAL = FINISHED
"""The last event of a run folder; its data is the seal."""
KINDS = ("events", "observations", "requests", "writes", "readbacks", "balances", "snapshots")
CALLS = "calls"
"""Of the journal only what was called is sealed: a restore that comes later writes on behind it."""


def seal_of(history: History) -> dict[str, Any]:
    """JSON-able: "header", a digest, and per kind of evidence {"count", "digest"}. A seal itself is not sealed."""
    kinds = {kind: list(getattr(history, kind)) for kind in KINDS}
    kinds["events"] = [event for event in history.events if event.name != SEAL]
    return {
        "header": _digest(json.dumps(history.header, sort_keys=True, default=str)),
        **{kind: {"count": len(records), "digest": _of(records)} for kind, records in kinds.items()},
        CALLS: _calls(history),
    }


def rows_of(history: History, but_pass: str) -> dict[str, Any]:
    """The part of a seal that says what was written and what was read of it, without that pass of the read-back."""
    reads = [record for record in history.readbacks if record.pass_ != but_pass]
    parts: dict[str, list[Any]] = {"readbacks": reads}
    parts |= {"writes": list(history.writes), "balances": list(history.balances)}
    return {kind: {"count": len(records), "digest": _of(records)} for kind, records in parts.items()}


def seal_digest(history: History) -> str:
    """sha256 (hex) of the seal, which names this evidence and no other; "" for a run that did not come to its end."""
    seals = history.named(SEAL)
    return _digest(json.dumps(seals[-1].data, sort_keys=True, default=str)) if seals else ""


def broken_seals(history: History) -> Iterator[str]:
    """What differs from the seal, one sentence each; nothing when the run folder is whole."""
    seals = history.named(SEAL)
    if len(seals) != 1:
        yield (
            "the drill did not come to its end: its record is cut off (was it killed? then type: drill restore)"
            if not seals
            else f"the record has {len(seals)} ends: it is not one drill's"
        )
        return
    if history.events[-1] is not seals[0]:
        yield "events were recorded after the drill had ended"
    yield from _differences(history, seals[0])


def _differences(history: History, seal: Event) -> Iterator[str]:
    now = seal_of(history)
    if seal.data.get("header") != now["header"]:
        yield "run.json is not what it was when the drill ended"
    for kind in KINDS:
        then = seal.data.get(kind)
        counted = then.get("count") if isinstance(then, dict) else None
        if counted != now[kind]["count"]:
            yield f"{now[kind]['count']} {kind} on record, {counted} when the drill ended"
        elif then != now[kind]:
            yield f"the {kind} on record are not those of when the drill ended"
    then = seal.data.get(CALLS, {"count": 0, "digest": _digest("")})  # nobody kept any before there were any
    counted = then.get("count") if isinstance(then, dict) else None
    if history.journal is None or type(counted) is not int or _calls(history, counted) != then:
        yield "the calls in the journal are not those of when the drill ended"


def _calls(history: History, first: int | None = None) -> dict[str, Any]:
    """Of the first so many calls, in their order; of all without a number."""
    told = [json.dumps(record, sort_keys=True) for record in call_records(history.journal or ())[:first]]
    return {"count": len(told), "digest": _digest("\n".join(told))}


def _of(records: list[Any]) -> str:
    """Of the set of records: the order of a file's lines is no evidence."""
    return _digest("\n".join(sorted(map(repr, records))))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
