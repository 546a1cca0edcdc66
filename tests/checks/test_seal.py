"""The seal of a run folder: what it lets pass, and what it notices, one sentence each."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from checks.seal import CALLS, KINDS, SEAL, broken_seals, rows_of, seal_digest, seal_of
from drill.calls_made import CALLED
from drill.timeline import Event, History
from tests.checks.histories import good_failover, sealed

CALL = {"number": 0, "state": CALLED, "wall": "2026-01-01T00:00:00+00:00", "call": {"service": "ecs"}}
NOT_THEIRS = "the calls in the journal are not those of when the drill ended"


def whole() -> History:
    """A sealed drill that has evidence of every kind, at least two of each."""
    story = good_failover(run_id="r1").balance(300, "drill-1", 1000.0).balance(301, "drill-2", 0.0)
    snapshots = ({"when": "before", "x": 1}, {"when": "after", "x": 1})
    return sealed(
        dataclasses.replace(story.unsealed(), snapshots=snapshots, journal=(CALL, CALL | {"wall": "later"}))
    )


def changed(history: History, kind: str, to: Callable[[tuple[Any, ...]], tuple[Any, ...]]) -> History:
    """The same run folder with other records of one kind; its seal stays the last event."""
    records, seal = getattr(history, kind), history.events[-1]
    if kind == "events":
        return dataclasses.replace(history, events=(*to(records[:-1]), seal))
    return dataclasses.replace(history, **{kind: to(records)})


def resealed(history: History, **data: Any) -> History:
    """The same run folder whose seal says something else; None: does not say it."""
    seal = history.events[-1]
    told = {key: value for key, value in (seal.data | data).items() if value is not None}
    return dataclasses.replace(history, events=(*history.events[:-1], Event(seal.at_s, SEAL, told)))


def said(history: History) -> list[str]:
    """What differs."""
    return list(broken_seals(history))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_evidence_is_counted_and_compared(kind: str) -> None:
    """A record less, one more, and one instead of another are noticed and named; their order in a file is nothing."""
    history = whole()
    count = len(getattr(history, kind)) - (kind == "events")
    assert count >= 2 and said(history) == []
    assert said(changed(history, kind, lambda records: records[::-1])) == []
    less = said(changed(history, kind, lambda records: records[1:]))
    assert less == [f"{count - 1} {kind} on record, {count} when the drill ended"]
    more = said(changed(history, kind, lambda records: (*records, records[0])))
    assert more == [f"{count + 1} {kind} on record, {count} when the drill ended"]
    other = said(changed(history, kind, lambda records: (records[1], *records[1:])))
    assert other == [f"the {kind} on record are not those of when the drill ended"]


def test_a_header_that_was_changed_is_noticed_and_one_that_was_written_anew_is_not() -> None:
    """What it says counts, not the order in which it says it."""
    history = whole()
    turned = dict(reversed(history.header.items()))
    assert list(turned) != list(history.header) and said(dataclasses.replace(history, header=turned)) == []
    lenient = history.header | {"objectives": {"rto_s": 9999.0}}
    assert said(dataclasses.replace(history, header=lenient)) == ["run.json is not what it was when the drill ended"]
    assert said(resealed(history, header=None)) == ["run.json is not what it was when the drill ended"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("told", [None, 7, {}, {"digest": "x"}])
def test_a_seal_that_does_not_say_how_many_there_were_fits_nothing(kind: str, told: Any) -> None:
    """One of another shape is no reason for a traceback, nor for trust."""
    count = len(getattr(whole(), kind)) - (kind == "events")
    assert said(resealed(whole(), **{kind: told})) == [f"{count} {kind} on record, None when the drill ended"]


@pytest.mark.parametrize("told", [7, {}, {"count": True}, {"count": "2"}, {"count": None}])
def test_a_seal_that_does_not_say_how_many_calls_there_were_fits_none(told: Any) -> None:
    """Else whoever rewrites it chooses which calls are compared."""
    digest = whole().events[-1].data[CALLS]["digest"]
    assert said(resealed(whole(), calls=told | {"digest": digest} if isinstance(told, dict) else told)) == [
        NOT_THEIRS
    ]


def test_a_seal_of_before_calls_were_kept_says_that_there_were_none() -> None:
    """Then what the journal holds is a restore's of today; but the journal itself must be readable."""
    old = resealed(whole(), calls=None)
    assert said(old) == [] == said(dataclasses.replace(old, journal=()))
    assert said(dataclasses.replace(old, journal=None)) == [NOT_THEIRS]


