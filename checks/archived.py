"""Of the writes that are lost: which ones an archive still holds, and no consumer of any Region has handled. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass

from checks.windows import Window
from drill.timeline import History
from drill.writing import TERMINAL

LOOKED = "archive.looked"
"""The mark of a look into an archive (data: window, region)."""
ARCHIVE_PASS, ELSEWHERE_PASS = "archive", "elsewhere"
"""Passes of a read-back beside those at the survivor: its archive; the consumers of the other Regions."""


@dataclass(frozen=True)
class Archived:
    """How many of the lost writes are where. only: in the archive, with no consumer of any Region; elsewhere: handled
    by a consumer of another Region only; nowhere: neither; unknown: somebody could not be asked."""

    only: int = 0
    elsewhere: int = 0
    nowhere: int = 0
    unknown: int = 0

    def row(self) -> dict[str, int]:
        """JSON-able."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.only} archived only (a replay hands them over), {self.elsewhere} handled in another Region only, "
            f"{self.nowhere} nowhere, {self.unknown} unknown"
        )


def archived_of(history: History, window: Window, lost: Collection[str]) -> Archived | None:
    """Where the lost writes (ledger keys) are; None when nobody looked into an archive in that window."""
    if not any(e.data.get("window") == window.name for e in history.named(LOOKED)):
        return None
    kept, there = (_states(history, window, pass_) for pass_ in (ARCHIVE_PASS, ELSEWHERE_PASS))
    found = [_place(kept.get(key, set()), there.get(key, set())) for key in lost]
    return Archived(**{name: found.count(name) for name in Archived.__dataclass_fields__})


def _states(history: History, window: Window, pass_: str) -> dict[str, set[str]]:
    states: dict[str, set[str]] = {}
    for look in history.readbacks:
        if look.window == window.name and look.pass_ == pass_:
            states.setdefault(look.key, set()).add(look.state)
    return states


def _place(kept: set[str], there: set[str]) -> str:
    if there & set(TERMINAL):
        return "elsewhere"
    if there != {"absent"}:
        return "unknown"
    return {frozenset({"settled"}): "only", frozenset({"absent"}): "nowhere"}.get(frozenset(kept), "unknown")
