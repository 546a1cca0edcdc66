"""docs/timeline.png anew: the charts of a run's report, as a browser shows them.

python -m tests.docs.timeline reports/runs/latest
"""

from __future__ import annotations

import base64
import sys
from pathlib import Path

from reports.page import render
from tests.browser import Chromium, installed

PICTURE = Path(__file__).parents[2] / "docs" / "timeline.png"
WIDTH = 980
TOP = "document.querySelector('.interactive').getBoundingClientRect().top + scrollY"
BOTTOM = "document.getElementById('charts').getBoundingClientRect().bottom + scrollY"


def take(run: Path, picture: Path = PICTURE) -> int:
    """Write the picture of a judged run folder; returns its bytes. SystemExit when there is no browser."""
    program = installed()
    if program is None:
        raise SystemExit("no Chromium on this machine: apt-get install chromium")
    browser = Chromium(program)
    try:
        with browser.open(render(run.resolve()).as_uri(), width=WIDTH) as tab:
            tab.eventually("document.getElementById('charts').dataset.drawn")
            top, bottom = tab.run(f"[{TOP}, {BOTTOM}]")
            clip = {"x": 0, "y": top, "width": WIDTH, "height": bottom - top, "scale": 1}
            found = tab.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
    finally:
        browser.close()
    return picture.write_bytes(base64.b64decode(found["data"]))


if __name__ == "__main__":
    sys.stdout.write(f"{PICTURE}: {take(Path(sys.argv[1]))} bytes\n")
