"""`drill report` renders a run from its folder alone, whatever has become of the drill."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands.main import main
from drill.harness import this_harness
from tests.commands.limited import limited
from tests.commands.test_verify import OTHER
from tests.reports.records import run_folder

END = "run.finished"


def killed(folder: Path) -> Path:
    """The folder of a drill that was killed before its end: nothing judged, nothing rendered, no seal."""
    run_folder(folder)
    for name in ("verdict.json", "missing-transactions.csv", "missing-transactions.json"):
        (folder / name).unlink(missing_ok=True)
    events = (folder / "events.jsonl").read_text().splitlines(keepends=True)
    (folder / "events.jsonl").write_text("".join(line for line in events if END not in line))
    return folder


def test_a_killed_drill_has_its_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Judged now, never PASS; with everything that a drill leaves at its end, which agrees with the evidence."""
    folder = killed(tmp_path / "run")
    assert main(["report", str(folder)]) == 0
    assert str(folder / "report.html") in capsys.readouterr().out
    page = (folder / "report.html").read_text()
    assert "✓ PASS</span>" not in page and "the drill did not come to its end" in page
    assert {"verdict.json", "drill.json", "summary.md"} <= {path.name for path in folder.iterdir()}
    assert main(["verify", str(folder)]) == 0


def test_a_verdict_of_rubbish_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback, the file, and 11."""
    folder = run_folder(tmp_path / "run")
    (folder / "verdict.json").write_text("{")
    assert main(["report", str(folder)]) == 11
    assert "verdict.json: no readable verdict" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("versions", "edit", "code"),
    [
        (this_harness(), ('"PASS"', '"FAIL"'), 11),
        (OTHER, ('"PASS"', '"FAIL"'), 11),
        (this_harness(), ("meets the limit", "is within the limit"), 11),
        (OTHER, ("meets the limit", "is within the limit"), 0),
    ],
)
def test_a_verdict_that_the_evidence_does_not_say_is_not_rendered(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    versions: dict[str, str],
    edit: tuple[str, str],
    code: int,
) -> None:
    """Whoever made it; only another version's words are let pass. The former page stays as it is."""
    folder = run_folder(tmp_path / "run", versions=versions)
    (folder / "report.html").write_text("former")
    path = folder / "verdict.json"
    path.write_text(path.read_text().replace(*edit))
    assert main(["report", str(folder)]) == code
    assert ("differs from what the evidence says" in capsys.readouterr().err) == bool(code)
    assert ((folder / "report.html").read_text() == "former") == bool(code)


def test_evidence_that_was_changed_under_a_pass_is_not_rendered_as_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The requests of the load are gone: the verdict that stands there is not theirs."""
    folder = run_folder(tmp_path / "run")
    (folder / "requests-l.jsonl").write_text("")
    assert main(["report", str(folder)]) == 11
    assert "(INVALID): it says PASS" in capsys.readouterr().err
    assert not (folder / "report.html").exists()


def test_a_full_disk_is_a_sentence(tmp_path: Path) -> None:
    """Of a run that was judged and of one that was not; the former page stays, no half file."""
    for made in (run_folder(tmp_path / "run"), killed(tmp_path / "killed")):
        (made / "report.html").write_text("former")
        code, told = limited(1000, "report", str(made))
        assert (code, "no report" in told, "Traceback" in told) == (11, True, False), told
        assert (made / "report.html").read_text() == "former"
        assert [path.name for path in made.iterdir() if path.name.startswith(".")] == []
