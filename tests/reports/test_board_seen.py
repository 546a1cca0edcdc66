"""The board and the report of a game day in a real browser: what they show, only as text, without barriers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reports.board_server import BoardServer, serving
from reports.gameday_day import Day
from reports.gameday_page import write_pages
from tests.browser import Chromium, chromium
from tests.reports.test_board import TOKEN, Stand
from tests.reports.test_gameday_page import day
from tests.seeing import barriers, outside, overlaps

__all__ = ["chromium", "day"]  # fixtures

EVIL = "<img src=x onerror=\"document.title='owned'\">"
HOLD = {"step": "ready", "message": EVIL, "release": ["lead", EVIL], "since": "t", "since_words": "now"}
LIVE = {
    "phase": "in_force",
    "elapsed_s": 200.4,
    "recovery_clock_s": 700.0,
    "rto_s": 600.0,
    "unit": "lab s",
    "requests_per_s": 20.0,
    "errors_per_s": 10.0,
    "dns": {"authoritative": "Osaka", EVIL: "Tokyo"},
    "http": {"Osaka": 10.0, "Tokyo": 0.5},
    "curve": [[-n, 20.0 + n % 3, n % 2] for n in range(120, -1, -1)],
}


def status(**changes: Any) -> dict[str, Any]:
    """What a board says while a drill runs."""
    told = {
        "words": "drill loss runs",
        "times": "now",
        "lab": True,
        "hold": None,
        "drill": {"id": "loss", "scenario": EVIL, "target": "core-banking", "attempt": 1, "live": LIVE},
        "steps": [["loss", "1", "RUNNING", ""], ["an-evacuation-with-a-long-name", "", "ahead", "why " * 40]],
        "next": ["hold understood: go on?", EVIL],
        "observations": [["00:00:00Z", "loss", EVIL * 5, ""]],
        "roles": [["incident commander", "<name>"]],
    }
    return told | changes


class Changing(Stand):
    """A board that says what a test has set."""

    shows: dict[str, Any]

    def status(self) -> dict[str, Any]:
        """See Board."""
        return self.shows


@pytest.mark.parametrize("width", [1300, 700, 380])
def test_everything_is_shown_as_text_and_nothing_overlaps(chromium: Chromium, width: int) -> None:
    """At three widths: figures, curve, hold; no markup of others, no complaint, no request off the page."""
    board = Changing()
    board.shows = status(hold=HOLD)
    with BoardServer(("127.0.0.1", 0), None) as server, serving(server, board) as url:  # noqa: SIM117
        with chromium.open(url, width=width, dark=width == 700) as tab:
            tab.eventually("document.getElementById('phase').textContent === 'in_force'")
            assert tab.run("document.getElementById('clock').textContent") == "700 lab s"
            assert tab.run("document.querySelectorAll('.tile.over').length") == 2
            assert tab.run("document.getElementById('all').getAttribute('d').split('L').length") == 121
            assert tab.run("document.getElementById('hold-message').textContent") == EVIL
            assert tab.run("document.images.length") == 0
            tab.shot(f"board-{width}")
            assert overlaps(tab) == []
            assert outside(tab) == []
            assert barriers(tab) == []
            assert tab.complaints == []
            assert all(address.startswith(url) for address in tab.requests)


def test_a_person_releases_a_hold_and_notes_what_they_see(chromium: Chromium) -> None:
    """By keyboard alone; what is being typed survives the next look."""
    board = Changing()
    board.shows = status(hold=HOLD, drill=None)
    with BoardServer(("127.0.0.1", 0), None) as server, serving(server, board) as url, chromium.open(url) as tab:
        tab.eventually("!document.getElementById('hold').hidden")
        tab.run("document.getElementById('text').focus()")
        tab.call("Input.insertText", text="smoke <b>")
        tab.run("new Promise((done) => setTimeout(done, 1500))")
        tab.press("Enter")
        tab.eventually("document.getElementById('observe-said').textContent === 'noted'")
        tab.run("document.getElementById('released-by').focus()")
        tab.press("Enter")
        tab.eventually("document.getElementById('release-said').textContent === 'released'")
        assert board.said == [("smoke <b>", ""), ("ready", "lead", "")]
        board.shows = status()
        tab.eventually("document.getElementById('hold').hidden")


def test_a_dropped_connection_is_said_and_mended(chromium: Chromium) -> None:
    """What is shown is called old while the server is gone; it goes on by itself when it is back."""
    board = Changing()
    board.shows = status()
    with BoardServer(("127.0.0.1", 0), None) as server, serving(server, board) as url:
        port = server.server_address[1]
        page = chromium.open(url)
        tab = page.__enter__()
        tab.eventually("document.getElementById('phase').textContent === 'in_force'")
    try:
        tab.eventually("!document.getElementById('lost').hidden")
        assert "what is shown is old" in tab.run("document.getElementById('lost').textContent")
        board.shows = status(drill=None)
        with BoardServer(("127.0.0.1", port), None) as server, serving(server, board):
            tab.eventually("document.getElementById('lost').hidden")
            tab.eventually("document.getElementById('phase').textContent === '-'")
    finally:
        page.__exit__(None, None, None)


def test_the_token_is_typed_into_a_form(chromium: Chromium) -> None:
    """And is in no address."""
    board = Changing()
    board.shows = status()
    with BoardServer(("127.0.0.1", 0), TOKEN) as server, serving(server, board) as url, chromium.open(url) as tab:
        assert barriers(tab) == []
        tab.run("document.querySelector('input').focus()")
        tab.call("Input.insertText", text=TOKEN)
        tab.press("Enter")
        tab.eventually("(document.getElementById('phase') || {}).textContent === 'in_force'")
        assert tab.run("location.href") == url
        assert not any(TOKEN.split()[0] in address for address in tab.requests)
        tab.go(url)  # a reload: the browser is known, and nothing is typed again
        tab.eventually("(document.getElementById('phase') || {}).textContent === 'in_force'")


def test_who_has_the_token_of_no_fitting_role_is_told_so_and_offered_nothing(chromium: Chromium) -> None:
    """The lead may release, and only as the lead; the observer is told whose token it takes, and may note."""
    board, roles = Changing(), {"lead": "the leads own token", "observer": "the observers own token"}
    board.shows = status(hold=HOLD, drill=None)
    with BoardServer(("127.0.0.1", 0), TOKEN, roles) as server, serving(server, board) as url:
        with chromium.open(f"{url}login") as tab:
            tab.run("document.querySelector('input').focus()")
            tab.call("Input.insertText", text=roles["observer"])
            tab.press("Enter")
            tab.eventually("(document.getElementById('release') || {}).hidden === true")
            assert "Only with the token of: lead" in tab.run("document.getElementById('release-said').textContent")
            assert "You are: observer" in tab.run("document.getElementById('you').textContent")
            tab.shot("board-observer")
            assert barriers(tab) == []
            assert overlaps(tab) == []
            tab.run("document.querySelector('#you a').click()")
            tab.eventually("(document.querySelector('input[name=token]') || {}).type === 'password'")
            tab.run("document.querySelector('input').focus()")
            tab.call("Input.insertText", text=roles["lead"])
            tab.press("Enter")
            tab.eventually("document.getElementById('you-words')?.textContent.includes('lead')")
            assert tab.run("[...document.getElementById('role').options].map(o => o.value)") == ["lead"]
            tab.run("document.getElementById('released-by').focus()")
            tab.press("Enter")
            tab.eventually("document.getElementById('release-said').textContent === 'released'")
        assert board.said == [("ready", "lead", "", "lead")]
        assert tab.complaints == []


@pytest.mark.parametrize(("width", "dark"), [(1400, False), (360, True)])
def test_the_report_has_no_barriers(chromium: Chromium, day: Day, tmp_path: Path, width: int, dark: bool) -> None:
    """On a large light screen and a small dark one; it asks for nothing, and complains of nothing."""
    page = write_pages(tmp_path, day)
    with chromium.open(page.as_uri(), width=width, dark=dark) as tab:
        tab.shot(f"game-day-{width}")
        assert overlaps(tab) == []
        assert outside(tab) == []
        assert barriers(tab) == []
        assert tab.requests == [page.as_uri()]
        assert tab.complaints == []
