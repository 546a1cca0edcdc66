"""The timeline picture is well-formed, names what it shows, and stays small."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from xml.etree import ElementTree

from drill.timeline import Event, History, Observation, Outcome
from drill.verdict import conclude
from reports.lanes import Cell, signal_cell
from reports.picture import description, picture
from tests.reports.runs import (
    FAULT,
    OBSERVER,
    SPEED,
    STANDBY,
    TOKYO,
    header,
    history,
    judgement,
    look,
    run,
    wall,
)

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    """All texts and titles of a picture."""
    return [element.text for element in ElementTree.fromstring(svg).iter() if element.text]


def test_picture_is_wellformed_and_described() -> None:
    """It is one SVG image with a title and a description for those who do not see it."""
    root = ElementTree.fromstring(picture(run()))
    assert (root.tag, root.get("role")) == (f"{SVG}svg", "img")
    labels = str(root.get("aria-labelledby")).split()
    described = {e.get("id"): e.text for e in root if e.tag in (f"{SVG}title", f"{SVG}desc")}
    assert [described[label] for label in labels] == [
        "Timeline of service_loss on core-banking (LAB)",
        description(run()),
    ]


def test_description_tells_faults_onset_and_recovery() -> None:
    """The description names each fault, the onset, the recovery and the verdict."""
    words = description(run())
    assert "ScaleEcsService from 80 to 430" in words
    assert "failover: onset in [78.0, 81.0 s], recovered in [318.0, 321.0 s]" in words
    assert words.endswith("Verdict PASS.")


def test_picture_names_regions_phases_and_signals() -> None:
    """Regions, phases, vantages and signals carry their names, so that no colour stands alone."""
    seen = texts(picture(run()))
    for name in ("ap-northeast-1 (Tokyo), primary", "baseline", "in_force", "DNS, authoritative", "ALARM", "Osaka"):
        assert name in seen
    assert {"onset, failover", "recovered, failback", "0/0", "writer, Oregon"} <= set(seen)


def test_pinned_connections_are_told_apart() -> None:
    """Connections that stay on an address which DNS has left are shown as such."""
    assert "Tokyo, pinned to an address that DNS has left" in texts(picture(run()))


def test_never_recovered_is_said() -> None:
    """A window without recovery has no recovery mark and says so."""
    svg = picture(run(judgement=judgement(reach_s=math.inf)))
    assert "not recovered in the window" in texts(svg)
    assert "recovered, failover" not in texts(svg)


def test_fault_that_was_not_restored_is_said() -> None:
    """A fault without an end on record is not drawn as if it had one."""
    found = history()
    kept = tuple(e for e in found.events if e.name != "fault.restored")
    assert "ScaleEcsService: no end on record" in texts(picture(run(history=replace(found, events=kept))))


def test_strings_of_the_system_are_escaped() -> None:
    """Markup and control characters in names and values stay text."""
    evil = "</svg><script>alert(1)</script>\x00\x1b&\"'"
    looks = tuple(Observation(wall(n), wall(n + 1), f"aws.{evil}", evil, Outcome.OK, evil) for n in range(0, 600, 60))
    marks = (Event(wall(1), "phase", {"phase": evil}), Event(wall(2), "fault.injected", {"kind": evil}))
    svg = picture(run(history=History(header(run_id=evil, scenario=evil), marks, looks)))
    root = ElementTree.fromstring(svg)
    assert "<script" not in svg
    assert not [e for e in root.iter() if e.tag.endswith("script")]


def test_picture_refers_to_nothing_outside() -> None:
    """There is no address, script or import in it but the SVG namespace."""
    svg = picture(run()).replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|//|<script|href|@import|url\((?!#)", svg)


def test_empty_run_has_a_picture() -> None:
    """A drill that ended before anything was seen still has a picture."""
    ElementTree.fromstring(picture(run(history=History(header()), judgement=conclude([]))))


def test_one_failed_probe_stays_visible_and_the_picture_small() -> None:
    """Many observations neither hide the one failure nor make the picture large."""
    looks = tuple(
        look(n / 20, "write.settle", "client", TOKYO, Outcome.FAIL if n == 7000 else Outcome.OK)
        for n in range(12_000)
    )
    svg = picture(run(history=replace(history(), observations=looks, events=())))
    assert "1 bad" in texts(svg)
    assert len(svg) < 100_000


def test_first_failure_marks_the_onset_while_nothing_is_judged() -> None:
    """Without a judged onset the first failed probe of the window stands for it."""
    bare = run(judgement=conclude([]))
    onset = bare.windows[0].onset
    assert onset is not None
    assert abs(onset[0] - (FAULT + 1)) < 2 / SPEED


def test_unknown_is_neither_good_nor_bad() -> None:
    """A look that could not be made is drawn as unknown, whatever value it carries."""
    found = run()
    unseen = look(5, "aws.control.primary", OBSERVER, "On", Outcome.UNKNOWN)
    assert signal_cell(found, unseen) == Cell("unknown", "unknown")
    states = {
        "2/2": "good",
        "1/2": "warn",
        "0/2": "bad",
        "0/0": "bad",
        "1:FAILED": "bad",
        "0:-": "off",
        "Odd": "warn",
    }
    for value, kind in states.items():
        assert signal_cell(found, look(5, "aws.any", STANDBY, value)).kind == kind
