"""One running core-banking lab for all tests of this folder that only read it or use accounts of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.launch import Lab, launch

SPEED = 20.0


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A lab at speed 20 with the published settings."""
    with launch("core-banking", SPEED) as running:
        yield running
