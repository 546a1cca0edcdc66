"""The looks of one window at its survivor, as columns for checks/reconcile.py: which of them say what they should.

A unit is a write in one of the stores that are to hold it; it is known by its number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from checks.reconcile import NOT_SEEN, PASSES, STATES, TERMINAL, Fates, Seen, Sent, reconcile
from checks.windows import Window
from drill.ledger import RESULTS, Write
from drill.timeline import History, Readback

RECOVERY_PASS, SETTLED_PASS = PASSES
RegionOf = Callable[[str], str | None]
ELSEWHERE = "where"
"""What is spoiled when writes were read back from another Region than the survivor."""
NOBODYS = Write("", "", "", 0.0, 0.0, 0.0, "acked", "", 0, "")
"""Stands for a write of which nothing is asked but the looks at its key."""


def believed(history: History, window: Window, settle_wall_s: float) -> list[Readback]:
    """The looks of a window that say what they should; a settled pass too early cannot say what will not arrive."""
    spoiled = dict(spoiled_passes(history, window, settle_wall_s))
    if spoiled.keys() - {SETTLED_PASS}:
        return []
    early = SETTLED_PASS in spoiled
    return [r for r in history.readbacks if r.window == window.name and not (early and _open_and_late(r))]


def _open_and_late(readback: Readback) -> bool:
    return readback.pass_ == SETTLED_PASS and STATES.index(_known(readback.state)) not in TERMINAL


def _known(state: str) -> str:
    return state if state in STATES else "unknown"


def state_of(number: int) -> str:
    return "" if number == NOT_SEEN else STATES[number]


def reconciled(units: Sequence[tuple[Write, str]], looks: Iterable[Readback], region_of: RegionOf) -> Fates:
    """Every unit (a write in a store) against the looks at it; a unit is known by its number."""
    regions: dict[str, int] = {"": 0}
    numbers = {(w.key, store): n for n, (w, store) in enumerate(units)}
    sent = Sent(
        np.arange(len(units), dtype=np.uint64),
        np.array([RESULTS.index(w.result) for w, _ in units], np.uint8),
        np.array([_digest(w.digest) for w, _ in units], np.uint64),
        np.array([_number(regions, region_of(w.peer) or "") for w, _ in units], np.uint8),
    )
    mine = [(numbers[r.key, r.store], r) for r in looks if (r.key, r.store) in numbers and r.pass_ in PASSES]
    seen = Seen(
        np.array([n for n, _ in mine], np.uint64),
        np.array([PASSES.index(r.pass_) for _, r in mine], np.uint8),
        np.array([STATES.index(_known(r.state)) for _, r in mine], np.uint8),
        np.array([min(r.copies or 0, 65_535) for _, r in mine], np.uint16),
        np.array([_digest(r.digest) for _, r in mine], np.uint64),
        np.array([_number(regions, r.region) for _, r in mine], np.uint8),
    )
    return reconcile(sent, [seen])


def _digest(sha256: str) -> int:
    """The first 64 bits; 0 for none."""
    return int(sha256[:16], 16) if sha256 else 0


def _number(known: dict[str, int], name: str) -> int:
    return known.setdefault(name, len(known))


def spoiled_passes(history: History, window: Window, settle_wall_s: float) -> Iterator[tuple[str, str]]:
    """(pass, why) of the read-backs of a window that do not say what they should.

    "where": not read from the survivor, or from nobody knows where; "settled": begun before the writes had their
    time to settle.
    """
    passes = [e for e in history.named("readback") if e.data.get("window") == window.name]
    regions = {str(e.data.get("region")) for e in passes if e.at_s >= window.begin_s} or {"nobody knows where"}
    read = any(r.window == window.name for r in history.readbacks)
    if read and regions != {window.survivor}:
        yield ELSEWHERE, f"writes were read back from {', '.join(sorted(regions))}, not only from {window.survivor}"
    late = [e.at_s for e in passes if e.data.get("pass_") == SETTLED_PASS]
    begun_s = min((*late, *(r.at_s for r in history.readbacks if _is_settled_pass(r, window))), default=math.inf)
    if begun_s < window.settled_by_s + settle_wall_s:
        yield (
            SETTLED_PASS,
            f"the settled pass began {begun_s - window.settled_by_s:.1f} s (wall) after recovery, "
            f"{settle_wall_s:.1f} s are due (timings.settle_s)",
        )


def _is_settled_pass(readback: Readback, window: Window) -> bool:
    return readback.window == window.name and readback.pass_ == SETTLED_PASS


def final_states(readbacks: Iterable[Readback], window: str) -> dict[tuple[str, str], str]:
    """(write key, store) -> state at the settle deadline, of everything that was looked at in that window."""
    looks = [r for r in readbacks if r.window == window]
    units = list(dict.fromkeys((r.key, r.store) for r in looks))
    fates = reconciled([(replace(NOBODYS, key=key), store) for key, store in units], looks, lambda _: None)
    return {unit: state_of(number) or "unknown" for unit, number in zip(units, fates.state.tolist(), strict=True)}
