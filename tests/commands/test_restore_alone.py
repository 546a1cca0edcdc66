"""`drill restore`: drill and watchdog are dead; a person types one line, here or where the journal was copied to."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from commands.main import main
from commands.tormenting import GONE, Victim
from drill.child import process_state
from drill.journal import begun, last_claim, outstanding
from drill.timeline import load_history
from tests.commands.bank import CLUSTER, LIMIT_S, SERVICE, Bank, await_stop, bank, eventually
from tests.e2e.drilling import verb

Kill = Callable[[str], Victim]


@pytest.fixture(scope="module")
def world() -> Iterator[Bank]:
    """One stand-in for this file."""
    with bank() as made:
        yield made


@pytest.fixture
def stop(world: Bank, tmp_path: Path) -> Iterator[Kill]:
    """Start a victim that stops itself there, with its watchdog dead; it is gone at the end."""
    victims: list[Victim] = []

    def stopped(where: str) -> Victim:
        victim = world.victim(tmp_path / "run", where)
        victims.append(victim)
        victim.begin()
        await_stop(victim)
        assert victim.watchdog is not None
        os.kill(victim.watchdog, signal.SIGKILL)
        return victim

    yield stopped
    for victim in victims:
        victim.close()


def killed(victim: Victim) -> Path:
    """End it too; its journal."""
    victim.send(signal.SIGKILL)
    victim.process.wait(LIMIT_S)
    return victim.journal


@pytest.mark.parametrize("where", ["before:1", "after:2", "record:injected:2", "record:restoring:1"])
def test_all_is_put_back_from_the_journal_alone(world: Bank, stop: Kill, tmp_path: Path, where: str) -> None:
    """A copy of the file, elsewhere, with nothing beside it: a dry run touches nothing, a second restore nothing."""
    path = tmp_path / "elsewhere" / "copied.jsonl"
    path.parent.mkdir()
    shutil.copy(killed(stop(where)), path)
    was, text = world.wrong, path.read_text()
    assert main(["restore", str(path), "--dry-run"]) == 0
    assert (world.wrong, path.read_text()) == (was, text)
    assert main(["restore", str(path)]) == 0
    assert world.wrong == ""
    assert outstanding(path) == []
    text = path.read_text()
    assert main(["restore", str(path)]) == 0
    assert path.read_text() == text


def test_a_dry_run_prints_the_lines_to_type(world: Bank, stop: Kill, capsys: pytest.CaptureFixture[str]) -> None:
    """Newest first, with the endpoint; then the folder is enough."""
    path = killed(stop("record:injected:2"))
    main(["restore", str(path.parent), "--dry-run"])
    lines = [line.split()[:3] for line in capsys.readouterr().out.splitlines() if line.startswith("aws")]
    assert lines == [["aws", "ecs", "update-service"]] * 2 + [["aws", "events", "enable-rule"]]
    assert main(["restore", str(path.parent)]) == 0
    assert world.wrong == ""


def test_a_stopped_drill_blocks_nobody_and_is_fenced(
    world: Bank, stop: Kill, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is stopped with the journal open and half of its calls sent; awake, it changes nothing."""
    victim = stop("after:2")
    assert main(["restore", str(victim.folder)]) == 0
    assert "the drill (pid" in capsys.readouterr().out
    assert world.wrong == ""
    victim.send(signal.SIGCONT)
    assert victim.process.wait(LIMIT_S) == 11
    reasons = [str(e.data["reason"]) for e in load_history(victim.folder).named("invalid")]
    assert any("drill restore" in reason and "has taken over" in reason for reason in reasons)
    assert world.wrong == ""
    assert outstanding(victim.journal) == []


def test_a_call_that_the_woken_drill_had_been_admitted_to_is_put_back_by_its_own_sweep(
    world: Bank, stop: Kill
) -> None:
    """Nobody lingers after `drill restore`; the drill finds out at its next call, and undoes the late one."""
    victim = stop("before:2")
    assert verb("restore", str(victim.folder))[0] == 0  # in a process of its own, so that it is gone afterwards
    victim.send(signal.SIGCONT)
    assert victim.process.wait(LIMIT_S) == 11
    assert world.wrong == ""
    assert outstanding(victim.journal) == []
    claim = last_claim(victim.journal)
    assert claim is not None
    assert claim.who == "the sweep of the drill"


