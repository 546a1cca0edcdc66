"""The report as a person sees it, in a real browser: at three widths, light, dark, printed, by keyboard, attacked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from drill.timeline import Event, History
from drill.verdict import conclude
from reports.page import render, session_prefix
from reports.run import load_run
from reports.summary import write_summary
from tests.browser import Chromium, Tab, chromium
from tests.reports.runs import STEPS, header, history, judgement, look, wall, write_folder
from tests.seeing import barriers, empty_charts, outside, overlaps, undrawn

__all__ = ["chromium"]
EVIL = "</script><img src=x onerror=window.pwned=1><script>window.pwned=1</script>\"'&"


@pytest.fixture(scope="module")
def missed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a drill that missed its objective and lost three writes."""
    folder = write_folder(tmp_path_factory.mktemp("runs") / "missed", history())
    write_summary(folder, replace(judgement(rto_s=120, lost=3), phases=STEPS))
    return render(folder)


@pytest.mark.parametrize("width", [360, 800, 1400])
def test_report_is_whole_at_every_width(chromium: Chromium, missed: Path, width: int) -> None:
    """Charts are drawn, no text overlaps or is cut, and the page asks for nothing and complains of nothing."""
    for dark in (False, True):
        with chromium.open(missed.as_uri(), width=width, dark=dark) as tab:
            tab.eventually("document.getElementById('charts').dataset.drawn == '5'")
            tab.shot(f"report-{width}-{'dark' if dark else 'light'}")
            assert empty_charts(tab) == 0
            assert undrawn(tab) == []
            assert overlaps(tab) == []
            assert outside(tab) == []
            assert tab.requests == [missed.as_uri()]
            assert tab.complaints == []


@pytest.mark.parametrize(("width", "dark"), [(1400, False), (360, True)])
def test_report_has_no_barriers(chromium: Chromium, missed: Path, width: int, dark: bool) -> None:
    """axe-core finds nothing against it, on a large light screen and a small dark one."""
    with chromium.open(missed.as_uri(), width=width, dark=dark) as tab:
        tab.eventually("document.getElementById('charts').dataset.drawn")
        assert barriers(tab) == []


def test_first_screen_tells_what_matters(chromium: Chromium, missed: Path) -> None:
    """Verdict, why, objectives to scale and the step that took longest are on the first screen."""
    with chromium.open(missed.as_uri()) as tab:
        for words in ("✗ FAIL", "misses the limit of 120 lab s", "recovery point, failover", "Longest: "):
            found = f"[...document.querySelectorAll('h1,p,td')].filter(e => e.textContent.includes('{words}'))"
            assert tab.run(f"{found}.some(e => e.getBoundingClientRect().bottom < innerHeight)"), words


def test_page_without_script_shows_verdict_table_and_picture(chromium: Chromium, missed: Path) -> None:
    """A reader without JavaScript has the verdict, the table and the picture, and no dead buttons."""
    with chromium.open(missed.as_uri(), script=False) as tab:
        tab.shot("report-without-script")
        assert tab.run("document.querySelector('.verdict').textContent") == "✗ FAIL"
        assert tab.run("document.querySelector('.picture > svg').getBoundingClientRect().height") > 300
        assert tab.run("document.querySelector('.interactive').getBoundingClientRect().height") == 0
        assert overlaps(tab) == []
        assert tab.complaints == []


def test_printed_report_has_the_picture(chromium: Chromium, missed: Path) -> None:
    """On paper the picture stands where the charts were, and the page prints."""
    with chromium.open(missed.as_uri()) as tab:
        tab.eventually("document.getElementById('charts').dataset.drawn")
        tab.media("print")
        assert tab.run("document.querySelector('.picture > svg').getBoundingClientRect().height") > 100
        assert tab.run("document.querySelector('.interactive').getBoundingClientRect().height") == 0
        assert tab.pdf().startswith(b"%PDF")


def test_nothing_is_cut_off_on_paper(chromium: Chromium, tmp_path: Path) -> None:
    """A table with long names, the stamps' too, is as wide as a sheet of A4 and no wider."""
    stamps = tuple(
        Event(wall(5), "signal", {"at": "2026-01-01T00:00:01.123456+00:00", "name": "M" * 48, "detail": "d" * 99})
        for _ in range(3)
    )
    folder = write_folder(tmp_path / "run", replace(history(), events=(*history().events, *stamps)))
    write_summary(folder, judgement(lost=3))
    with chromium.open(render(folder).as_uri(), width=718) as tab:
        tab.media("print")
        tab.run("document.querySelectorAll('details').forEach(d => { d.open = true })")
        wide = "[...document.querySelectorAll('table')].filter(t => t.getBoundingClientRect().right > innerWidth + 1)"
        assert tab.run(f"{wide}.map(t => t.textContent.slice(0, 80))") == []


def test_all_charts_zoom_together(chromium: Chromium, missed: Path) -> None:
    """Dragging over one chart zooms all of them, and a key shows the whole run again."""
    with chromium.open(missed.as_uri()) as tab:
        tab.eventually("document.getElementById('charts').dataset.drawn")
        whole = pixels(tab)
        box = tab.run(
            "(() => { const c = document.querySelector('.u-over'); c.scrollIntoView({block: 'center'});"
            " const b = c.getBoundingClientRect(); return [b.left, b.top, b.width, b.height] })()"
        )
        middle = box[1] + box[3] / 2
        tab.drag(box[0] + box[2] * 0.25, middle, box[0] + box[2] * 0.5, middle)
        tab.eventually(f"{VIEW}[0] > 100 && {VIEW}[1] < 400")
        tab.eventually(f"Promise.resolve({PIXELS}).then(now => now.every((p, n) => p !== window.whole[n]))")
        tab.run("document.getElementById('charts').focus()")
        tab.press("0")
        tab.eventually(f"{VIEW}[0] === 0")
        tab.eventually(f"JSON.stringify({PIXELS}) === JSON.stringify(window.whole)")
        assert len(whole) == 5


