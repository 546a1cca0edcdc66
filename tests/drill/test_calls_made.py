"""What was called is on record by AWS's own word: in the journal, the seal, drill.json and the report."""

from __future__ import annotations

import dataclasses
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from checks.judge import judge
from checks.seal import broken_seals, seal_digest
from drill.aws import GLANCE, Aws, AwsFailed
from drill.call import Call
from drill.calls_made import CALLED, calls_made, calls_of, made_of
from drill.clock import FakeClock
from drill.journal import Journal, begun, journal_records, outstanding
from drill.restore import put_back
from drill.target import Resource
from drill.timeline import History
from faults.events_rule import SetRuleState
from reports.calls import calls
from reports.record import record_of, record_text
from reports.run import Run
from tests.aws_server import moto_process
from tests.checks.histories import sealed
from tests.reports.records import whole

REGION = "ap-northeast-3"
RULE = Resource(region=REGION, name="rule")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """An AWS stand-in with a rule that ships disabled."""
    with moto_process() as there:
        Aws(there).client("events", REGION).put_rule(Name="rule", EventPattern='{"source":["x"]}', State="DISABLED")
        yield there


@pytest.fixture
def told(url: str, tmp_path: Path) -> Iterator[tuple[Aws, Journal]]:
    """An executor whose calls a journal hears of."""
    aws, journal = Aws(url), Journal(tmp_path / "journal.jsonl", FakeClock())
    aws.heard.append(journal.called)
    yield aws, journal


def drilled(aws: Aws, journal: Journal) -> None:
    """Break the rule and put it back, by the journal."""
    change = SetRuleState(RULE, "ENABLED").prepare(aws, "t", "r")
    number = journal.open_change(change)
    journal.record(number, "injecting")
    for call in change.inject:
        aws.run(call)
    journal.record(number, "injected")
    put_back(aws, journal, number, change, lambda s: None, 10.0)


def test_each_call_that_changes_something_is_journaled_with_its_request_id(told: tuple[Aws, Journal]) -> None:
    """Beside its Change, with what it was made for; reads are not; how the Change stands is said as before."""
    aws, journal = told
    drilled(aws, journal)
    made = calls_made(journal_records(journal.path))
    assert [(c.purpose, c.number, c.kind, c.made.operation) for c in made] == [
        ("inject", 1, "events.rule", "EnableRule"),
        ("restore", 1, "events.rule", "DisableRule"),
    ]
    assert all(c.made.request_id and c.made.status == 200 and c.made.attempts == 1 for c in made)
    assert len({c.made.request_id for c in made}) == 2
    assert outstanding(journal.path) == []
    assert [e.state for e in begun(journal.path)] == ["restored"]


def test_what_aws_refused_and_what_nobody_answered_is_on_record_too(told: tuple[Aws, Journal]) -> None:
    """With AWS's code; a call that belongs to no Change is one of the harness's own. No parameter is repeated."""
    aws, journal = told
    with pytest.raises(AwsFailed):
        aws.run(Call("events", "EnableRule", {"Name": "no-such-rule"}, REGION))
    gone = Aws("http://127.0.0.1:9", GLANCE)
    gone.heard.append(journal.called)
    with pytest.raises(AwsFailed):
        gone.run(Call("events", "EnableRule", {"Name": "rule"}, REGION))
    silent = socket.create_server(("127.0.0.1", 0))
    with silent:  # takes the connection, and says nothing
        hung = Aws(f"http://127.0.0.1:{silent.getsockname()[1]}", dataclasses.replace(GLANCE, read_s=0.2))
        hung.heard.append(journal.called)
        with pytest.raises(AwsFailed):
            hung.run(Call("events", "EnableRule", {"Name": "rule"}, REGION))
    refused, unanswered, hanging = calls_made(journal_records(journal.path))
    assert (refused.purpose, refused.made.error, refused.made.status) == ("safety", "ResourceNotFoundException", 400)
    assert "request id" in refused.made.said
    assert (unanswered.made.error, unanswered.made.status, unanswered.made.request_id) == ("unanswered", 0, "")
    assert hanging.made == unanswered.made
    assert "no-such-rule" not in journal.path.read_text()


def test_clients_with_other_limits_are_heard_too(told: tuple[Aws, Journal]) -> None:
    """Whoever comes to listen later: renewals of the dead-man are made with limits of their own."""
    aws, journal = told
    quick = aws.with_limits(GLANCE)
    quick.run(Call("events", "DisableRule", {"Name": "rule"}, REGION))
    assert [c.made.operation for c in calls_made(journal_records(journal.path))] == ["DisableRule"]