def test_the_order_of_calls_is_evidence() -> None:
    """What was called first stays first; what a later restore calls comes behind it."""
    first, second = whole().journal or ()
    assert said(dataclasses.replace(whole(), journal=(first, second, CALL))) == []
    for journal in ((second, first), (first,), (), None):
        assert said(dataclasses.replace(whole(), journal=journal)) == [NOT_THEIRS]


def test_a_journal_that_was_written_anew_is_the_same() -> None:
    """What a call says counts, not the order in which it says it; its digest can be made by any other program."""
    history = whole()
    journal = tuple(dict(reversed(call.items())) for call in history.journal or ())
    assert list(journal[0]) != list(CALL) and said(dataclasses.replace(history, journal=journal)) == []
    lines = [json.dumps(call, sort_keys=True) for call in journal]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    assert seal_of(history)[CALLS] == {"count": 2, "digest": digest}


def test_a_record_without_its_end_or_with_two_or_with_more_behind_it_is_named() -> None:
    """Cut off, of two drills, written on: each in one sentence; of the first two nothing more is compared."""
    history = whole()
    seal, rest = history.events[-1], history.events[:-1]
    bare = dataclasses.replace(history, events=rest, writes=())
    assert said(bare) == [
        "the drill did not come to its end: its record is cut off (was it killed? then type: drill restore)"
    ]
    twice = dataclasses.replace(history, events=(*rest, seal, seal), writes=())
    assert said(twice) == ["the record has 2 ends: it is not one drill's"]
    later = dataclasses.replace(history, events=(*rest[:-1], seal, rest[-1]))
    assert said(later) == ["events were recorded after the drill had ended"]


def test_a_seal_can_be_made_of_whatever_a_folder_says() -> None:
    """A header with a date in it, and text that no encoding holds (a lone surrogate of a file's JSON)."""
    header = {"created": datetime(2026, 1, 1, tzinfo=UTC), "words": json.loads('"\\ud800"')}
    odd = sealed(dataclasses.replace(whole(), header=header, balances=({"account": "\ud800"},)))
    assert said(odd) == []
    assert said(dataclasses.replace(odd, header=header | {"created": "another"})) != []
    assert json.loads(json.dumps(seal_of(odd))) == seal_of(odd)


def test_a_seal_is_named_by_what_it_says_of_this_evidence() -> None:
    """The same for the same run, another for any other; nothing for a run that did not come to its end."""
    history = whole()
    name = seal_digest(history)
    assert len(name) == 64 and name == seal_digest(whole())
    data = dict(reversed(history.events[-1].data.items()))
    assert name == seal_digest(dataclasses.replace(history, events=(*history.events[:-1], Event(0.0, SEAL, data))))
    assert seal_digest(sealed(dataclasses.replace(history, writes=history.writes[1:]))) not in ("", name)
    assert seal_digest(dataclasses.replace(history, events=history.events[:-1])) == ""
    written_on = dataclasses.replace(history, events=(*history.events, Event(1e6, SEAL, {"odd": "\ud800"})))
    assert seal_digest(written_on) not in ("", name)
    assert seal_digest(resealed(history, at=datetime(2026, 1, 1, tzinfo=UTC))) not in ("", name)


def test_what_was_read_before_a_clean_up_is_told_without_the_clean_ups_own_pass() -> None:
    """Writes, reads and balances, as the seal tells them; only the reads of that one pass are left out."""
    history = whole()
    rows, seal = rows_of(history, "cleaned"), seal_of(history)
    assert rows == {kind: seal[kind] for kind in ("readbacks", "writes", "balances")}
    passes = [record.pass_ for record in history.readbacks]
    assert set(passes) == {"recovery", "settled"}
    only = [record for record in history.readbacks if record.pass_ == "settled"]
    assert rows_of(history, "recovery") == rows_of(dataclasses.replace(history, readbacks=tuple(only)), "cleaned")
    assert rows_of(history, "recovery")["readbacks"]["count"] == len(only) < len(passes)
