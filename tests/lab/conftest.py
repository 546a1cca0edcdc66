"""What the lab's tests share: a fast clock, a record of the truth in a temporary folder, an AWS server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.aws.server import AwsServer
from lab.clock import LabClock
from lab.truth import Truth


@pytest.fixture
def clock() -> LabClock:
    """A lab clock at speed 100: a 60 s period lasts 0.6 s."""
    return LabClock.starting_now(100.0)


@pytest.fixture
def truth(tmp_path: Path, clock: LabClock) -> Truth:
    """A record of the truth that ends with the test."""
    return Truth(tmp_path, clock)


@pytest.fixture
def server(clock: LabClock) -> Iterator[AwsServer]:
    """An AWS server on an ephemeral loopback port, empty, stopped after the test."""
    aws = AwsServer("127.0.0.1", 0, clock)
    aws.start()
    yield aws
    aws.stop()
