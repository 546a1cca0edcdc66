"""A whole drill on a bad day of AWS, from its first mark to its exit code: restored, or DIRTY with its lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands.lab_control import ask
from commands.lab_settings import asked
from commands.main import main
from commands.outstanding import require_nothing_outstanding
from commands.run_folder import Scenario
from commands.running import Run
from commands.world import World
from drill.aws import Aws
from drill.clock import SystemClock
from drill.errors import Refused
from drill.interrupt import Interrupts
from drill.journal import outstanding
from drill.limits import Limits
from drill.timeline import Observation, Outcome, load_history
from drill.verdict import Verdict
from faults.ecs_scale import ScaleEcsService
from faults.events_rule import SetRuleState
from lab.aws.control import PATH
from lab.aws.misbehave import parse
from lab.launch import LabInfo
from tests.checks.cloud import RULE, SERVICES, Cloud, cloud
from tests.checks.worlds import OSAKA, TOKYO
from tests.faults.samples import AUTOMATION, SERVICE

ONCE = Limits(connect_s=1.0, read_s=0.4, attempts=1)
CLOCK = SystemClock(100.0)


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """One account for this file."""
    with cloud(tmp_path_factory.mktemp("cloud")) as made:
        yield made


@pytest.fixture
def made(account: Cloud) -> Iterator[Cloud]:
    """It behaves, and everything in it is as before."""
    yield account
    account.server.behave()
    account.client("events", OSAKA).disable_rule(Name=RULE)
    account.tasks(TOKYO, 0, 1, 1)


def truth(made: Cloud) -> tuple[int, str]:
    """Desired count and rule state, asked past the misbehaviour."""
    found = made.client("ecs", TOKYO).describe_services(cluster=made.clusters[TOKYO], services=[SERVICES[0]])
    return int(found["services"][0]["desiredCount"]), made.client("events", OSAKA).describe_rule(Name=RULE)["State"]


AS_BEFORE = (1, "DISABLED")


def played(made: Cloud, folder: Path, before: tuple[str, ...], inside: tuple[str, ...]) -> Run:
    """A drill that breaks both, with misbehaviour from before the injection, or from inside it on; to its end."""
    world = World(made.target, Aws(made.server.url, ONCE), CLOCK, None)
    run = Run(Scenario("bad-day", "A test.", ("failover",)), world, folder, Interrupts())

    def look() -> None:
        now_s = CLOCK.monotonic_s()
        run.timeline.observations.append(Observation(now_s - 0.01, now_s, "write.settle", "client", Outcome.FAIL))

    run.drill.on_tick = look
    try:
        made.server.misbehave(*map(parse, before))
        with (
            run.drill.applied(SetRuleState(AUTOMATION, "ENABLED")),
            run.drill.window("failover", survivor=OSAKA),
            run.drill.applied(ScaleEcsService(SERVICE, 0)),
        ):
            made.server.misbehave(*map(parse, inside))
    except BaseException as error:  # noqa: BLE001 - as the session does: whatever it is, it is blamed
        run.blame(error)
    run.finish()
    return run


def verdict(run: Run) -> Verdict:
    """What it was judged."""
    assert run.judgement is not None
    return run.judgement.verdict


@pytest.mark.parametrize("rule", ["throttle", "hang", "lose"])
def test_trouble_while_injecting_ends_restored(made: Cloud, tmp_path: Path, rule: str) -> None:
    """INVALID with AWS's own words, whatever was done and whatever was not; nothing is left to type."""
    run = played(made, tmp_path, (f"{rule} ecs:UpdateService count=1",), ())
    assert (truth(made), outstanding(run.folder / "journal.jsonl")) == (AS_BEFORE, [])
    assert verdict(run) is Verdict.INVALID
    reasons = [str(e.data["reason"]) for e in load_history(run.folder).named("invalid")]
    assert any("ecs:UpdateService in ap-northeast-1 failed" in reason for reason in reasons)


@pytest.mark.parametrize("rule", ["expired", "hang"])
def test_trouble_that_does_not_end_is_dirty_until_somebody_restores(
    made: Cloud, tmp_path: Path, rule: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 20, the line of what is still broken; the next drill is refused; `drill restore` puts it back."""
    run = played(made, tmp_path, (), (f"{rule} ecs",))
    assert (verdict(run), verdict(run).exit_code) == (Verdict.DIRTY, 20)
    assert truth(made) == (0, "DISABLED")  # what could be put back was
    assert run.judgement is not None
    said = "\n".join(f.reason for f in run.judgement.findings if f.verdict is Verdict.DIRTY)
    assert "aws ecs update-service --cluster" in said
    assert "--desired-count 1" in said
    with pytest.raises(Refused, match="drill restore"):
        require_nothing_outstanding(tmp_path, run.world)
    made.server.behave()
    assert main(["restore", str(run.folder)]) == 0
    assert (truth(made), outstanding(run.folder / "journal.jsonl")) == (AS_BEFORE, [])
    assert "as before" in capsys.readouterr().out


def test_answers_that_get_lost_while_restoring_leave_nothing(made: Cloud, tmp_path: Path) -> None:
    """Done is done, whoever heard of it."""
    run = played(made, tmp_path, (), ("lose ecs:UpdateService", "lose events:DisableRule"))
    assert (truth(made), outstanding(run.folder / "journal.jsonl")) == (AS_BEFORE, [])
    assert verdict(run) is not Verdict.DIRTY


def test_a_drill_asks_its_lab_at_its_end_what_it_was_told(made: Cloud, tmp_path: Path) -> None:
    """What was told by hand while it ran stands in drill.json as an override; before the end nobody had asked."""
    there, files = ("127.0.0.1", 53), (tmp_path, tmp_path / "truth", tmp_path / "overruns")
    files[2].touch()
    made.server.describes({"system": "core-banking", "speed": CLOCK.speed, "settings": []})
    lab = LabInfo("core-banking", CLOCK.speed, 0.0, 0.0, "1" * 12, made.server.url, there, {}, 80, *files, 1)
    world = World(made.target, Aws(made.server.url, ONCE), CLOCK, lab, None, asked(lab))
    run = Run(Scenario("told", "A test."), world, tmp_path / "runs", Interrupts(), watched=False)
    ask(lab.aws_endpoint + PATH, "POST", {"rules": ["throttle rds count=1"]})
    ask(lab.aws_endpoint + PATH, "DELETE")
    run.finish()
    said = json.loads((run.folder / "drill.json").read_text())["target"]["overrides"]
    assert [words.partition(" (")[0] for words in said] == [
        "--lab-set misbehave=throttle rds:*@* count=1",
        "--lab-set misbehave=behave again",
    ]
    assert "told by hand while the drill ran" in (run.folder / "report.html").read_text()
    assert not [e for e in load_history(run.folder).named("invalid") if "asking the lab" in str(e.data)]
