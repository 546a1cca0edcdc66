"""One pass of the read-back, wired: which writes, what of them is known already, and where the looks are kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from checks.archive_look import look_in_archive
from checks.archived import LOOKED
from checks.looks import SETTLED_PASS
from checks.written_data import read_back, read_balances
from commands.world import World
from drill.timeline import History, Timeline, append_readbacks, load_history
from faults.archive_audit import KIND


def read_back_into(
    timeline: Timeline,
    folder: Path,
    world: World,
    meanwhile: Callable[[], None],
    region: str,
    window: str,
    pass_: str,
    until_s: float,
) -> None:
    """See Drill.read_back; after the settled pass come the balances, and the archive if it was replayed for that."""
    history = load_history(folder)
    writes = [w for w in history.writes if w.known_s < until_s]
    target, clock = world.target, world.clock
    already = [r for r in history.readbacks if r.window == window]
    found = read_back(target, clock, writes, region, window, pass_, already, meanwhile=meanwhile)
    append_readbacks(folder, found)
    if pass_ != SETTLED_PASS:
        return
    accounts = sorted({w.account for w in writes if w.result != "refused"})
    with (folder / "balances.jsonl").open("a") as file:
        for record in read_balances(target, clock, accounts, region, window, meanwhile=meanwhile):
            file.write(json.dumps(record) + "\n")
    if target.writes.archive is not None and _audited(history, window):
        timeline.mark(LOOKED, window=window, region=region)
        append_readbacks(
            folder, look_in_archive(target, clock, writes, region, window, [*already, *found], meanwhile=meanwhile)
        )


def _audited(history: History, window: str) -> bool:
    """Whether what the archive holds has been written down in that window."""
    ends = (e.data for e in history.named("action.ended") if e.data.get("window") == window)
    return any(end.get("kind") == KIND and end.get("reached") is True for end in ends)
