"""Undo is data: the journal is on disk first, restore compares before it sets, and reads back after."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from drill.aws import Aws, anything
from drill.call import Call
from drill.change import Change, change_from
from drill.clock import FakeClock
from drill.errors import Fenced, Refused, RestoreFailed
from drill.fence import Fence
from drill.journal import Journal, Unreadable, journal_records, last_claim, outstanding, reach_of
from drill.reach import Reach
from drill.restore import put_back
from drill.restorer import Restorer
from drill.target import Resource
from faults.events_rule import SetRuleState
from tests.aws_server import moto_process

REGION = "ap-northeast-3"
RULE = Resource(region=REGION, name="auto-*")


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    """One AWS stand-in for this file."""
    with moto_process() as url:
        yield Aws(url)


@pytest.fixture
def rule(aws: Aws) -> Iterator[str]:
    """A rule that ships disabled."""
    events = aws.client("events", REGION)
    events.put_rule(Name="auto-failover", EventPattern='{"source":["x"]}', State="DISABLED")
    yield "auto-failover"
    events.delete_rule(Name="auto-failover")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """A journal in a run folder."""
    opened = Journal(tmp_path / "journal.jsonl", FakeClock())
    yield opened
    opened.close()


def state_of(aws: Aws, rule: str) -> str:
    """The rule's live state."""
    return str(aws.client("events", REGION).describe_rule(Name=rule)["State"])


def injected(aws: Aws, journal: Journal) -> tuple[int, Change]:
    """The rule enabled through the journal, as a drill does it."""
    change = SetRuleState(RULE, "ENABLED").prepare(aws, "t", "r")
    number = journal.open_change(change)
    journal.record(number, "injecting")
    for call in change.inject:
        aws.run(call)
    journal.record(number, "injected")
    return number, change


def restore(aws: Aws, journal: Journal, number: int, change: Change) -> None:
    """Put back without waiting in real time."""
    put_back(aws, journal, number, change, FakeClock().sleep, timeout_s=6)


def test_preparing_changes_nothing(aws: Aws, rule: str) -> None:
    """A fault looks, and only looks, until it is injected."""
    SetRuleState(RULE, "ENABLED").prepare(aws, "t", "r")
    assert state_of(aws, rule) == "DISABLED"


def test_what_was_broken_is_put_back_and_journaled_so(aws: Aws, rule: str, journal: Journal) -> None:
    """As we broke it -> put back, read back, restored."""
    number, change = injected(aws, journal)
    assert state_of(aws, rule) == "ENABLED"
    restore(aws, journal, number, change)
    assert state_of(aws, rule) == "DISABLED"
    assert journal.outstanding() == []


def test_restoring_twice_is_restoring_once(aws: Aws, rule: str, journal: Journal) -> None:
    """As before -> nothing to do."""
    number, change = injected(aws, journal)
    restore(aws, journal, number, change)
    restore(aws, journal, number, change)
    assert state_of(aws, rule) == "DISABLED"


def test_a_process_that_has_only_the_journal_can_restore(aws: Aws, rule: str, journal: Journal) -> None:
    """The file alone tells what to call; the fault's class is not needed."""
    injected(aws, journal)
    journal.close()
    (entry,) = outstanding(journal.path)
    assert entry.state == "injected"
    again = Journal(journal.path, FakeClock())
    restore(aws, again, entry.number, entry.change)
    assert state_of(aws, rule) == "DISABLED"
    journal._fd = again._fd  # the fixture closes what is open now


def test_a_death_between_journal_and_call_leaves_something_to_look_at(aws: Aws, rule: str, journal: Journal) -> None:
    """injecting without injected is outstanding: nobody knows whether the call was made, so restore looks."""
    change = SetRuleState(RULE, "ENABLED").prepare(aws, "t", "r")
    number = journal.open_change(change)
    journal.record(number, "injecting")
    (entry,) = journal.outstanding()
    restore(aws, journal, entry.number, entry.change)
    assert state_of(aws, rule) == "DISABLED"
    assert journal.outstanding() == []


def test_what_somebody_else_changed_meanwhile_is_left_alone(aws: Aws, journal: Journal) -> None:
    """Neither as we broke it nor as before -> DIRTY, both values shown, and the line to type."""
    ecs = aws.client("ecs", REGION)
    ecs.create_cluster(clusterName="c")
    ecs.register_task_definition(family="f", containerDefinitions=[{"name": "a", "image": "i", "memory": 64}])
    ecs.create_service(cluster="c", serviceName="svc", taskDefinition="f", desiredCount=2)
    from faults.ecs_scale import ScaleEcsService

    resource = Resource(region=REGION, name="svc", within="c")
    change = ScaleEcsService(resource, desired=0).prepare(aws, "t", "r")
    number = journal.open_change(change)
    journal.record(number, "injecting")
    aws.run(change.inject[0])
    ecs.update_service(cluster="c", service="svc", desiredCount=5)
    with pytest.raises(RestoreFailed) as caught:
        restore(aws, journal, number, change)
    message = str(caught.value)
    assert "services[0].desiredCount: 5" in message
    assert "As we broke it: 0" in message
    assert "As before: 2" in message
    assert caught.value.lines[0].startswith("aws ecs update-service --cluster")
    assert ecs.describe_services(cluster="c", services=["svc"])["services"][0]["desiredCount"] == 5
    assert [entry.state for entry in journal.outstanding()] == ["dirty"]


