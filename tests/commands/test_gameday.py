"""`drill gameday`: real sessions, real signals, a real board; what ends early is told, and never a PASS."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from commands.gameday_outcome import exit_code, outcome_of
from commands.main import main
from drill.clock import SystemClock
from drill.gameday import read_plan, require_plan
from drill.gameday_log import LOG_FILE, PLAN_FILE, Record, read_log
from drill.gameday_state import state_of
from drill.journal import Journal
from drill.ledger import read_lines
from tests.checks.worlds import eventually
from tests.commands.days import HOLD, LIMIT_S, QUICK, TOKEN, Place, drills, place, running
from tests.commands.limited import limited
from tests.e2e.drilling import ROOT
from tests.reports.records import run_folder

__all__ = ["place"]  # a fixture


def test_a_day_waits_for_people_shows_its_drill_and_ends_it_in_order(place: Place) -> None:
    """A hold is released on the board by who may; SIGTERM ends the drill in order; what was stopped is resumed."""
    (token := place.path / "token").write_text(f"{TOKEN}\n")
    token.chmod(0o600)
    plan = place.plan(HOLD, drills("test_waits"))
    with running(place, plan, "--board=127.0.0.1:0", f"--token-file={token}") as day:
        eventually(lambda: day.said("HOLD ready: Ready? <b>"), LIMIT_S)
        assert day.ask("GET", "/status")[1]["hold"]["release"] == ["lead", "deputy"]
        day.type("")
        eventually(lambda: day.said("nobody in particular"), LIMIT_S)  # two may: who presses ENTER must say which
        day.type("smoke <b> from the rack")
        eventually(lambda: day.said("noted"), LIMIT_S)
        assert day.ask("POST", "/release", {"step": "ready", "role": "boss"})[0] == 409
        assert day.ask("POST", "/release", {"step": "other", "role": "lead"})[0] == 409
        assert day.ask("POST", "/release", {"step": "ready", "role": "lead", "who": "<name>"})[0] == 200
        eventually(lambda: day.live().get("errors_per_s"), LIMIT_S)
        live = day.live()
        assert live["phase"] == "in_force"
        assert live["recovery_clock_s"] > 0
        assert live["dns"] == {"authoritative": "Osaka", "resolver:<b>": "Tokyo"}
        assert set(live["http"]) == {"Osaka"}
        day.process.send_signal(signal.SIGTERM)
    assert day.process.returncode == 11
    (run,) = place.run_folders()
    assert "ended in order: SIGTERM" in (run / "events.jsonl").read_text()
    assert TOKEN not in (place.folder / LOG_FILE).read_text() + day.out.read_text() + place.report
    for words in ("smoke &lt;b&gt; from the rack", "| lead | &lt;name&gt; | board |", "stopped: by SIGTERM"):
        assert words in place.report, words


def test_a_killed_day_takes_its_drill_along_and_can_be_reported_and_resumed(place: Place) -> None:
    """The drill is told by the kernel and ends in order; it is done again, once, when the day is resumed."""
    with running(place, place.plan(drills("test_waits"))) as day:
        eventually(lambda: place.run_folders() and (place.run_folders()[0] / "requests-0.jsonl").exists(), LIMIT_S)
        day.process.kill()
    (run,) = place.run_folders()
    assert "ended in order: SIGTERM" in (run / "events.jsonl").read_text()
    assert place.run("--report", place.folder) == 11
    assert "the game day did not come to its end" in place.report
    assert "| INVALID | stopped: the game day was interrupted |" in place.report
    (place.path / "runs" / "hurry").touch()
    assert place.run("--resume", place.folder) == 11
    assert [(e["attempt"], e["finished"]) for e in place.ends()] == [(1, False), (2, True)]
    assert "started again" in place.report
    assert place.run("--resume", place.folder) == 12  # nothing is left of it


def test_a_dirty_drill_ends_the_day_and_blocks_it_until_it_is_put_back(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    """20, and nothing more is started, where a FAIL was gone on from; resumed only when all is back; 20 stays."""
    assert place.run(place.plan(drills("test_fails", "test_leaves_something_changed", "test_nothing"))) == 20
    assert "quick.3: never started" in place.report
    assert place.run("--resume", place.folder) == 12
    assert "drill restore" in capsys.readouterr().err
    journal = Journal(place.run_folders()[1] / "journal.jsonl", SystemClock())
    journal.record(1, "restored")
    journal.close()
    text = (place.folder / PLAN_FILE).read_text()
    (place.folder / PLAN_FILE).write_text(f"{text}# changed\n")
    assert place.run("--resume", place.folder) == 12
    assert "is not what it was when the game day began" in capsys.readouterr().err
    (place.folder / PLAN_FILE).write_text(text)
    assert place.run("--resume", place.folder) == 20
    assert [(e["drill"], e["verdict"]) for e in place.ends()] == [
        ("quick.1", "FAIL"),
        ("quick.2", "DIRTY"),
        ("quick.3", "INVALID"),
    ]


def test_a_fail_ends_the_day_by_choice_and_no_record_makes_it_better(place: Place) -> None:
    """The report judges the evidence anew; evidence that is gone proves nothing, whatever the record says."""
    rule = "hard_stop.after_s = 3600\nabort.on_fail = true"
    assert place.run(place.plan(drills("test_fails", "test_nothing"), head=rule)) == 1
    assert [e["drill"] for e in place.ends()] == ["quick.1"]
    assert "quick.2: never started" in place.report
    assert "recovery time, failover" in place.report
    log = place.folder / LOG_FILE
    records = read_lines(log)
    (ended,) = [record for record in records if record["event"] == "ended"]
    assert isinstance(ended["data"], dict)
    ended["data"] |= {"verdict": "PASS", "exit_code": 0}
    log.write_text("".join(json.dumps(record) + "\n" for record in records))
    assert place.run("--report", place.folder) == 1
    place.run_folders()[0].rename(place.path / "moved")
    assert place.run("--report", place.folder) == 11
    assert "is not there any more" in place.report


def test_ctrl_c_at_a_hold_ends_the_day(place: Place) -> None:
    """Nothing was drilled, so it is INVALID; the record says by what."""
    with running(place, place.plan(HOLD, drills("test_nothing"))) as day:
        eventually(lambda: day.said("HOLD ready"), LIMIT_S)
        day.process.send_signal(signal.SIGINT)
    assert day.process.returncode == 11
    assert "by SIGINT" in place.report
    assert "hold ready: never released" in place.report


def test_a_role_with_a_token_is_nobody_elses(place: Place) -> None:
    """Neither claimed with the shared token nor with another role's; the record says by what each was known."""
    lead, observer = "the leads own token", "the observers own token"
    for name, text in (("all", TOKEN), ("lead", lead), ("deputy", observer)):
        (place.path / name).write_text(text)
        (place.path / name).chmod(0o600)
    tokens = (f"--role-token=lead={place.path}/lead", f"--role-token=deputy={place.path}/deputy")
    first, last = HOLD.replace(', "deputy"', ""), '[[step]]\nkind = "hold"\nid = "last"\nmessage = "?"\n'
    plan = place.plan(first, last, drills("test_nothing"))
    with running(place, plan, "--board=127.0.0.1:0", f"--token-file={place.path}/all", *tokens) as day:
        eventually(lambda: day.said("HOLD ready"), LIMIT_S)
        ready = {"step": "ready", "role": "lead", "who": "<name>"}
        assert "takes the token of lead" in day.ask("POST", "/release", ready)[1]["error"]
        assert "your token is that of 'deputy'" in day.ask("POST", "/release", ready, observer)[1]["error"]
        assert "may not release it" in day.ask("POST", "/release", {"step": "ready"}, observer)[1]["error"]
        assert day.ask("POST", "/observe", {"text": "smoke", "who": "<name>"}, observer)[0] == 200
        assert day.ask("POST", "/observe", {"text": "fog", "who": "lead"})[0] == 200
        assert day.ask("GET", "/status", token=observer)[1]["observations"][0][3] == "lead"
        assert day.ask("POST", "/release", ready, lead)[0] == 200
        eventually(lambda: day.said("HOLD last"), LIMIT_S)
        assert day.ask("POST", "/release", {"step": "last", "role": ""})[0] == 200  # anybody may
    told = [(r.event, r.data["role"], r.data["proof"]) for r in read_log(place.folder) if "proof" in r.data]
    assert told == [
        ("observation", "deputy", "token"),
        ("observation", "", "claimed"),
        ("released", "lead", "token"),
        ("released", "", "claimed"),
    ]
    assert "| lead | &lt;name&gt; | board | token |" in place.report
    assert "| smoke | &lt;name&gt; | board | deputy |" in place.report
    record = (place.folder / LOG_FILE).read_text() + day.out.read_text() + place.report
    assert [secret for secret in (lead, observer, TOKEN) if secret in record] == []


