"""`drill gate` on real run folders: 0 only when all that is required is there, 4 for a bad policy."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from commands.main import main
from commands.scenario_names import known, scenario_names
from drill.clock import SystemClock
from tests.commands.limited import limited
from tests.e2e.drilling import ROOT
from tests.reports.records import SCENARIO, run_folder

POLICY = f"""
format = 1
target = "core-banking"
fresh_days = 7
[[drill]]
scenario = "{SCENARIO}"
"""
NOW = SystemClock().wall()


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a drill of yesterday that passed; a test that changes it makes its own."""
    return run_folder(tmp_path_factory.mktemp("fresh") / "run", created=(NOW - timedelta(days=1)).isoformat())


def asked(tmp_path: Path, *arguments: str, policy: str = POLICY, release: str = "4f2c1ab") -> int:
    """The exit code of the gate with that policy."""
    (tmp_path / "gate.toml").write_text(policy)
    named = [f"--release={release}"] if release else []
    return main(["gate", f"--policy={tmp_path / 'gate.toml'}", f"--db={tmp_path / 'db'}", *named, *arguments])


def test_a_fresh_drill_of_this_release_passes_from_the_history_and_from_its_folder(
    tmp_path: Path, fresh: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Imported before, or named on the command line: the same answer; without either, absent."""
    assert asked(tmp_path) == 1
    assert "no history in" in capsys.readouterr().out
    assert asked(tmp_path, str(fresh)) == 0
    assert not (tmp_path / "db").exists()
    main(["history", "import", f"--db={tmp_path / 'db'}", str(fresh)])
    capsys.readouterr()
    assert asked(tmp_path, "--json") == 0
    assert json.loads(capsys.readouterr().out)["gate"] == "PASS"
    assert asked(tmp_path, release="other") == 1


def test_the_release_comes_from_the_environment_too_and_is_never_nobodys(
    tmp_path: Path, fresh: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty variable of a pipeline must not match runs without a release."""
    monkeypatch.delenv("DRILL_RELEASE", raising=False)
    assert asked(tmp_path, str(fresh), release="") == 4
    assert asked(tmp_path, str(fresh), "--release=", release="") == 4
    assert "no release" in capsys.readouterr().err
    monkeypatch.setenv("DRILL_RELEASE", "4f2c1ab")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "job.md"))
    assert asked(tmp_path, str(fresh), release="") == 0
    assert "DR gate PASS" in (tmp_path / "job.md").read_text()


