"""The eyes of the tests see what they look for."""

from __future__ import annotations

from pathlib import Path

from tests.browser import Chromium, chromium
from tests.seeing import barriers, empty_charts, outside, overlaps

__all__ = ["chromium"]
BAD = """<!DOCTYPE html><html><head><meta charset="utf-8"><title>A page</title></head><body style="width:3000px">
<p style="position:absolute;top:50px">first words</p><p style="position:absolute;top:55px">second words</p>
<p style="position:absolute;top:200px;left:2500px">far words</p>
<p style="position:absolute;top:300px;color:#bbb">pale</p>
<canvas width="30" height="30"></canvas></body></html>"""


def test_what_is_wrong_is_seen(chromium: Chromium, tmp_path: Path) -> None:
    """Texts over each other, texts outside, a chart without a drawing and pale words are each noticed."""
    path = tmp_path / "page.html"
    path.write_text(BAD)
    with chromium.open(path.as_uri()) as tab:
        assert overlaps(tab) == ["first words | second words"]
        assert outside(tab) == ["far words", "the page scrolls sideways"]
        assert empty_charts(tab) == 1
        assert {"color-contrast", "html-has-lang"} <= {found.partition(":")[0] for found in barriers(tab)}