def test_charts_can_be_read_by_keyboard(chromium: Chromium, missed: Path) -> None:
    """Tab reaches the buttons and the charts; Enter zooms to an outage, arrows move the cursor and read aloud."""
    with chromium.open(missed.as_uri()) as tab:
        tab.eventually("document.getElementById('charts').dataset.drawn")
        for _ in range(30):
            tab.press("Tab")
            if tab.run("document.activeElement.textContent") == "failover":
                break
        tab.press("Enter")
        tab.eventually(f"{VIEW}[0] > 50 && {VIEW}[1] < 400")
        while tab.run("document.activeElement.id") != "charts":
            assert tab.run("document.activeElement.tagName") == "BUTTON"
            tab.press("Tab")
        for _ in range(30):
            tab.press("ArrowRight")
        assert "in_force" in tab.eventually("document.getElementById('now').textContent.match(/^At .*force/)?.[0]")
        assert "DNS, authoritative: " in tab.run("document.getElementById('readout').textContent")


def test_hostile_names_run_nowhere(chromium: Chromium, tmp_path: Path) -> None:
    """Markup in every kind of name is shown as text: nothing of it runs, and the policy has nothing to stop."""
    marks = (
        *history().events,
        Event(wall(2), "fault.injected", {"kind": EVIL, "effect": EVIL, "window": EVIL}),
        Event(wall(4), "clock", {"at": "2026-01-01T00:00:00+00:00", "low_s": wall(4), "high_s": wall(4)}),
        Event(wall(5), "signal", {"at": "2026-01-01T00:00:01+00:00", "source": EVIL, "name": EVIL, "detail": EVIL}),
    )
    looks = (*history().observations, *(look(n, f"aws.{EVIL}", EVIL, EVIL) for n in range(1, 600, 60)))
    asked = tuple(replace(r, name=EVIL, peer=EVIL, detail=EVIL, cohort=EVIL) for r in history().requests[:50])
    found = history(marks=marks)
    hostile = replace(
        found, header=header(scenario=EVIL, docstring=EVIL), events=marks, observations=looks, requests=asked
    )
    folder = write_folder(tmp_path / "run", hostile)
    write_summary(folder, judgement(lost=1))
    with chromium.open(render(folder).as_uri()) as tab:
        tab.eventually("document.getElementById('charts').dataset.drawn")
        move_over(tab)
        assert tab.run("window.pwned") is None
        assert "<script>" in tab.run("document.getElementById('readout').textContent")
        assert len(tab.requests) == 1
        assert tab.complaints == []
        assert overlaps(tab) == []


def test_drill_that_saw_nothing_has_a_page(chromium: Chromium, tmp_path: Path) -> None:
    """A run that ended before anything was seen is shown without charts, and without a complaint."""
    folder = write_folder(tmp_path / "run", History(header()))
    write_summary(folder, conclude([]))
    with chromium.open(render(folder).as_uri()) as tab:
        assert tab.eventually("document.getElementById('charts').dataset.drawn") == "0"
        assert tab.complaints == []
        assert overlaps(tab) == []


def test_policy_stops_what_gets_in(chromium: Chromium, missed: Path) -> None:
    """Even a script that got into the page would neither run nor reach anybody."""
    with chromium.open(missed.as_uri()) as tab:
        tab.run(
            "(e => { e.textContent = 'window.pwned = 1'; document.body.append(e) })(document.createElement('script'))"
        )
        assert tab.run("fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'stopped')") == "stopped"
        assert tab.run("window.pwned") is None
        tab.wait(lambda: len(tab.complaints) >= 2, "the policy's complaints")
        assert all("Content Security Policy" in words for words in tab.complaints)


def test_session_page_part_is_whole(chromium: Chromium, missed: Path, tmp_path: Path) -> None:
    """What pytest-html shows of the drills has verdict, table and picture, and no text over another."""
    page = tmp_path / "session.html"
    head = '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    page.write_text(f"{head}<h1>Session</h1>{''.join(session_prefix([load_run(missed.parent)]))}", encoding="utf-8")
    for width in (360, 1400):
        with chromium.open(page.as_uri(), width=width) as tab:
            tab.shot(f"session-{width}")
            assert tab.run("document.querySelector('.picture > svg').getBoundingClientRect().height") > 100
            assert overlaps(tab) == []
            assert outside(tab) == []


VIEW = "[+document.getElementById('charts').dataset.from, +document.getElementById('charts').dataset.to]"
PIXELS = "[...document.querySelectorAll('canvas')].map(c => c.toDataURL())"


def pixels(tab: Tab) -> list[str]:
    """What is drawn on each chart now; remembered in the page as `whole`."""
    return list(tab.run(f"window.whole = {PIXELS}"))


def move_over(tab: Tab) -> None:
    """Put the cursor of the charts on the first seconds of the run."""
    tab.run("document.getElementById('charts').focus()")
    tab.press("ArrowRight")
    tab.press("ArrowRight")
    tab.eventually("document.getElementById('readout').children.length > 3")