def test_what_somebody_else_changed_is_left_alone_with_the_lines_to_type(
    world: Bank, stop: Kill, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 20, both values, the line; what was left alone can be put back once it is ours again."""
    path = killed(stop("record:injected:2"))
    world.disturb(5)
    assert main(["restore", str(path)]) == 20
    said = capsys.readouterr().err
    assert "desiredCount: 5" in said
    assert f"aws ecs update-service --cluster arn:aws:ecs:ap-northeast-1:111111111111:cluster/{CLUSTER}" in said
    assert [entry.state for entry in outstanding(path)] == ["dirty"]
    world.disturb(0)
    assert main(["restore", str(path)]) == 0
    assert world.wrong == ""


def test_another_accounts_credentials_are_refused(world: Bank, stop: Kill, tmp_path: Path) -> None:
    """Nothing is touched, not even the journal."""
    path = killed(stop("record:injected:2"))
    other = tmp_path / "other.jsonl"
    other.write_text(path.read_text().replace('"account": "111111111111"', '"account": "999999999999"'))
    text = other.read_text()
    assert main(["restore", str(other)]) == 12
    assert (other.read_text(), bool(world.wrong)) == (text, True)
    assert main(["restore", str(path)]) == 0
    assert world.wrong == ""


def test_an_aws_that_does_not_answer_leaves_the_lines_to_type(
    world: Bank, stop: Kill, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 20: it is not back, and this is how."""
    path = killed(stop("record:injected:1"))
    silent = tmp_path / "silent.jsonl"
    silent.write_text(path.read_text().replace(world.gate.url, "http://127.0.0.1:9"))
    assert main(["restore", str(silent)]) == 20
    assert "aws events enable-rule --name drill-torture" in capsys.readouterr().err
    assert main(["restore", str(path)]) == 0


def test_an_older_journal_is_restored_with_the_header_beside_it(world: Bank, stop: Kill, tmp_path: Path) -> None:
    """Without either, a sentence says what to put there."""
    path = killed(stop("record:injected:2"))
    records = [json.loads(line) for line in path.read_text().splitlines()]
    old = tmp_path / "old" / "journal.jsonl"
    old.parent.mkdir()
    old.write_text("".join(json.dumps(r) + "\n" for r in records if r["number"]))
    assert main(["restore", str(old)]) == 4
    shutil.copy(path.parent / "run.json", old.parent)
    assert main(["restore", str(old)]) == 0
    assert world.wrong == ""


def test_two_restorers_at_once_are_both_safe(world: Bank, stop: Kill) -> None:
    """The later claim goes through, the other one stops or finds all done; nothing is done twice or left."""
    path = killed(stop("record:injected:2"))
    codes: list[int] = []
    threads = [threading.Thread(target=lambda: codes.append(main(["restore", str(path)]))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    assert 0 in codes
    assert set(codes) <= {0, 11}
    assert world.wrong == ""
    assert {entry.state for entry in begun(path)} == {"restored"}
    ecs = world.aws.client("ecs", world.target.regions.primary)
    service = ecs.describe_services(cluster=CLUSTER, services=[SERVICE])["services"][0]
    assert service["desiredCount"] == 1


@pytest.mark.parametrize("name", ["nothing-here", "."])
def test_what_is_no_journal_is_a_usage_error(tmp_path: Path, name: str) -> None:
    """Exit 4."""
    assert main(["restore", str(tmp_path / name)]) == 4


def test_a_watchdog_that_was_killed_is_gone(stop: Kill) -> None:
    """What this file takes for granted."""
    victim = stop("record:injected:1")
    eventually(lambda: process_state(victim.watchdog or 0) in GONE, "the watchdog was gone")
    assert main(["restore", str(victim.folder)]) == 0
