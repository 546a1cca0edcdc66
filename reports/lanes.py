"""The horizontal lanes of the timeline picture: what was seen, as named bands along one time axis."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from drill.timeline import Observation, Outcome
from reports.columns import Block, Scale, Stretch, blocks, stretches
from reports.ink import fits, line, rectangles, safe, text
from reports.run import Run, place

LANE = 15.0
GAP = 3.0
MOST_LANES = 40
"""A picture shows at most this many signals; the run folder has them all."""
STATES = {
    "good": ("OK", "PASSED", "SUCCEEDED", "Success", "available", "On", "INSYNC", "HEALTHY"),
    "bad": ("ALARM", "FAILED", "Failed", "TIMED_OUT", "TimedOut", "ABORTED", "Cancelled", "ERROR", "UNHEALTHY"),
    "active": ("RUNNING", "InProgress", "ENABLED", "STARTING"),
    "off": ("Off", "DISABLED", "INSUFFICIENT_DATA", "-", "STOPPED"),
}
"""Values of AWS's own state fields, by what a band of them means."""
NAMES_OF_THINGS = ("aws.instance.", "aws.secret", "aws.targets")
"""How probes begin whose value is a name: neither good nor bad, only another one."""
NAMELESS = {"aws.canary": "canaries, none could be listed"}
"""Probes that bear no name because nobody could say what there is."""
KINDS = {state: kind for kind, states in STATES.items() for state in states}


@dataclass(frozen=True)
class Panel:
    """A part of the picture: its height in pixels and its SVG, from y = 0, with the plot's left edge at x = 0."""

    height: float
    body: str


@dataclass(frozen=True)
class Cell:
    """What one look saw: the kind of band (see ink.COLOURS) and its label."""

    kind: str
    label: str


SERVED = {
    Outcome.OK: Cell("good", "served"),
    Outcome.FAIL: Cell("bad", "failed"),
    Outcome.UNKNOWN: Cell("unknown", "unknown"),
}
"""What a look at the service itself says."""
Looks = tuple[str, list[tuple[float, Cell]]]


def lane(label: str, looks: Sequence[tuple[float, Cell]], scale: Scale, scope: str) -> Panel:
    """One lane of bands. Values that shared a pixel column share its height, so none is hidden."""
    pieces = stretches(looks)
    parts = [rail(label, scale)]
    for kind, boxes in _boxes(blocks(_kinds(pieces), scale)).items():
        parts.append(rectangles(scope, kind, boxes, _seen(kind, pieces)))
    parts += _labels(pieces, scale)
    return Panel(LANE + GAP, "".join(parts))


def rail(label: str, scale: Scale, height: float = LANE) -> str:
    """The empty lane with its name in the gutter."""
    # The middle goes: names of one system begin alike, and their ends say where and which.
    name = label if len(label) <= 36 else f"{label[:20]}…{label[-15:]}"
    box = f'<rect class="lane" width="{scale.width}" height="{height:g}"/>'
    tip = f"<g><title>{safe(label)}</title>{text(-8, height / 2 + 4, name, anchor='end')}</g>"
    return box + tip


def dns_lanes(run: Run, scale: Scale, scope: str) -> list[Panel]:
    """DNS answers by Region, one lane per vantage, the authoritative one first."""
    return [lane(label, looks, scale, scope) for label, looks in dns_looks(run)]


def signal_lanes(run: Run, scale: Scale, scope: str) -> list[Panel]:
    """The system's own signals as the harness polled them, one lane per probe and vantage."""
    rows = list(signal_looks(run))
    # Without room for all, those in which nothing ever happened go.
    told = sorted(range(len(rows)), key=lambda n: len({cell for _, cell in rows[n][1]}) < 2)
    return [lane(*rows[n], scale, scope) for n in sorted(told[:MOST_LANES])]


def dns_looks(run: Run) -> Iterator[Looks]:
    """What each DNS server answered, the authoritative one first: label, looks by the instant of their result."""
    vantages = sorted({o.vantage for o in run.history.of("dns")}, key=lambda v: (":" in v, v))
    for vantage in vantages[:MOST_LANES]:
        yield _vantage(vantage), _looks(run, "dns", vantage, lambda o: answer_cell(run, o))