def test_a_change_survives_json(aws: Aws, rule: str) -> None:
    """What is read from the journal is what was written."""
    change = SetRuleState(RULE, "ENABLED").prepare(aws, "t", "r")
    assert change_from(json.loads(json.dumps(change.to_json()))) == change


@pytest.mark.parametrize(("pattern", "found"), [("nothing-*", "no"), ("auto-*", "2")])
def test_no_match_or_two_matches_are_refused(aws: Aws, rule: str, pattern: str, found: str) -> None:
    """Exactly one match, or nothing is touched."""
    events = aws.client("events", REGION)
    events.put_rule(Name="auto-second", EventPattern='{"source":["x"]}', State="DISABLED")
    try:
        with pytest.raises(Refused, match=found):
            SetRuleState(Resource(region=REGION, name=pattern), "ENABLED").prepare(aws, "t", "r")
    finally:
        events.delete_rule(Name="auto-second")
    assert state_of(aws, rule) == "DISABLED"


def test_what_is_so_already_is_not_ours_to_change(aws: Aws, rule: str) -> None:
    """Enabling an enabled rule would put back a state that was never there."""
    aws.client("events", REGION).enable_rule(Name=rule)
    with pytest.raises(Refused, match="is ENABLED already"):
        SetRuleState(RULE, "ENABLED").prepare(aws, "t", "r")


def test_the_last_claimant_alone_may_change_things(aws: Aws, rule: str, journal: Journal) -> None:
    """A restorer raises the epoch first; whoever held the journal before is fenced, and the calls are not made."""
    number, change = injected(aws, journal)
    aws.admit = Fence(journal).admit
    other = Journal(journal.path, FakeClock(), "drill restore")
    assert (journal.epoch, other.epoch) == (1, 2)
    try:
        with pytest.raises(Fenced, match=r"drill restore \(pid \d+ on .*, epoch 2, has taken over"):
            restore(aws, journal, number, change)
        assert state_of(aws, rule) == "ENABLED"
        aws.admit = Fence(other).admit
        restore(aws, other, number, change)
        assert state_of(aws, rule) == "DISABLED"
    finally:
        aws.admit = anything
        other.close()


def test_a_fenced_process_may_still_look(aws: Aws, rule: str, journal: Journal) -> None:
    """Reading harms nobody, and what it sees belongs into its evidence."""
    Journal(journal.path, FakeClock()).close()
    aws.admit = Fence(journal).admit
    try:
        assert SetRuleState(RULE, "ENABLED").prepare(aws, "t", "r").kind == "events.rule"
    finally:
        aws.admit = anything


def test_silence_beyond_the_lease_fences_until_the_next_sign_of_life(aws: Aws, rule: str, journal: Journal) -> None:
    """Somebody may be restoring at that moment, so what was read before the silence must be read again."""
    lived = [100.0]
    fence = Fence(journal, lease_s=60.0, lived=lambda: lived[0])
    change = SetRuleState(RULE, "ENABLED").prepare(aws, "t", "r")
    lived[0] += 59.0
    fence.admit(change.inject[0])
    lived[0] += 61.0
    with pytest.raises(Fenced, match=r"no sign of life for 61\.0 s, longer than its lease"):
        fence.admit(change.inject[0])
    fence.admit(change.before[0].call)
    fence.admit(change.inject[0])


def test_only_the_main_threads_life_counts(journal: Journal) -> None:
    """A helper thread that goes on says nothing about a drill that hangs."""
    lived = [100.0]
    fence = Fence(journal, lease_s=60.0, lived=lambda: lived[0])
    lived[0] += 61.0
    thread = threading.Thread(target=fence.beat)
    thread.start()
    thread.join()
    with pytest.raises(Fenced):
        fence.admit(Call("events", "EnableRule", {"Name": "x"}, REGION))


