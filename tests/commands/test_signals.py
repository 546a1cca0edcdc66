"""What signals do to a verb of `drill`."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import pytest

from commands.main import main
from drill.interrupt import SIGNALS


@pytest.mark.parametrize("number", SIGNALS)
def test_a_verb_that_is_stopped_ends_in_a_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    """Exit 11, no traceback, its temporary folder is gone, and signals are as before."""
    former = [signal.getsignal(one) for one in SIGNALS]

    def run(_: object) -> int:
        with tempfile.TemporaryDirectory(dir=tmp_path):
            os.kill(os.getpid(), number)
            signal.pause()
        return 0

    monkeypatch.setattr("commands.faults.run", run)
    assert main(["faults"]) == 11
    assert capsys.readouterr().err == f"drill: stopped by {number.name}\n"
    assert list(tmp_path.iterdir()) == []
    assert [signal.getsignal(one) for one in SIGNALS] == former
