"""What happened when, as bands on the charts' common axis: phases, faults, outages, looks, names, signals, stamps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from drill.observations import OUTCOMES
from drill.stamps import CLOCK, on_our_clock
from drill.timeline import Event
from reports.columns import Scale, Stretch, blocks, stretches, stretches_of
from reports.lanes import KINDS, SERVED, Cell, Looks, dns_looks, probe_looks, signal_looks
from reports.run import Run, Span, Window, place

MOST_COLUMNS = 1000
MOST_BANDS = 50
MOST_STAMPS = 300
BEYOND_S = 1e9
Piece = list[Any]
"""[from, to, kind of ink.COLOURS or "fg", words] in target seconds from the start of the run."""


def bands(run: Run) -> tuple[list[dict[str, Any]], int]:
    """At most MOST_BANDS bands, each {"group", "label", "pieces"}, from the drill's own down to the system's; and how
    many were left out: those that tell least."""
    groups = (
        ("drill", _drill(run)),
        ("clients", _looked(run, probe_looks(run))),
        ("clients", _quick(run)),
        ("names", _looked(run, dns_looks(run))),
        ("signals", _looked(run, signal_looks(run))),
        ("steps", _steps(run)),
        ("stamps", _stamps(run)),
    )
    found = [
        {"group": group, "label": label, "pieces": pieces}
        for group, rows in groups
        for label, pieces in rows
        if pieces
    ]
    shown = sorted(sorted(range(len(found)), key=lambda n: _weight(found[n]))[:MOST_BANDS])
    return [found[n] for n in shown], len(found) - len(shown)


def _weight(band: dict[str, Any]) -> int:
    """What has to go first when there is no room for all: signals in which nothing ever happened, then stamps."""
    if band["group"] == "signals":
        return 1 if len({words for *_, words in band["pieces"]}) > 1 else 3
    return 2 if band["group"] == "stamps" else 0


def _drill(run: Run) -> Iterator[tuple[str, list[Piece]]]:
    yield "phases of the drill", [_piece(s.low_s, s.high_s, "off", s.label) for s in run.phases()]
    for span in run.faults():
        yield ", ".join(filter(None, (f"{span.name}: {span.label}", span.on))), [_fault(span)]
    for window in run.windows:
        yield f"users without it, {window.name}", [*_outage(window)]


def _fault(span: Span) -> Piece:
    what = ", ".join(filter(None, (span.label, span.on)))
    words = f"{what}: no end on record" if span.open_ended else what
    return _piece(span.low_s, span.high_s, "bad" if span.effect == "errors" else "active", words)


def _outage(window: Window) -> Iterator[Piece]:
    if window.onset is None:
        yield _piece(window.begin_s, window.end_s, "good", "no failed write")
        return
    low, high = window.recovery or (window.end_s, window.end_s)
    said = "users without it" if window.recovery else "not recovered in the window"
    yield _piece(*window.onset, "warn", "it began in here")
    yield _piece(window.onset[1], low, "bad", said)
    if window.recovery:
        yield _piece(low, high, "warn", "it ended in here")


def _looked(run: Run, rows: Iterable[Looks]) -> Iterator[tuple[str, list[Piece]]]:
    return ((label, _pieces(stretches(looks), run)) for label, looks in rows)


def _quick(run: Run) -> Iterator[tuple[str, list[Piece]]]:
    cells = [SERVED[outcome] for outcome in OUTCOMES]
    for (probe, vantage), looks in run.quick.items():
        yield f"{probe}, {vantage}", _pieces(stretches_of(run.all_at(looks.done_s), looks.outcome, cells), run)


def _pieces(seen: Sequence[Stretch[Cell]], run: Run) -> list[Piece]:
    """As they were while there are few; else in columns, where a failure among other values is a failure."""
    if len(seen) <= MOST_COLUMNS:
        return [_piece(s.low_s, s.high_s, s.value.kind, s.value.label) for s in seen]
    scale = Scale(run.length_s, MOST_COLUMNS)
    wide = scale.length_s / scale.width
    return [_block(b.x0 * wide, b.x1 * wide, b.values) for b in blocks(_cells(seen), scale)]


def _cells(seen: Iterable[Stretch[Cell]]) -> Iterator[Stretch[tuple[str, str]]]:
    return (Stretch(s.low_s, s.high_s, (s.value.kind, s.value.label)) for s in seen)


def _block(low_s: float, high_s: float, values: frozenset[tuple[str, str]]) -> Piece:
    kinds = {kind for kind, _ in values}
    words = " / ".join(sorted(label for _, label in values)[:4])
    # Whoever failed once in a column failed in it.
    kind = kinds.pop() if len(kinds) == 1 else "bad" if "bad" in kinds else "mixed"
    return _piece(low_s, high_s, kind, words)


def _steps(run: Run) -> Iterator[tuple[str, list[Piece]]]:
    """The judged split of the recovery, on our axis: each step as wide as it is known."""
    for name, interval, clock in run.judgement.phases:
        window = next((w for w in run.windows if name.startswith(f"{w.name}: ")), None)
        if window is None or interval is None or "after the decision" in name:
            continue
        low, high = window.onset or (window.begin_s, window.begin_s)
        yield name, [_piece(interval.low_s + high, interval.high_s + low, "fg", f"{name} ({clock})")]


def _stamps(run: Run) -> Iterator[tuple[str, list[Piece]]]:
    """The system's own stamps, as wide as their clock and ours are known to agree."""
    reading = run.history.first(CLOCK)
    if reading is None:
        return
    found: dict[tuple[str, ...], list[Piece]] = {}
    for mark in run.history.named("signal"):
        data = mark.data
        piece = _stamp(run, data, reading)
        if piece is not None:
            key = tuple(str(data.get(part) or "") for part in ("source", "region", "name"))
            found.setdefault(key, []).append(piece)
    for (source, region, name), pieces in sorted(found.items()):
        where = ", ".join(filter(None, (name, place(region))))
        yield f"{source}: {where}", sorted(pieces)[:MOST_STAMPS]


def _stamp(run: Run, data: dict[str, Any], reading: Event) -> Piece | None:
    """None for one outside the run, or without a time that can be read."""
    try:
        instant = on_our_clock(datetime.fromisoformat(str(data["at"])), reading, run.history.speed)
    except (KeyError, TypeError, ValueError):
        return None
    low, high = run.at(instant.low_s), run.at(instant.high_s)
    detail = str(data.get("detail", ""))
    kind = KINDS.get(detail.rpartition(" ")[2], "active")
    return _piece(low, high, kind, detail) if low <= run.length_s and high >= 0 else None


def _piece(low_s: float, high_s: float, kind: str, words: str) -> Piece:
    # An end that nobody knows lies beyond every axis: JSON has no infinity.
    low, high = (min(max(at, -BEYOND_S), BEYOND_S) for at in (low_s, max(high_s, low_s)))
    return [round(low, 2), round(high, 2), kind, words[:120]]
