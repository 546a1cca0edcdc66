"""What written data shows beside losses: twice, changed, taken by two Regions, done although refused, cut off."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from checks.looks import RegionOf
from checks.recovery_point import RecoveryPoint
from checks.windows import Window
from drill.ledger import STORE
from drill.timeline import History
from drill.verdict import Finding, Verdict
from drill.write_path import ARCHIVE


def integrity_finding(
    history: History, window: Window, point: RecoveryPoint, problems: Iterable[str]
) -> Iterator[Finding]:
    """Whether what survived is what was written, once, by one Region, and nothing that was refused.

    No finding when the system shows none of that. FAIL stands on its own, as a lost write does.
    """
    wrong = {
        "shown several times": point.duplicated,
        "changed": point.changed,
        "accepted by both Regions": point.both,
    }
    said = [f"{len(keys)} writes {what} (first: {keys[0]})" for what, keys in wrong.items() if keys]
    if point.refused_up:
        said.append(f"{point.refused_up} writes took effect although the system had refused them")
    name = f"written data, {window.name}"
    data: dict[str, object] = {what: list(keys) for what, keys in wrong.items()}
    why = "; ".join(problems)
    if said:
        yield Finding(name, Verdict.FAIL, "; ".join(said), data=data)
    elif point.refused_up is None and not _tells(history, window):
        return
    elif why or point.unknown or not point.acknowledged:
        nothing = why or f"{point.unknown} of {point.acknowledged} acknowledged writes could not be read back"
        yield Finding(name, Verdict.INVALID, f"proves nothing: {nothing}", data=data)
    else:
        yield Finding(name, Verdict.PASS, "nothing twice, nothing changed, nothing that was refused", data=data)


def _tells(history: History, window: Window) -> bool:
    """Whether a store says more of a write than whether it is there."""
    return any(r.copies is not None or r.digest or r.region for r in history.readbacks if r.window == window.name)


def strays(history: History, window: Window) -> Iterator[str]:
    """Whether the ledger is whole, as far as the read-back knows it.

    Only acknowledged writes are read back, and any in a store that is asked by the client's own key.
    """
    open_ = by_key(history.header)
    known = {(w.key, s) for w in history.writes for s in w.stores if w.result == "acked" or s in open_}
    known |= {(w.key, ARCHIVE) for w in history.writes if w.result == "acked"}
    found = sorted({r.key for r in history.readbacks if r.window == window.name and (r.key, r.store) not in known})
    if found:
        yield f"the ledger does not hold {len(found)} writes that were read back (first: {found[0]})"


def by_key(header: Mapping[str, Any]) -> set[str]:
    """The stores of the header's target that are asked by the client's own key."""
    writes = (header.get("target") or {}).get("writes") or {}
    paths = {STORE: writes.get("read_path")} | {
        name: store.get("read_path") for name, store in (writes.get("stores") or {}).items()
    }
    return {name for name, path in paths.items() if path and "{id}" not in path}


def torn_findings(history: History) -> Iterator[Finding]:
    """A ledger that ends in half a record: its writer was killed in the middle, or something was appended since."""
    for name, size in sorted(history.torn.items()):
        why = f"{name} ends in an unfinished record of {size} bytes, which was cut off: was its writer killed?"
        yield Finding("run folder", Verdict.INVALID, why)


def side_by_side(history: History, window: Window, region_of: RegionOf) -> Iterator[str]:
    """A note when two Regions took writes at the same time: harmless with one database behind, else a split brain."""
    acked = [w for w in history.writes if w.result == "acked" and window.begin_s <= w.known_s <= window.end_s]
    places = {peer: region_of(peer) for peer in {w.peer for w in acked}}
    first_s = min((w.known_s for w in acked if places[w.peer] == window.survivor), default=None)
    if first_s is None:
        return
    others = [w for w in acked if places[w.peer] not in (window.survivor, None) and w.sent_s > first_s]
    if others:
        where = ", ".join(sorted({str(places[w.peer]) for w in others}))
        yield (
            f"{window.name}: {len(others)} writes were acknowledged by {where} after {window.survivor} had begun to "
            "acknowledge some: both took writes at the same time"
        )
