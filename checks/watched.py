"""What the watchdog did for a drill that could not: killed or hung, and restored by another process. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from drill.journal import BACK, UNTOUCHED
from drill.timeline import Event, History
from drill.verdict import Finding, Verdict

NAME = "watchdog"
OVER = BACK + UNTOUCHED
"""The last states of a Change that is not there any more, or never was."""
WORDS = {"dead": "was killed", "hung": "hung"}


def watchdog_findings(history: History) -> Iterator[Finding]:
    """INVALID when the watchdog had to restore; DIRTY when that, or what came after, left something changed."""
    noticed = next((r for r in history.watchdog if r.get("event") == "noticed"), None)
    if noticed is None:
        return
    drill = f"the drill {WORDS.get(str(noticed.get('why')), 'ended')} {_when(history, float(noticed['at_s']))}"
    if noticed.get("why") == "hung":
        drill += f" (no sign of life for {float(noticed['silent_s']):.1f} s)"
    left = not_back(history)
    if not left:
        yield Finding(NAME, Verdict.INVALID, f"{drill}; {_restored(history, float(noticed['at_s']))}")
        return
    lines = [str(line) for r in history.watchdog if r.get("event") == "dirty" for line in r.get("lines") or ()]
    reason = f"{drill}, and {', '.join(left.values())} is not back; type: drill restore RUN"
    yield Finding(NAME, Verdict.DIRTY, reason, advice="\n".join(lines), data={"lines": lines})


def not_back(history: History) -> dict[int, str]:
    """Number -> kind of every Change that may have been injected and is not restored, by the journal.

    And of every Action that may have started what it carries an Undo for, and that nobody noted to be ended.
    """
    states: dict[int, str] = {}
    kinds: dict[int, str] = {}
    for record in history.journal or ():
        number = int(record["number"])
        states[number] = str(record["state"])
        action = record.get("action")
        owed = action if isinstance(action, Mapping) and action.get("undo") else record.get("change")
        if isinstance(owed, Mapping):
            kinds[number] = str(owed["kind"])
    return {number: kind for number, kind in kinds.items() if states[number] not in OVER}


def to_put_back(history: History) -> list[Event]:
    """The marks of what had to be put back: each fault, and each action that had started what can be ended."""
    return [*history.named("fault.injected"), *(e for e in history.named("action") if e.data.get("undo"))]


def restored_by_journal(history: History, number: Any) -> bool:
    """Whether the journal's last word about it is that it is as before, or that it was never started."""
    said = [r.get("state") for r in history.journal or () if r.get("number") == number]
    return bool(said) and said[-1] in ("restored", "not_started")


def _when(history: History, at_s: float) -> str:
    phases = [str(e.data.get("phase")) for e in history.named("phase") if e.at_s <= at_s]
    return f"in phase {phases[-1]}" if phases else "before its first phase"


def _restored(history: History, noticed_s: float) -> str:
    back = [float(r["at_s"]) for r in history.watchdog if r.get("event") == "restored" and not r.get("late")]
    if not back:
        return "nothing had to be put back by the watchdog"
    again = sum(bool(r.get("late")) for r in history.watchdog if r.get("event") == "restored")
    more = f"; {again} put back once more, because a call came late" if again else ""
    return f"restored by the watchdog {max(back) - noticed_s:.1f} s (wall) after it had noticed{more}"
