"""For the harness's own tests alone; a drill session never loads this."""

from __future__ import annotations

import gc

import pytest

THRESHOLDS = (5_000, 10, 10)
"""Python's own are for small heaps: with moto's and botocore's models in memory a quarter of the time went into
looking for garbage among what never is any. Half a million new objects now lie between two whole looks."""


def pytest_collection_finish(session: pytest.Session) -> None:
    """Garbage is looked for less often; what was imported to collect is never looked through (see ../conftest.py)."""
    gc.set_threshold(*THRESHOLDS)
