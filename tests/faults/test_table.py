"""The page of faults says what the faults do today."""

from __future__ import annotations

from pathlib import Path

import pytest

import faults
from commands.main import main
from tests.checks.cloud import cloud
from tests.faults.bus import add_bus
from tests.faults.events_source import add_events_source
from tests.faults.experiments import experiments
from tests.faults.furniture import furnish
from tests.faults.table import PAGE, page


def test_the_page_is_up_to_date(tmp_path: Path) -> None:
    """Made anew from the faults, it is the one that is committed."""
    with cloud(tmp_path) as made:
        add_bus(made)
        add_events_source(made)
        furnish(made)
        with experiments(made):
            assert PAGE.read_text() == page(made), "docs/faults.md is old: python -m tests.faults.table"


def test_drill_faults_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Every kind is on it."""
    assert main(["faults"]) == 0
    out = capsys.readouterr().out
    assert all(f"`{kind.__name__}`" in out for kind in faults.kinds())