BAD: dict[str, tuple[str, str]] = {
    "no TOML": ("drill = [", "cannot be read as a gate policy"),
    "newer": (POLICY.replace("format = 1", "format = 2"), "format"),
    "nothing required": ("format = 1\n", "drill: Field required"),
    "an empty list": ("format = 1\ndrill = []\n", "drill: "),
    "an unknown drill": (POLICY.replace(SCENARIO, "service-los"), "unknown drills: service-los; known: "),
    "an unknown target": (POLICY.replace("core-banking", "nope"), "unknown target"),
    "an unknown key": (POLICY + "fresh = 3\n", "fresh: Extra inputs"),
    "never stale": (POLICY.replace("= 7", "= inf"), "finite number"),
    "no freshness": (POLICY.replace("fresh_days = 7", ""), "fresh_days: Field required"),
    "no passes": (POLICY + "passes = 0\n", "passes"),
    "certainty": (POLICY + "share = 1.0\n", "share"),
    "twice": (POLICY + POLICY.partition("fresh_days = 7\n")[2], "required twice: service-loss-and-return on core-b"),
    "cleared by nobody": (POLICY + '[[cleared]]\nrun = "r1"\nby = ""\nwhy = "x"\n', "cleared.0.by"),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_bad_policy_is_a_usage_error(
    tmp_path: Path, fresh: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Exit 4, the key and the reason; never an answer."""
    text, words = BAD[name]
    assert asked(tmp_path, str(fresh), policy=text) == 4
    told = capsys.readouterr()
    assert words in told.err
    assert told.out == ""


def test_a_target_may_be_a_file_of_a_teams_own(
    tmp_path: Path, fresh: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Runs carry the name that is in it; one target under two names is required twice."""
    own = tmp_path / "mine.toml"
    own.write_text((ROOT / "targets" / "core-banking.toml").read_text())
    assert asked(tmp_path, str(fresh), policy=POLICY.replace('"core-banking"', f'"{own}"')) == 0
    twice = POLICY + f'[[drill]]\nscenario = "{SCENARIO}"\ntarget = "{own}"\n'
    capsys.readouterr()
    assert asked(tmp_path, str(fresh), policy=twice) == 4
    assert "required twice" in capsys.readouterr().err
    own.write_text(own.read_text().replace("rto_s = 600.0", "rto_s = 800.0"))
    assert asked(tmp_path, str(fresh), policy=POLICY.replace('"core-banking"', f'"{own}"')) == 1
    assert "of target digest" in capsys.readouterr().out


def test_a_policy_that_is_not_there_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is none, and an option that is missing."""
    assert main(["gate", f"--policy={tmp_path}", "--release=x"]) == 4
    assert "cannot be read as a gate policy" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="4"):
        main(["gate"])


def test_what_cannot_be_read_fails_the_gate(tmp_path: Path, fresh: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A damaged history, a run folder that is none, a truncated one beside the good one: 1, and why."""
    (tmp_path / "db").write_text("x" * 5000)
    assert asked(tmp_path) == 1
    assert "the history cannot be used" in capsys.readouterr().out
    (tmp_path / "db").unlink()
    assert asked(tmp_path, str(tmp_path / "none")) == 1
    assert "no run folder" in capsys.readouterr().out
    cut = run_folder(tmp_path / "cut", created=NOW.isoformat(), run_id="r2")
    (cut / "run.json").write_text((cut / "run.json").read_text()[:300])
    assert asked(tmp_path, str(fresh), str(cut)) == 1
    assert "cut: cannot be read" in capsys.readouterr().out
    (runs := tmp_path / "runs").mkdir()
    run_folder(runs / "good", created=NOW.isoformat(), run_id="r3")
    (run_folder(runs / "headless", created=NOW.isoformat(), run_id="r4") / "run.json").unlink()
    assert asked(tmp_path, str(runs)) == 1
    assert "headless: cannot be read" in capsys.readouterr().out


def test_a_tampered_run_fails_the_gate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its release was edited to the one that is asked for."""
    folder = run_folder(tmp_path / "run", created=(NOW - timedelta(days=1)).isoformat(), release="older")
    header = folder / "run.json"
    header.write_text(header.read_text().replace('"older"', '"4f2c1ab"'))
    assert asked(tmp_path, str(folder), "--markdown") == 1
    assert "run.json is not what it was when the drill ended" in capsys.readouterr().out


def test_a_full_disk_is_no_pass(tmp_path: Path, fresh: Path) -> None:
    """The run cannot be taken into the history: 1, in a sentence."""
    main(["history", "import", f"--db={tmp_path / 'db'}", str(run_folder(tmp_path / "old", release="older"))])
    (tmp_path / "gate.toml").write_text(POLICY)
    named = ("gate", f"--policy={tmp_path / 'gate.toml'}", f"--db={tmp_path / 'db'}", "--release=4f2c1ab")
    code, output = limited((tmp_path / "db").stat().st_size, *named, str(fresh))
    assert code == 1, output
    assert "Traceback" not in output


def test_the_names_of_scenarios_are_those_of_run_folders(tmp_path: Path) -> None:
    """Read from the files; one with parameters is known by the names that it makes; a helper is none."""
    (tmp_path / "test_a.py").write_text(
        "import pytest\n"
        "@pytest.mark.failover\ndef test_Loss_of__all(): pass\n"
        "@pytest.mark.parametrize('x', [1])\n@pytest.mark.failover()\ndef test_many(x): pass\n"
        "def test_other(): pass\n"
    )
    (tmp_path / "test_b.py").write_text("pytestmark = [pytest.mark.failover]\ndef test_marked_whole(): pass\n")
    names = scenario_names([tmp_path])
    assert names == {"loss-of-all": False, "many": True, "marked-whole": False}
    assert known("many-1", names) and not known("loss-of-all-1", names) and not known("other", names)
    assert SCENARIO in scenario_names(None)