def test_a_journal_that_is_closed_or_full_hears_nothing_and_stops_nobody(told: tuple[Aws, Journal]) -> None:
    """And it writes into no file that has its number by now."""
    aws, journal = told
    before = journal.path.read_bytes()
    journal.close()
    aws.run(Call("events", "DisableRule", {"Name": "rule"}, REGION))
    assert journal.path.read_bytes() == before


CALL: dict[str, Any] = {"service": "ecs", "operation": "UpdateService", "params": {"n": 0}, "region": REGION}


def record(call: dict[str, Any], request_id: str) -> dict[str, Any]:
    """A call's record as the journal has it."""
    told = {"ResponseMetadata": {"RequestId": request_id, "HTTPStatusCode": 200, "RetryAttempts": 1}}
    made = dataclasses.asdict(made_of(Call(**call), REGION, told))
    return {"number": 0, "state": CALLED, "wall": "2026-01-01T00:00:09+00:00", "call": made}


def change(number: int) -> dict[str, Any]:
    """A prepared Change's record: its calls are those of every other."""
    back = CALL | {"params": {"n": 2}}
    said = {"kind": f"kind-{number}", "resources": ["arn:x"], "inject": [CALL], "restore": [back]}
    return {"number": number, "state": "prepared", "change": said}


def kept(*records: dict[str, Any]) -> History:
    """A drill that passes, with a journal, sealed."""
    return sealed(dataclasses.replace(whole(), journal=tuple(records)))


def test_a_call_that_two_changes_have_is_the_later_ones() -> None:
    """The same service broken twice, one after the other."""
    made = calls_made([change(1), record(CALL, "a"), change(2), record(CALL, "b")])
    assert [(c.number, c.kind, c.made.request_id) for c in made] == [(1, "kind-1", "a"), (2, "kind-2", "b")]


def test_the_record_and_the_report_show_them() -> None:
    """drill.json has every call; the report its request id and its attempts."""
    history = kept(change(1), record(CALL, "f00d-1"))
    judged = judge(history)
    (shown,) = json.loads(record_text(record_of(history, judged, seal_digest(history))))["calls"]
    assert (shown["purpose"], shown["number"], shown["request_id"], shown["attempts"]) == ("inject", 1, "f00d-1", 2)
    text = calls(Run(Path("run"), history, judged, tuple(history.journal or ())))
    assert "f00d-1" in text
    assert "ecs:UpdateService in ap-northeast-3" in text


def test_a_call_that_was_taken_out_or_edited_breaks_the_seal() -> None:
    """What the journal is asked by an auditor must be what the drill wrote."""
    history = kept(change(1), record(CALL, "a"), record(CALL, "b"))
    assert list(broken_seals(history)) == []
    for journal in (
        (change(1), record(CALL, "a")),
        (change(1), record(CALL, "a"), record(CALL, "c")),
        (change(1), record(CALL, "b"), record(CALL, "a")),
        None,
    ):
        (said,) = broken_seals(dataclasses.replace(history, journal=journal))
        assert "the calls in the journal" in said


def test_what_a_restore_calls_after_the_end_is_no_part_of_the_drill() -> None:
    """`drill restore` writes on into the same journal: seal and record stay as they were, the report shows it."""
    history = kept(change(1), record(CALL, "a"))
    later = dataclasses.replace(history, journal=(*(history.journal or ()), record(CALL, "later")))
    assert list(broken_seals(later)) == []
    assert calls_of(later) == calls_of(history)
    assert "later" in calls(Run(Path("run"), later, judge(later), tuple(later.journal or ())))


def test_a_run_of_before_there_were_any_is_whole() -> None:
    """Its seal says nothing of calls, and its journal has none; those of a restore of today are not the drill's."""
    history = kept(change(1))
    seal = history.events[-1]
    old = {key: value for key, value in seal.data.items() if key != "calls"}
    history = dataclasses.replace(history, events=(*history.events[:-1], dataclasses.replace(seal, data=old)))
    assert list(broken_seals(history)) == []
    restored = dataclasses.replace(history, journal=(change(1), record(CALL, "a")))
    assert list(broken_seals(restored)) == []
    assert calls_of(restored) == ()


@pytest.mark.parametrize("call", [None, 7, {}, {"service": "ecs"}])
def test_a_call_that_makes_no_sense_is_named(call: Any) -> None:
    """No traceback: the journal is named."""
    with pytest.raises(ValueError, match=r"journal\.jsonl: a call that makes no sense"):
        calls_made([{"number": 0, "state": CALLED, "wall": "x", "call": call}])