def test_the_hard_stop_ends_a_hold_and_starts_nothing(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Resuming the day later is refused."""
    plan = place.plan(HOLD, drills("test_nothing"), head="hard_stop.after_s = 1")
    assert place.run(plan, "--board=127.0.0.1:0") == 11
    assert "the hard stop" in place.report
    assert place.ends() == []
    assert place.run("--resume", place.folder) == 12
    assert "has passed" in capsys.readouterr().err


def test_the_hard_stop_ends_the_running_drill_and_starts_no_other(place: Place) -> None:
    """In order, as a person would."""
    plan = place.plan(drills("test_waits", "test_nothing"), head="hard_stop.after_s = 4")
    assert place.run(plan) == 11
    assert [(e["drill"], e["finished"]) for e in place.ends()] == [("quick.1", False)]
    assert "the hard stop" in place.ends()[0]["stopped"]


def test_a_day_that_was_killed_after_a_drill_and_before_its_record_knows_the_code(place: Place) -> None:
    """The drill came to its end, so it is not done again."""
    assert place.run(place.plan(HOLD, drills("test_nothing"))) == 11
    at = SystemClock().wall().isoformat()
    data = {"drill": "quick", "attempt": 1, "pid": 1, "html": str(place.path / "x.html"), "code": 12, "stopped": ""}
    told = [{"at": at, "event": "released", "data": {"step": "ready"}}]
    told += [{"at": at, "event": event, "data": data} for event in ("drill", "exited")]
    with (place.folder / LOG_FILE).open("a") as file:
        file.write("".join(json.dumps(record) + "\n" for record in told))
    assert place.run("--report", place.folder) == 12
    assert place.run("--resume", place.folder) == 12
    assert [(e["verdict"], e["finished"]) for e in place.ends()] == [("REFUSED", True)]


def test_a_hold_that_nobody_can_release_ends_the_day(place: Place) -> None:
    """No terminal, no board: it is not waited for until the hard stop."""
    assert place.run(place.plan(HOLD, drills("test_nothing"))) == 11
    assert "nobody can release it" in place.report
    assert place.run_folders() == []


def test_a_disk_that_is_full_ends_the_day(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be recorded is not gone on with: 11 and a sentence; 4 when there is no place at all."""
    plan = place.plan(drills("test_nothing"))
    code, told = limited(plan.stat().st_size, *place.arguments(plan))
    assert (code, "cannot be recorded any more" in told) == (11, True), told
    assert "Traceback" not in told
    assert place.ends() == []
    code, told = limited(plan.stat().st_size - 1, *place.arguments(plan))
    assert (code, "no game day can be kept in" in told) == (4, True), told
    assert place.folder.is_dir()  # the first one; of the second nothing stays
    assert main(["gameday", str(plan), f"--gamedays={plan}", f"--runs={place.path / 'runs'}"]) == 4
    assert "no game day can be kept there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--board=0.0.0.0:0"], 12, "anybody who reaches 0.0.0.0"),
        (["--board=8080"], 4, "HOST:PORT"),
        (["--board=127.0.0.1:99999"], 4, "HOST:PORT"),
        (["--board=192.0.2.1:8080", "--token-file=TOKEN"], 4, "cannot be bound"),
        (["--token-file=TOKEN"], 4, "--token-file is for the board"),
        (["--board=127.0.0.1:0", "--token-file=/nowhere"], 4, "cannot be read"),
        (["--board=127.0.0.1:0", "--token-file=SHORT"], 4, "at least 16"),
        (["--board=127.0.0.1:0", "--token-file=OPEN"], 12, "chmod 600"),
        (["--role-token=lead=TOKEN"], 4, "--role-token is for the board"),
        (["--board=127.0.0.1:0", "--role-token=boss=TOKEN"], 4, "with a role of the plan: 'lead', 'deputy'"),
        (["--board=127.0.0.1:0", "--role-token=lead"], 4, "ROLE=FILE is needed"),
        (["--board=127.0.0.1:0", "--role-token=lead=OPEN"], 12, "chmod 600"),
        (["--board=127.0.0.1:0", "--role-token=lead=TOKEN", "--role-token=lead=TOKEN"], 4, "stands there twice"),
        (["--board=127.0.0.1:0", "--role-token=lead=TOKEN", "--role-token=deputy=TOKEN"], 4, "needs its own"),
        (["--board=127.0.0.1:0", "--role-token=lead=TOKEN", "--token-file=TOKEN"], 4, "needs its own"),
        (["--production=other"], 4, "no target of this plan"),
        (["--release=a b"], 4, "--release"),
    ],
)
def test_what_is_asked_for_wrongly_is_refused_before_anything_is_made(
    place: Place, words: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence, the right code, no folder."""
    for name, text, mode in (("TOKEN", TOKEN, 0o600), ("SHORT", "short", 0o600), ("OPEN", TOKEN, 0o644)):
        (place.path / name).write_text(text)
        (place.path / name).chmod(mode)
    given = [w.replace("=TOKEN", f"={place.path}/TOKEN") for w in words]
    given = [w.replace("=SHORT", f"={place.path}/SHORT").replace("=OPEN", f"={place.path}/OPEN") for w in given]
    assert place.run(place.plan(drills("test_nothing")), *given) == code
    assert told in capsys.readouterr().err
    assert not (place.path / "days").exists()


def test_a_plan_that_could_not_be_run_is_told_whole(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """What is wrong in the file, with its targets and with its scenarios, at once."""
    odd = drills("test_nothing", "test_no_such", name="odd").replace("core-banking", "retail-store")
    wrong = odd.replace("odd", "wrong").replace("retail-store", "nowhere").replace(QUICK, "../etc/hosts")
    bank = "scenarios/test_core_banking.py::test_service_loss_and_return"
    other = drills("x", name="other").replace(f"{QUICK}::x", bank).replace('"core-banking"', '"retail-store"')
    plan = place.plan(odd, wrong, other, '[[step]]\nkind = "hold"\nid = "h"\n')
    assert place.run("--check", plan) == 4
    told = capsys.readouterr().err
    for words in (
        "step.3.hold.message: Field required",
        "'tests/commands/quick_scenarios.py::test_no_such' is no scenario",
        "step wrong: unknown target",
        "'../etc/hosts::test_nothing' is no node id",
        "drills core-banking, target retail-store is retail-store",
    ):
        assert words in told, words


def test_the_model_plan_could_be_run(capsys: pytest.CaptureFixture[str]) -> None:
    """As it stands in the documentation."""
    assert main(["gameday", "--check", str(ROOT / "docs" / "game-day.toml")]) == 0
    assert "2 drill(s) and 2 hold(s)" in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["--resume", "--report"])
def test_what_is_no_game_day_is_told(place: Place, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty folder, and one whose record is damaged."""
    assert place.run(verb, place.path) == 4
    assert "no game day" in capsys.readouterr().err
    (place.path / PLAN_FILE).write_text(place.plan(drills("test_nothing")).read_text())
    (place.path / LOG_FILE).write_text("nonsense\n")
    assert place.run(verb, place.path) == 11
    assert "line 1" in capsys.readouterr().err


@pytest.fixture(scope="module")
def passed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a drill that passed."""
    return run_folder(tmp_path_factory.mktemp("passed") / "run")


def test_only_a_session_and_its_runs_that_both_passed_are_a_pass(passed: Path, tmp_path: Path) -> None:
    """Neither a good code without a run, nor a good run of a session that ended badly or was not seen to end."""
    assert outcome_of(0, [passed], "").verdict == "PASS"
    assert outcome_of(0, [], "").verdict == "INVALID"
    for code in (-9, 2, 3, 11, None):
        assert outcome_of(code, [passed], "").verdict == "INVALID", code
    assert outcome_of(1, [passed], "").verdict == "FAIL"
    assert [outcome_of(code, [], "").verdict for code in (4, 12)] == ["USAGE", "REFUSED"]
    assert outcome_of(0, [passed, tmp_path / "gone"], "").verdict == "INVALID"


def test_a_plan_that_was_not_carried_through_is_no_pass() -> None:
    """Every drill passed, and the last hold waits: 11. Released: 0."""
    text = f'format = 1\nname = "spring"\nhard_stop.after_s = 60\n{drills("test_nothing")}{HOLD}'
    plan = require_plan("p", read_plan(text.replace('release = ["lead", "deputy"]', "")))
    at, said = (
        SystemClock().wall(),
        {"verdict": "PASS", "exit_code": 0, "reason": "", "finished": True, "stopped": ""},
    )
    records = [
        Record(at, "drill", {"drill": "quick", "attempt": 1, "pid": 1, "html": "x"}),
        Record(at, "ended", {"drill": "quick", "attempt": 1, "runs": [], **said}),
        Record(at, "hold", {"step": "ready"}),
    ]
    assert exit_code(state_of(plan, records)) == 11
    assert exit_code(state_of(plan, [*records, Record(at, "released", {"step": "ready"})])) == 0


def test_what_was_cut_short_is_finished_only_when_it_has_already_shown_the_worst(passed: Path) -> None:
    """A FAIL cannot be resumed away; what proves nothing yet is done again."""
    assert outcome_of(0, [passed], "by SIGINT").finished
    assert not outcome_of(11, [passed], "by SIGINT").finished
    assert not outcome_of(None, [passed], "").finished
    assert outcome_of(1, [], "by SIGINT").finished
    assert outcome_of(11, [], "").finished