def test_a_restorer_goes_on_when_the_disk_is_full(
    aws: Aws, rule: str, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is fenced then, and everything is put back all the same; a drill does not begin so."""
    injected(aws, journal)
    monkeypatch.setattr(Journal, "_append", full)
    with pytest.raises(OSError, match="No space left"):
        Journal(journal.path, FakeClock())
    taken = Journal(journal.path, FakeClock(), "drill restore", restoring=True)
    reach = Reach("t", "123456789012", REGION, aws.endpoint_url, 1.0, 6.0)
    restorer = Restorer(taken, reach, FakeClock(), Aws(aws.endpoint_url), settle_wall_s=0.0)
    (outcome,) = restorer.restore()
    assert "the journal could not say so" in str(outcome.problem)
    assert state_of(aws, rule) == "DISABLED"


def full(*_: object) -> None:
    """A disk that takes nothing more."""
    raise OSError(28, "No space left on device")


def test_what_is_broken_once_more_after_it_was_back_is_put_back_again(aws: Aws, rule: str, journal: Journal) -> None:
    """A call that came late, by one that was stopped; what somebody else has changed since stays theirs."""
    injected(aws, journal)
    reach = Reach("t", "123456789012", REGION, aws.endpoint_url, 1.0, 6.0)
    restorer = Restorer(journal, reach, FakeClock(), Aws(aws.endpoint_url), settle_wall_s=0.0)
    restorer.restore()
    assert restorer.look_again() == []
    aws.client("events", REGION).enable_rule(Name=rule)
    (outcome,) = restorer.look_again()
    assert (outcome.late, outcome.problem, state_of(aws, rule)) == (True, None, "DISABLED")
    assert journal.outstanding() == []


def test_the_first_claim_says_how_the_world_is_reached(tmp_path: Path) -> None:
    """The file alone is enough; a key that a newer version has added is passed over."""
    path = tmp_path / "journal.jsonl"
    reach = Reach("t", "123456789012", REGION, "http://127.0.0.1:1", 10.0, 300.0)
    Journal(path, FakeClock(), reach=reach).close()
    path.write_text(path.read_text().replace('"speed"', '"newer": 1, "speed"'))
    Journal(path, FakeClock(), "drill restore").close()
    assert reach_of(path) == reach
    claim = last_claim(path)
    assert claim is not None
    assert (claim.epoch, claim.who, claim.here) == (2, "drill restore", True)


def test_an_older_versions_journal_has_no_claim_and_is_restored_all_the_same(tmp_path: Path) -> None:
    """Its states are read as ever; the first restorer's claim is epoch 1."""
    path = tmp_path / "journal.jsonl"
    path.write_text('{"at_s": 1.0, "wall": "", "number": 1, "state": "intended"}\n')
    assert (last_claim(path), reach_of(path), outstanding(path)) == (None, None, [])
    opened = Journal(path, FakeClock(), "drill restore")
    assert opened.epoch == 1
    opened.close()


def test_two_processes_that_append_at_once_leave_whole_lines(tmp_path: Path) -> None:
    """Every record of both is there, and each claim has an epoch of its own."""
    path = tmp_path / "journal.jsonl"
    journals = [Journal(path, FakeClock(), f"process {n}") for n in range(4)]

    def append(journal: Journal) -> None:
        for _ in range(50):
            journal.claim("again")

    threads = [threading.Thread(target=append, args=(journal,)) for journal in journals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(record["state"] == "claimed" for record in journal_records(path)) == 204
    assert {journal.fenced_by() is None for journal in journals} == {True, False}
    assert sum(journal.fenced_by() is None for journal in journals) == 1
    for journal in journals:
        journal.close()


def test_an_unreadable_journal_line_is_named(tmp_path: Path) -> None:
    """Bad evidence is never skipped in silence; only a torn last line is."""
    path = tmp_path / "journal.jsonl"
    path.write_text('{"number":1,"state":"prepared"}\nrubbish\n{"torn')
    with pytest.raises(ValueError, match=r"journal\.jsonl, line 2"):
        outstanding(path)


def test_a_line_that_a_death_tore_is_passed_over_and_the_journal_goes_on(aws: Aws, rule: str, tmp_path: Path) -> None:
    """The next record says that it was torn: nothing is ever cut from a file that another process may be writing."""
    path = tmp_path / "journal.jsonl"
    first = Journal(path, FakeClock())
    number, change = injected(aws, first)
    first.close()
    with path.open("a") as file:
        file.write('{"at_s": 1.0, "number": 1, "sta')
    again = Journal(path, FakeClock())
    try:
        (entry,) = again.outstanding()
        restore(aws, again, entry.number, entry.change)
        assert again.open_change(change) == number + 1
        assert again.outstanding() == []
    finally:
        again.close()
    assert state_of(aws, rule) == "DISABLED"


@pytest.mark.parametrize(
    "line",
    [
        "rubbish",
        "[1]",
        '{"state": "prepared"}',
        '{"number": "one", "state": "prepared"}',
        '{"number": 1, "state": "injected", "change": 5}',
        '{"number": 1, "state": "injected", "change": {"inject": [{"a": 1}], "restore": []}}',
    ],
)
def test_a_journal_that_says_nothing_is_refused_in_a_sentence(tmp_path: Path, line: str) -> None:
    """Nobody knows what is changed, so neither a drill nor a restore goes on; never a traceback."""
    path = tmp_path / "journal.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(Unreadable, match="journal"):
        outstanding(path)


def test_a_journal_that_cannot_be_read_is_not_claimed(tmp_path: Path) -> None:
    """Nothing is written to it."""
    path = tmp_path / "journal.jsonl"
    path.write_text("rubbish\n")
    with pytest.raises(Unreadable):
        Journal(path, FakeClock())
    assert path.read_text() == "rubbish\n"
    path.write_text("")
    Journal(path, FakeClock()).close()
