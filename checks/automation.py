"""What became of the system's own machines, by their own histories: which of them gave up, where, and why.

Notes, not findings: clients decide whether an objective is met, this names the reason. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from drill.timeline import History

SOURCE = "states execution history"
GAVE_UP = ("ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted")
"""The last events of an execution that did not succeed."""


def gave_up(history: History) -> Iterator[str]:
    """One sentence per execution that ended without success: machine, how, last step entered, error and cause.

    Executions of one machine are told apart by their order: they are taken to follow each other.
    """
    last_step: dict[str, str] = {}
    for stamp in (e.data for e in history.named("signal") if e.data.get("source") == SOURCE and e.data.get("at")):
        name, (event, _, detail) = str(stamp.get("name")), str(stamp.get("detail", "")).partition(" ")
        if event.endswith("StateEntered"):
            last_step[name] = detail
        if event in GAVE_UP:
            where = f" at its step {last_step[name]}" if name in last_step else ""
            why = f" ({detail})" if detail else ""
            yield f"{name} in {stamp.get('region')}: {event} at {stamp['at']}{where}{why}"
