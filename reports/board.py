"""The live board of a game day: what it shows, and its page, which is fixed: its script asks for all the rest."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from drill.gameday import HoldStep
from drill.gameday_log import Record
from drill.gameday_state import State
from reports import gameday_day as rows
from reports.gameday_day import Day
from reports.ink import safe
from reports.look import asset

FILES = {"/board.css": ("board.css", "text/css"), "/board.js": ("board.js", "text/javascript")}
"""What the page loads: path -> (file in assets/, type)."""
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
MOST_SHOWN = 100
"""Observations on the board, the newest first; all of them are in the report."""


def board_status(
    day: Day, live: Mapping[str, Any] | None, now: datetime, hard_stop: datetime, stopping: str = ""
) -> dict[str, Any]:
    """Everything that the board shows, as JSON.

    live: the newest look at the running drill, None without one; stopping: why nothing more is started, "" while
    something may be.
    """
    state = day.state
    newest = state.observations[: -MOST_SHOWN - 1 : -1]
    return {
        "words": _words(state, stopping),
        "times": f"now {rows.clock(now)}, hard stop {rows.date(hard_stop)} (in {rows.lasted(hard_stop - now)})",
        "lab": day.lab,
        "hold": _hold(state, now),
        "drill": _drill(state, live),
        "steps": [_step(row) for row in rows.drill_rows(day)],
        "next": [_ahead(step) for step in _next(state)],
        "observations": [_seen(r) for r in newest],
        "roles": list(rows.role_rows(day)),
    }


def _step(row: list[str]) -> list[str]:
    """A drill that was not started yet is no finding while the day runs."""
    return [row[0], row[2], *(row[5:7] if row[2] else ("ahead", ""))]


def _seen(record: Record) -> list[str]:
    step, text, who, role = (str(record.data.get(key, "")) for key in ("step", "text", "who", "role"))
    return [rows.clock(record.at), step, text, f"{who} ({role})".strip() if role else who]


def _words(state: State, stopping: str) -> str:
    if state.closed is not None:
        return f"over: exit code {state.closed.data.get('exit_code')}"
    if stopping:
        return f"stopping: {stopping}"
    if state.running is not None:
        return f"drill {state.running.drill} runs"
    return "waits for a person" if state.waiting is not None else "between steps"


def _hold(state: State, now: datetime) -> dict[str, Any] | None:
    held = state.waiting if state.closed is None and state.running is None else None
    if held is None:
        return None
    since = f"{rows.clock(held.since)}, {rows.lasted(now - held.since)}"
    return {
        "step": held.step.id,
        "message": held.step.message,
        "release": list(held.step.release),
        "since": held.since.isoformat(),
        "since_words": since,
    }


def _drill(state: State, live: Mapping[str, Any] | None) -> dict[str, Any] | None:
    attempt = state.running
    planned = {d.id: d for d in state.plan.drills}.get(attempt.drill if attempt else "")
    if attempt is None or planned is None:
        return None
    return {
        "id": planned.id,
        "scenario": planned.node.rpartition("::")[2],
        "target": planned.step.target,
        "attempt": attempt.number,
        "live": dict(live or {}),
    }


def _next(state: State) -> list[Any]:
    """What is left, without what goes on now."""
    now = {state.running.drill} if state.running else {state.waiting.step.id} if state.waiting else set()
    return [step for step in state.ahead() if step.id not in now]


def _ahead(step: Any) -> str:
    if isinstance(step, HoldStep):
        return f"hold {step.id}: {step.message}"
    return f"drill {step.id}: {step.node.rpartition('::')[2]} on {step.step.target}"


def board_page(title: str) -> str:
    """The page, before its script has asked for anything."""
    body = asset("board.html")
    for name, text in {"{{title}}": title, "{{lab}}": rows.LAB}.items():
        body = body.replace(name, safe(text))
    return _page(title, body, script='<script src="board.js" defer></script>')


def login_page(title: str, wrong: bool) -> str:
    """The page that asks for the token."""
    said = '<p class="problem" role="alert">That is not the token.</p>' if wrong else ""
    return _page(
        title,
        f"<h1>{safe(title)}</h1>{said}"
        '<form method="post" action="login"><label>Token of this board'
        '<input name="token" type="password" autocomplete="off" required></label><button>Open</button></form>',
    )


def _page(title: str, body: str, script: str = "") -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<title>{safe(title)}</title><link rel="stylesheet" href="board.css">{script}</head>'
        f"<body><main>{body}</main></body></html>\n"
    )
