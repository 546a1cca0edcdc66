"""The browser of the tests hears what a page does wrong, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.browser import Chromium, PageError, chromium, installed
from tests.commands.bank import eventually

__all__ = ["chromium"]
PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1"><title>A page</title>
<style>p{color:rgb(1,2,3)}@media (prefers-color-scheme:dark){p{color:rgb(7,8,9)}}</style></head>
<body><p id="p">text</p><button id="b">press</button><script>%s</script></body></html>"""

ROOT = Path(__file__).resolve().parents[1]


def write(folder: Path, script: str) -> str:
    """The address of a page with that script."""
    path = folder / "page.html"
    path.write_text(PAGE % script)
    return path.as_uri()


def test_good_page_has_nothing_to_complain_about(chromium: Chromium, tmp_path: Path) -> None:
    """A page without faults asks for nothing but itself, and its title can be read."""
    url = write(tmp_path, "document.title += '!'")
    with chromium.open(url, width=360) as tab:
        assert (tab.run("document.title"), tab.run("innerWidth")) == ("A page!", 360)
        assert (tab.requests, tab.complaints) == ([url], [])


def test_what_a_page_does_wrong_is_heard(chromium: Chromium, tmp_path: Path) -> None:
    """A request off the page, an exception and an error on the console are each noticed."""
    script = "fetch('http://127.0.0.1:9/gone').catch(() => 0); console.error('told'); throw new Error('thrown')"
    with chromium.open(write(tmp_path, script)) as tab:
        tab.wait(lambda: len(tab.requests) > 1 and len(tab.complaints) > 1, "requests and complaints")
        heard = " ".join(tab.complaints)
        assert "http://127.0.0.1:9/gone" in tab.requests
        assert "told" in heard
        assert "thrown" in heard


def test_page_without_script_light_and_dark(chromium: Chromium, tmp_path: Path) -> None:
    """JavaScript can be taken away, and the reader's preference told."""
    with chromium.open(write(tmp_path, "document.title = 'ran'"), dark=True, script=False) as tab:
        assert tab.run("document.title") == "A page"
        assert tab.run("getComputedStyle(document.getElementById('p')).color") == "rgb(7, 8, 9)"


def test_keys_reach_the_page(chromium: Chromium, tmp_path: Path) -> None:
    """Tab moves the focus, and Enter presses a button."""
    with chromium.open(write(tmp_path, "b.onclick = () => { document.title = 'pressed' }")) as tab:
        tab.press("Tab")
        tab.press("Enter")
        assert tab.eventually("document.title == 'pressed'")


def test_script_that_fails_is_an_error(chromium: Chromium, tmp_path: Path) -> None:
    """A test's own script that throws fails the test, with its words."""
    with chromium.open(write(tmp_path, "")) as tab, pytest.raises(PageError, match="nothing is not defined"):
        tab.run("nothing.at.all")


def test_killed_test_leaves_no_browser() -> None:
    """A test process that is killed takes its browser with it."""
    if installed() is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    code = (
        "import os, signal\nfrom tests.browser import Chromium, installed\n"
        "c = Chromium(installed())\nc.call('Browser.getVersion')\n"
        "print(c._process.pid, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    # Not pytest's folder: Chromium's socket lies below it, and the path of a socket may have 107 characters.
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"TMPDIR": folder}
        ran = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=ROOT, check=False
        )
        assert ran.stdout, ran.stderr
        eventually(lambda: not Path(f"/proc/{int(ran.stdout)}").exists(), "the browser has ended")
