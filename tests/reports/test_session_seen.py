"""The page of a session as pytest-html really writes it, with drills of hostile systems in it, in a real browser."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from reports.page import render
from reports.summary import write_summary
from tests.browser import Chromium, chromium
from tests.e2e.drilling import ROOT
from tests.reports.runs import STEPS, header, history, judgement, write_folder
from tests.reports.test_seen_page import EVIL
from tests.seeing import outside, overlaps

__all__ = ["chromium"]
CONFTEST = """
import pytest
from pathlib import Path
from reports.page import extras, session_prefix
from reports.run import load_run

RUN = load_run(Path("run"))

@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.when == "call":
        report.extras = extras(RUN, Path.cwd())
    return report

def pytest_html_results_summary(prefix, session):
    prefix.extend(session_prefix([RUN], ["INVALID: " + RUN.title]))
"""
"""As the project's own does it, with a run that was made before."""


def test_the_page_that_pytest_html_writes_is_whole_and_runs_nothing_of_others(
    chromium: Chromium, tmp_path: Path
) -> None:
    """Verdict, table and picture above; a row with details and the way to the full report; one file, no request."""
    hostile = replace(history(), header=header(scenario=EVIL, docstring=EVIL))
    folder = write_folder(tmp_path / "run", hostile)
    write_summary(folder, replace(judgement(rto_s=120, lost=2), phases=STEPS))
    render(folder)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_one.py").write_text(f"def test_drill():\n    print({EVIL!r})\n    raise OSError({EVIL!r})\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--html=session.html", "--self-contained-html", "--rootdir=."],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    with chromium.open((tmp_path / "session.html").as_uri(), width=1400) as tab:
        tab.eventually("document.querySelector('.extras-row, .extra') !== null")
        assert tab.run("document.querySelector('section.drill .verdict').textContent") == "✗ FAIL"
        assert tab.run("document.querySelector('.picture > svg').getBoundingClientRect().height") > 100
        ways = tab.run("[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))")
        wanted = {f"run/{name}" for name in ("report.html", "missing-transactions.csv", "missing-transactions.json")}
        assert wanted <= set(ways)
        assert all((tmp_path / way).is_file() for way in wanted)
        assert "<script>" in tab.run("document.body.textContent")
        assert tab.run("window.pwned") is None
        tab.shot("session-real")
        assert tab.requests == [(tmp_path / "session.html").as_uri()]
        assert tab.complaints == []
        assert overlaps(tab) == []
        assert outside(tab) == []
