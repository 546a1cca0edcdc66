"""Which version of ours rendered a page, in the page: another version's words are not an edit.

Not a signature: who can write the page can write its stamp, but then it says so of itself to `drill verify`.
"""

from __future__ import annotations

import functools
import hashlib
import re

from drill.harness import NAME, SOURCE, this_harness
from reports.look import SHEET, asset, policy

FOUND = re.compile(rf'<meta name="generator" content="{NAME} ([0-9a-f]{{12}})">')


def stamp() -> str:
    """The tag for the page's head."""
    return f'<meta name="generator" content="{NAME} {_renderer()}">'


def by_this_version(page: str) -> bool:
    """Whether the page says that this version has rendered it."""
    found = FOUND.search(page)
    return found is not None and found[1] == _renderer()


@functools.cache
def _renderer() -> str:
    """The source that renders, its scripts (whose digests the policy names) and its style sheets."""
    parts = (this_harness()[SOURCE], policy(), asset(SHEET))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