def signal_looks(run: Run) -> Iterator[Looks]:
    """What was polled of the system's own signals, as `dns_looks`."""
    rows = sorted({(o.probe, o.vantage) for o in run.history.observations if o.probe.startswith("aws.")})
    for probe, vantage in rows:
        yield _signal(probe, vantage), _looks(run, probe, vantage, lambda o: signal_cell(run, o))


def probe_looks(run: Run) -> Iterator[Looks]:
    """Whether the probes by which clients are said to be served were served, as `dns_looks`."""
    probe = run.history.probe
    for vantage in sorted({o.vantage for o in run.history.of(probe)})[:MOST_LANES]:
        yield f"{probe}, {vantage}", _looks(run, probe, vantage, lambda o: SERVED[o.outcome])


def answer_cell(run: Run, look: Observation) -> Cell:
    """A DNS answer: its Region, "no address", or unknown."""
    if look.outcome is Outcome.UNKNOWN:
        return Cell("unknown", "unknown")
    return Cell("bad", "no address") if look.outcome is Outcome.FAIL else region_cell(run, run.regions(look.value))


def region_cell(run: Run, region: str) -> Cell:
    """A band that names a Region, or several."""
    kind = "mixed" if " + " in region else run.roles.get(region, "elsewhere")
    return Cell(kind, " + ".join(place(r) for r in region.split(" + ")))


def signal_cell(run: Run, look: Observation) -> Cell:
    """A polled state of the system's own."""
    if look.outcome is Outcome.UNKNOWN:
        return Cell("unknown", "unknown")
    if look.probe == "aws.writer" or look.probe.startswith("aws.writer."):
        return region_cell(run, look.value)
    if look.probe.startswith(NAMES_OF_THINGS):
        return Cell("active", look.value)
    return Cell(_kind(look.value), _worded(look.value))


def _kind(value: str) -> str:
    running, slash, desired = value.partition("/")
    if slash and running.isdigit() and desired.isdigit():
        return "good" if 0 < int(running) == int(desired) else "warn" if int(running) else "bad"
    return KINDS.get(value.rpartition(":")[2], "warn")


def _worded(value: str) -> str:
    count, colon, status = value.partition(":")
    if not colon or not count.isdigit():
        return value
    return f"{status} (no. {count})" if int(count) else "none yet"


def _looks(run: Run, probe: str, vantage: str, cell: Callable[[Observation], Cell]) -> list[tuple[float, Cell]]:
    looks = sorted(run.history.of(probe, vantage), key=lambda o: o.done_s)
    return [(run.at(look.done_s), cell(look)) for look in looks]


def _kinds(pieces: Iterable[Stretch[Cell]]) -> Iterable[Stretch[str]]:
    return (Stretch(p.low_s, p.high_s, p.value.kind) for p in pieces)


def _boxes(found: Iterable[Block[str]]) -> dict[str, list[tuple[float, float, float, float]]]:
    boxes: dict[str, list[tuple[float, float, float, float]]] = {}
    for block in found:
        share = LANE / len(block.values)
        for n, kind in enumerate(sorted(block.values)):
            boxes.setdefault(kind, []).append((block.x0, n * share, max(block.x1 - block.x0, 1.5), share))
    return boxes


def _seen(kind: str, pieces: Iterable[Stretch[Cell]]) -> str:
    return ", ".join(sorted({p.value.label for p in pieces if p.value.kind == kind})[:8])


def _labels(pieces: Iterable[Stretch[Cell]], scale: Scale) -> Iterable[str]:
    previous = None
    for piece in pieces:
        x0, x1 = scale.x(piece.low_s), scale.x(piece.high_s)
        if fits(piece.value.label, x1 - x0):
            yield text(x0 + 4, LANE - 4, piece.value.label, "on", size=10)
        if previous is not None and previous.value.kind == piece.value.kind and x1 - x0 > 3:
            yield line(x0, 0, x0, LANE)  # same colour, other value: a border shows the change
        previous = piece


def _vantage(vantage: str) -> str:
    kind, colon, region = vantage.partition(":")
    return f"DNS, {kind} {place(region)}" if colon else f"DNS, {vantage}"


def _signal(probe: str, vantage: str) -> str:
    name = NAMELESS.get(probe) or probe.removeprefix("aws.").replace(".", " ")
    return f"{name}, {place(vantage)}"
