"""The taller parts of the timeline picture: phases, faults, recovery clocks, availability, rates, connections."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

from drill.timeline import Outcome, Request
from reports.columns import Bins, Scale, bins
from reports.ink import fits, line, rectangles, safe, text
from reports.lanes import GAP, LANE, Panel, rail
from reports.run import Run, Span, Window, place

K = TypeVar("K", bound=Hashable)
LEAST_BIN_WALL_S = 0.5
RATES = 84.0
SHARE = 42.0
HALF = 13.0


def phases(run: Run, scale: Scale) -> Panel | None:
    """The drill's phases as a band; names that do not fit stand below it."""
    spans = run.phases()
    if not spans:
        return None
    parts = [rail("phase", scale), *(_phase(run, span, scale) for span in spans)]
    small = [(scale.x(s.low_s), s.label) for s in spans if not fits(s.label, scale.x(s.high_s) - scale.x(s.low_s))]
    below, height = placed(small, scale)
    return Panel(LANE + height + GAP, f'{"".join(parts)}<g transform="translate(0,{LANE:g})">{below}</g>')


def _phase(run: Run, span: Span, scale: Scale) -> str:
    x0, x1 = scale.x(span.low_s), scale.x(span.high_s)
    tip = f"<title>{safe(span.label)}: {span.low_s:.0f} to {span.high_s:.0f} {run.unit}</title>"
    box = f'<rect class="box" x="{x0:.1f}" y=".5" width="{max(x1 - x0, 1):.1f}" height="14">{tip}</rect>'
    return box + (text(x0 + 4, LANE - 4, span.label, size=10) if fits(span.label, x1 - x0) else "")


def placed(labels: Iterable[tuple[float, str]], scale: Scale, rows: int = 3) -> tuple[str, float]:
    """Labels at their instants on as few rows as keep them apart (at most `rows`); returns SVG and height.

    A label without room is left out: its band carries it as a title.
    """
    ends = [-1.0] * rows
    parts, used = [], 0
    for x, label in labels:
        width = len(label) * 6.0 + 8
        left = max(0.0, min(x, scale.width - width))
        row = next((n for n in range(rows) if ends[n] <= left), None)
        if row is None:
            continue
        ends[row], used = left + width, max(used, row + 1)
        parts.append(line(x, 0, x, row * 12 + 4) + text(left + 2, row * 12 + 11, label, "muted", size=10))
    return "".join(parts), used * 12.0


def faults(run: Run, scale: Scale, scope: str) -> list[Panel]:
    """One lane per fault or action: from injection to restore."""
    return [_fault(run, span, scale, scope) for span in run.faults()]


def _fault(run: Run, span: Span, scale: Scale, scope: str) -> Panel:
    x0, x1 = scale.x(span.low_s), scale.x(span.high_s)
    kind = "bad" if span.effect == "errors" else "active"
    end = "no end on record" if span.open_ended else f"{span.high_s:.0f} {run.unit}"
    tip = f"{span.label}: {span.low_s:.0f} {run.unit} to {end}"
    label = f"{span.label}: no end on record" if span.open_ended else span.label
    name = text(x0 + 4, LANE - 4, label, "on", size=10) if fits(label, x1 - x0) else ""
    body = rectangles(scope, kind, [(x0, 0, max(x1 - x0, 2), LANE)], tip)
    return Panel(LANE + GAP, rail(_named(span), scale) + body + name)


def _named(span: Span) -> str:
    words = "".join(f" {c.lower()}" if c.isupper() else c for c in span.label).strip()
    return f"{span.name}: {words}"


def clocks(run: Run, scale: Scale, scope: str) -> list[Panel]:
    """The recovery clock of each window: faint from the earliest onset, solid between the bounds."""
    return [_clock(run, window, scale, scope) for window in run.windows]


def _clock(run: Run, window: Window, scale: Scale, scope: str) -> Panel:
    parts = [rail(f"users without it, {window.name}", scale)]
    x0, x1 = scale.x(window.begin_s), scale.x(window.end_s)
    parts.append(f'<rect class="edge" x="{x0:.1f}" y=".5" width="{max(x1 - x0, 1):.1f}" height="14"/>')
    if window.onset is not None:
        parts.append(_outage(run, window, scale, scope))
    elif fits(note := "no failed write", x1 - x0):
        parts.append(text(x0 + 4, LANE - 4, note, "muted", size=10))
    return Panel(LANE + GAP, "".join(parts))


def _outage(run: Run, window: Window, scale: Scale, scope: str) -> str:
    assert window.onset is not None
    ends = window.recovery or (window.end_s, window.end_s)
    low, high = scale.x(window.onset[0]), scale.x(ends[1])
    sure = scale.x(window.onset[1]), scale.x(ends[0])
    label = _took(run, window)
    body = f'<g opacity=".45">{rectangles(scope, "bad", [(low, 0, max(high - low, 1), LANE)])}</g>'
    if sure[1] > sure[0]:
        body += rectangles(scope, "bad", [(sure[0], 0, sure[1] - sure[0], LANE)], label)
    return body + (text(sure[0] + 4, LANE - 4, label, "on", size=10) if fits(label, high - low) else "")


