"""What a drill called, as people read it: the journal's states, the lines behind them, and AWS's answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from drill.call import Call
from drill.calls_made import CALLED, CallMade, calls_made
from drill.undo import undo_from
from reports.look import html_table
from reports.run import Run

MOST_ROWS = 200
STATES = ("at", "number", "state", "what")
ANSWERS = ("at (UTC)", "for", "call", "answer", "request id", "attempts")


def calls(run: Run) -> str:
    """HTML: every state of every change and action, then every call that AWS was asked to make and its answer."""
    records = [record for record in run.journal if record.get("state") != CALLED]
    states = html_table(STATES, [_state_row(run, record) for record in records[:MOST_ROWS]], "tight")
    made = calls_made(run.journal)
    if not made:
        return states
    rows = html_table(ANSWERS, [_answer_row(call) for call in made[:MOST_ROWS]], "tight stamps")
    more = f"<p>{len(made) - MOST_ROWS} more in journal.jsonl.</p>" if len(made) > MOST_ROWS else ""
    return f"{states}<p>What AWS answered, by the request ids under which CloudTrail has it:</p>{rows}{more}"


def _state_row(run: Run, record: Mapping[str, Any]) -> list[str]:
    at = f"{run.at(float(record['at_s'])):.1f} {run.unit}" if "at_s" in record else str(record.get("wall", ""))
    subject = record.get("change") or record.get("action")
    what = _subject(subject) if isinstance(subject, Mapping) else str(record.get("reason", _by(record)))
    return [at, str(record.get("number", "")), str(record.get("state", "")), what]


def _answer_row(call: CallMade) -> list[str]:
    made = call.made
    answer = f"HTTP {made.status}" if made.status else "none"
    return [
        _utc(call.at),
        f"{call.purpose} {call.number} {call.kind}".strip() if call.number else call.purpose,
        f"{made.service}:{made.operation} in {made.region}",
        f"{answer}, {made.error}" if made.error else answer,
        made.request_id,
        "" if made.attempts is None else str(made.attempts),
    ]


def _utc(at: str) -> str:
    try:
        return datetime.fromisoformat(at).strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return at


def _by(record: Mapping[str, Any]) -> str:
    by = record.get("by")
    return f"by {by.get('who', '?')} (pid {by.get('pid', '?')})" if isinstance(by, Mapping) else ""


def _subject(subject: Mapping[str, Any]) -> str:
    made: Iterable[Mapping[str, Any]] = [*subject.get("inject", ()), *subject.get("calls", ())]
    back: Iterable[Mapping[str, Any]] = subject.get("restore", ())
    undo = undo_from(subject.get("undo"))
    lines = [*(_cli(call) for call in made), *(f"to put back: {_cli(call)}" for call in back)]
    lines += [f"to end it: {undo.line()}"] if undo else []
    return "\n".join([f"{subject.get('kind', '')} on {', '.join(subject.get('resources', ()))}", *lines])


def _cli(call: Mapping[str, Any]) -> str:
    return Call(
        call["service"], call["operation"], dict(call["params"]), call["region"], dict(call.get("endpoints", {}))
    ).cli()
