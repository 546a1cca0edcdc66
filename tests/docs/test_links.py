"""Every link of the README and the docs leads to something that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.timeline import PICTURE
from tests.e2e.drilling import ROOT

LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]*)?\)")
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
MOST_BYTES = 300_000


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Files and folders of the repository; addresses of the web are not looked at."""
    named = [m.group(1) for m in LINK.finditer(page.read_text()) if "://" not in m.group(1)]
    assert [name for name in named if not (page.parent / name).exists()] == []


def test_the_picture_of_the_readme_is_one_and_is_light() -> None:
    """A PNG that anybody loads quickly."""
    data = PICTURE.read_bytes()
    assert data.startswith(b"\x89PNG") and 10_000 < len(data) < MOST_BYTES