def _took(run: Run, window: Window) -> str:
    if window.recovery is None:
        return "not recovered in the window"
    judged = next((f.interval for f in run.findings_of(window.name) if f.name.startswith("recovery time")), None)
    return judged.shown(run.unit) if judged else "recovered"


def availability(run: Run, scale: Scale, scope: str) -> Panel:
    """Each probe write at the instant it was sent: settled above, failed below, unknown in between."""
    rows = {Outcome.OK: ("good", 0.0), Outcome.UNKNOWN: ("unknown", HALF - 3), Outcome.FAIL: ("bad", HALF + 2)}
    parts = [f'<rect class="lane" width="{scale.width}" height="{2 * HALF + 2:g}"/>']
    parts += [text(-8, 10, "new write settled", anchor="end"), text(-8, 25, "failed", anchor="end")]
    looks = run.history.of(run.history.probe)
    for outcome, (kind, y) in rows.items():
        found = [o for o in looks if o.outcome is outcome]
        columns = sorted({scale.column(run.at(o.sent_s)) for o in found})
        height = 6.0 if outcome is Outcome.UNKNOWN else HALF
        parts.append(rectangles(scope, kind, [(x, y, 2, height) for x in columns], f"{len(found)} {kind}"))
    return Panel(2 * HALF + 2 + GAP, "".join(parts))


def rates(run: Run, scale: Scale, scope: str) -> Panel:
    """Requests per wall second by send time, the failed ones on top."""
    codes, names = run.requests.coded([k.outcome for k in run.requests.kinds])
    counted = bins(run.all_at(run.requests.sent_s), codes, names, scale, _least(run))
    most = counted.most()
    per_s = most / counted.bin_s * run.history.speed
    unit = "wall s" if run.history.speed != 1 else "s"
    parts = [f'<rect class="lane" width="{scale.width}" height="{RATES:g}"/>']
    parts += [text(-8, 10, f"{per_s:.3g} requests/{unit}", anchor="end"), text(-8, RATES, "0", "muted", "end")]
    parts += [text(-8, 26, "failed on top", "muted", "end"), text(-8, 39, "by send time", "muted", "end")]
    boxes = _stacked(counted, (Outcome.OK, Outcome.FAIL), scale, RATES, lambda _: most)
    parts.append(rectangles(scope, "active", boxes[Outcome.OK], "served"))
    parts.append(rectangles(scope, "bad", boxes[Outcome.FAIL], "failed"))
    return Panel(RATES + 2 * GAP, "".join(parts))


def connections(run: Run, scale: Scale, scope: str) -> Panel:
    """Where connections landed: the share of each Region, striped where the DNS answer had moved away (pinned)."""
    codes, names = run.requests.coded([landed(run, k) for k in run.requests.kinds])
    counted = bins(run.all_at(run.requests.sent_s), codes, names, scale, _least(run))
    order = sorted(names, key=lambda kind: (kind[0] == "", kind))
    boxes = _stacked(counted, order, scale, SHARE, lambda cell: sum(cell.values()))
    parts = [f'<rect class="lane" width="{scale.width}" height="{SHARE:g}"/>']
    parts += [text(-8, 12, "where connections landed", anchor="end"), text(-8, 26, "share by Region", "muted", "end")]
    for region, pinned in order:
        kind = "bad" if region == "" else run.roles.get(region, "elsewhere")
        name = landed_words(region, pinned)
        parts.append(rectangles(scope, kind, boxes[region, pinned], name))
        if pinned:
            parts.append(_dotted(scope, boxes[region, pinned], name))
    return Panel(SHARE + 2 * GAP, "".join(parts))


def _dotted(scope: str, boxes: Sequence[tuple[float, float, float, float]], name: str) -> str:
    d = "".join(f"M{x:.1f} {y:.1f}h{w:.1f}v{h:.1f}h-{w:.1f}z" for x, y, w, h in boxes)
    return f'<path fill="url(#{scope}-cross)" d="{d}"><title>{safe(name)}</title></path>'


def landed_words(region: str, pinned: bool) -> str:
    """Where a connection landed, for people."""
    return (place(region) or "no connection") + (", pinned to an address that DNS has left" if pinned else "")


def landed(run: Run, request: Request) -> tuple[str, bool]:
    """The Region that a request's connection went to, "" without one; whether DNS had moved away from it."""
    region = (run.region(request.peer) or "elsewhere") if request.peer else ""
    return region, request.pinned


def _least(run: Run) -> float:
    return LEAST_BIN_WALL_S * run.history.speed


def _stacked(
    counted: Bins[K], order: Sequence[K], scale: Scale, height: float, full: Callable[[dict[K, int]], int]
) -> dict[K, list[tuple[float, float, float, float]]]:
    """Boxes of each kind, stacked upwards from the bottom; `full` is the count that fills the height."""
    boxes: dict[K, list[tuple[float, float, float, float]]] = {kind: [] for kind in order}
    for n, cell in enumerate(counted.counts):
        x0, x1 = scale.x(n * counted.bin_s), scale.x((n + 1) * counted.bin_s)
        y = height
        for kind in (k for k in order if cell.get(k)):
            size = cell[kind] / full(cell) * height
            y -= size
            boxes[kind].append((x0, y, x1 - x0, size))
    return boxes
