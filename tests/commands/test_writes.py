"""`drill writes`, `drill verify` and `drill report` on run folders with lost writes."""

from __future__ import annotations

import csv
import dataclasses
import io
from pathlib import Path

import pytest

from checks.judge import judge
from commands.main import main
from reports.summary import write_summary
from tests.checks.histories import complete, good_failover, sealed, write_folder


def test_every_write_is_a_line_with_what_became_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By send time, with a column for each look at the survivor; what a spreadsheet would run is text."""
    whole = complete()
    strange = [dataclasses.replace(w, id="=1+1") if w.key == "u1-1" else w for w in whole.writes]
    folder = write_folder(tmp_path / "run", sealed(dataclasses.replace(whole, writes=tuple(strange))))
    assert main(["writes", str(folder)]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["key"] for row in rows] == [w.key for w in whole.writes]
    first, late = rows[0], rows[1]
    assert (first["id"], first["result"], first["known_monotonic_s"]) == ("'=1+1", "acked", "4998.05")
    assert (late["failover recovery main"], late["failover settled main"]) == ("pending", "settled")
    assert rows[2]["result"] == "refused" and rows[2]["failover settled main"] == ""


def test_verify_compares_the_missing_transactions_and_report_writes_them_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A list of lost writes that was changed, or taken away, does not agree with the evidence."""
    history = good_failover(fate="absent").history()
    folder = write_folder(tmp_path / "run", history)
    write_summary(folder, judge(history))
    assert main(["verify", str(folder)]) == 0
    listed = folder / "missing-transactions.csv"
    text = listed.read_text()
    listed.write_text(text.replace("u1-2", "u1-3"))
    assert main(["verify", str(folder)]) == 11
    assert "missing-transactions.csv differ" in capsys.readouterr().out
    listed.unlink()
    assert main(["verify", str(folder)]) == 11
    assert main(["report", str(folder)]) == 0
    assert listed.read_text() == text
    assert main(["verify", str(folder)]) == 0
    page = (folder / "report.html").read_text()
    assert 'href="missing-transactions.csv"' in page and 'href="missing-transactions.json"' in page


def test_a_ledger_that_cannot_be_read_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One changed byte: no traceback, the file and the place, and exit code 11: it proves nothing."""
    folder = write_folder(tmp_path / "run", complete())
    path = folder / "ledger-u1.bin"
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(bytes(data))
    assert main(["writes", str(folder)]) == 11
    assert "ledger-u1.bin, cell 3 (byte 192): its checksum is wrong" in capsys.readouterr().err
