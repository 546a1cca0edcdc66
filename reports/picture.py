"""The timeline picture: one inline SVG, no script, that shows what was broken and who noticed, on one time axis.

Its size does not depend on the number of observations (reports/columns.py); it carries its own light and dark
colours, a title and a description, and no reference to anything outside itself.
"""

from __future__ import annotations

from drill.verdict import Interval
from reports.columns import Scale
from reports.ink import line, patterns, rectangles, safe, scope_of, style, text
from reports.lanes import Panel, dns_lanes, signal_lanes
from reports.panels import availability, clocks, connections, faults, phases, placed, rates
from reports.run import Run, Window, where

LEFT = 218
PLOT = 880
WIDTH = LEFT + PLOT + 22
TOP = 8


def picture(run: Run) -> str:
    """The timeline of one run as an `<svg>` element, `WIDTH` units wide."""
    scope = scope_of(str(run.history.header.get("run_id", "run")))
    scale = Scale(run.length_s, PLOT)
    marks, marks_height = placed(_instants(run, scale), scale)
    stacked, height = _stack([Panel(marks_height + 2, marks), *_panels(run, scale, scope)])
    full = TOP + height + 54
    body = stacked + _overlays(run, scale, marks_height, height) + _axis(run, scale, height)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" class="{scope}" viewBox="0 0 {WIDTH} {full:.0f}" '
        f'width="{WIDTH}" height="{full:.0f}" '
        f'aria-labelledby="{scope}-t {scope}-d" font-family="system-ui,sans-serif">'
        f'<title id="{scope}-t">{safe(_title(run))}</title><desc id="{scope}-d">{safe(description(run))}</desc>'
        f"{style(scope)}{patterns(scope)}"
        f'<rect class="paper" width="{WIDTH}" height="{full:.0f}"/><g transform="translate({LEFT},{TOP})">{body}'
        f"{_legend(run, scope, height + 44)}</g></svg>"
    )


def description(run: Run) -> str:
    """The picture in words, for those who do not see it."""
    parts = [f"{run.length_s:.0f} {run.unit}. "]
    parts += [f"{s.label} from {s.low_s:.0f} to {s.high_s:.0f}. " for s in run.faults()]
    parts += [_window_words(w) for w in run.windows]
    return "".join(parts) + f"Verdict {run.judgement.verdict.value}."


def _title(run: Run) -> str:
    return f"Timeline of {run.title}{' (LAB)' if run.lab else ''}"


def _window_words(window: Window) -> str:
    if window.onset is None:
        return f"{window.name}: no failed write. "
    onset = f"{window.name}: onset in {Interval(*window.onset)}"
    end = "not recovered in the window" if window.recovery is None else f"recovered in {Interval(*window.recovery)}"
    return f"{onset}, {end}. "


def _panels(run: Run, scale: Scale, scope: str) -> list[Panel]:
    found = [phases(run, scale), *faults(run, scale, scope), *clocks(run, scale, scope)]
    found += [availability(run, scale, scope), rates(run, scale, scope), connections(run, scale, scope)]
    found += [*dns_lanes(run, scale, scope), Panel(4, ""), *signal_lanes(run, scale, scope)]
    return [panel for panel in found if panel is not None]


def _stack(panels: list[Panel]) -> tuple[str, float]:
    parts, y = [], 0.0
    for panel in panels:
        parts.append(f'<g transform="translate(0,{y:.1f})">{panel.body}</g>')
        y += panel.height
    return "".join(parts), y


def _instants(run: Run, scale: Scale) -> list[tuple[float, str]]:
    found = [(scale.x(w.onset[0]), f"onset, {w.name}") for w in run.windows if w.onset]
    found += [(scale.x(w.recovery[1]), f"recovered, {w.name}") for w in run.windows if w.recovery]
    return sorted(found)


def _overlays(run: Run, scale: Scale, top: float, height: float) -> str:
    parts = [line(scale.x(t), top, scale.x(t), height, "grid") for t in scale.ticks()]
    for window in run.windows:
        for bounds in (b for b in (window.onset, window.recovery) if b):
            x0, x1 = scale.x(bounds[0]), scale.x(bounds[1])
            parts.append(f'<rect class="shade" x="{x0:.1f}" width="{max(x1 - x0, 1):.1f}" height="{height:.1f}"/>')
            parts += [line(x, 0, x, height, dash="3 3") for x in {x0, x1}]
    return "".join(parts)


def _axis(run: Run, scale: Scale, height: float) -> str:
    parts = [line(0, height, PLOT, height)]
    for tick in scale.ticks():
        x = scale.x(tick)
        parts.append(line(x, height, x, height + 4) + text(x, height + 15, f"{tick:g}", "muted", "middle", 10))
    pace = f"; 1 wall second is {run.history.speed:g} {run.unit}" if run.history.speed != 1 else ""
    return "".join(parts) + text(PLOT, height + 29, f"{run.unit} from the start of the run{pace}", "muted", "end", 10)


def _legend(run: Run, scope: str, y: float) -> str:
    entries = [(role, f"{where(region)}, {role}") for region, role in run.roles.items()]
    entries += [("good", "good"), ("bad", "failed, alarm, fault"), ("active", "active"), ("off", "off")]
    entries += [("warn", "in between"), ("unknown", "unknown")]
    parts, x = [], -LEFT + 10.0
    for kind, label in entries:
        parts.append(rectangles(scope, kind, [(x, y - 9, 12, 10)]) + text(x + 16, y, label, size=10))
        x += 28 + len(label) * 5.6
    return "".join(parts)
