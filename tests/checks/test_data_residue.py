"""What load and probes wrote: left, or cleaned up and read back, judged from hand-written run folders."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from checks.data_residue import BEGUN, ENDED, NOT_BEGUN, TO_TYPE, cleaning_of, data_residue
from checks.kept import evidence_units
from checks.seal import SEAL, rows_of
from drill.cleaning import CLEANED_PASS
from drill.ledger import Result, Write
from drill.timeline import Event, History, Readback
from drill.verdict import Finding, Verdict
from tests.checks.histories import OSAKA, TARGET, TOKYO, TOKYO_PEER

LOAD = {"synthetic_prefix": "drill-", "residue": "left"}
CLEANS = LOAD | {"residue": "cleaned"}


def write(n: int, account: str, result: Result = "acked", writer: str = "load-0") -> Write:
    """A write."""
    return Write(f"{writer}-{n}", "deposit", account, 1.0, 0.0, 1.0, result, f"t{n}", 200, "")


def test_what_was_written_is_listed_by_writer_and_tag() -> None:
    """Accounts, acknowledged and indeterminate writes; a refused write has written nothing."""
    writes = [write(1, "drill-r1-a"), write(2, "drill-r1-a", "indeterminate"), write(3, "drill-r1-b", "refused")]
    found = data_residue([*writes, write(1, "drill-r1-p1", writer="p")], LOAD, "r1")
    assert found.verdict is Verdict.PASS
    assert {k: found.data[k] for k in ("accounts", "acknowledged", "indeterminate", "tag", "policy")} == {
        "accounts": 2,
        "acknowledged": 2,
        "indeterminate": 1,
        "tag": "drill-r1-",
        "policy": "left",
    }
    assert [(row["writer"], row["accounts"]) for row in found.data["rows"]] == [("load-0", 1), ("p", 1)]


@pytest.mark.parametrize("account", ["alice", "drill-r2-a", "drill-"])
def test_a_write_on_anybody_elses_account_is_dirty(account: str) -> None:
    """Not synthetic, or another run's: named, and worse than anything."""
    found = data_residue([write(1, account)], LOAD, "r1")
    assert found.verdict is Verdict.DIRTY
    assert found.data["strays"] == [account]


def test_without_a_synthetic_identity_any_write_is_dirty_and_none_is_fine() -> None:
    """Read-only means that the ledger is empty."""
    assert data_residue([], {}, "r1").verdict is Verdict.PASS
    assert data_residue([write(1, "r1-a")], {}, "r1").verdict is Verdict.DIRTY


def test_a_policy_that_nobody_carries_out_is_not_pass() -> None:
    """A word of another version."""
    assert data_residue([], {**LOAD, "residue": "shredded"}, "r1").verdict is Verdict.INVALID


WRITES = (
    write(1, "drill-r1-a"),
    write(2, "drill-r1-a"),
    write(3, "drill-r1-b", "indeterminate"),
    write(4, "drill-r1-b", "refused"),
)
KEYS = tuple(w.key for w in WRITES)


def read(key: str, state: str = "absent", pass_: str = CLEANED_PASS, **more: Any) -> Readback:
    """A look; of the pass after cleaning, unless told otherwise."""
    window = "" if pass_ == CLEANED_PASS else "failover"
    return Readback(2.0, window, pass_, key, state, **more)


def cleaned(
    *readbacks: Readback,
    found: int = 2,
    load: dict[str, Any] = CLEANS,
    told: tuple[Readback, ...] = (),
    **ended: Any,
) -> History:
    """A run that cleaned up. readbacks: after it, told: before it; ended: of its last mark."""
    history = History(header={"target": {"load": load}, "run_id": "r1"}, writes=WRITES, readbacks=told)
    begun = Event(1.0, BEGUN, {"rows": rows_of(history, CLEANED_PASS)})
    over = Event(3.0, ENDED, {"found": found, "why": "", "replica": {"there": 0, "unknown": 0}} | ended)
    return dataclasses.replace(history, readbacks=(*told, *readbacks), events=(begun, over, Event(4.0, SEAL)))


def judged(history: History) -> Finding:
    """The finding of that run."""
    return data_residue(history.writes, history.header["target"]["load"], "r1", cleaning_of(history))


def test_what_is_read_back_as_gone_is_cleaned() -> None:
    """Refused writes too, which may be there all the same; each writer's count, and what was there before."""
    found = judged(cleaned(*map(read, KEYS)))
    assert found.verdict is Verdict.PASS, found.reason
    before = "2 acknowledged ones were there before"
    assert f"cleaned 4 of 4, read back: gone; {before}; gone at the replica too" in found.reason
    (row,) = found.data["rows"]
    assert {name: row[name] for name in ("cleaned", "kept", "left")} == {"cleaned": 3, "kept": 0, "left": 0}


@pytest.mark.parametrize("last", [(), (read(KEYS[3], "settled"),), (read(KEYS[3], "unknown"),)])
def test_what_is_not_seen_gone_is_dirty_with_the_line_to_type(last: tuple[Readback, ...]) -> None:
    """There still, not told, or never looked for; with what the system said."""
    found = judged(cleaned(*map(read, KEYS[:3]), *last, why="409: permission denied"))
    assert found.verdict is Verdict.DIRTY
    assert [record["id"] for record in found.data["left"]] == ["t4"]
    assert "1 of 4 records" in found.reason
    assert "permission denied" in found.reason
    assert found.data["lines"] == [TO_TYPE]
    assert found.reason.endswith(TO_TYPE)


def test_a_drill_that_never_cleaned_is_dirty() -> None:
    """Killed before; or it would not, because something else is not back."""
    killed = dataclasses.replace(cleaned(), events=())
    assert judged(killed).verdict is Verdict.DIRTY
    assert "nobody has deleted any" in judged(killed).reason
    would_not = dataclasses.replace(
        killed, events=(Event(1.0, NOT_BEGUN, {"why": "not as it was"}), Event(4.0, SEAL))
    )
    assert judged(would_not).verdict is Verdict.DIRTY
    assert "not as it was" in judged(would_not).reason


def test_a_killed_drills_data_may_be_cleaned_later_and_nobody_elses_word_counts() -> None:
    """By the journal of a run without an end; one that came to its end has said itself how it ended."""
    said = tuple({"number": 0, "state": state} for state in ("writing", "cleaning", "cleaned"))
    killed = dataclasses.replace(cleaned(), events=(), journal=said)
    assert judged(killed).verdict is Verdict.PASS
    assert judged(dataclasses.replace(killed, journal=said[:2])).verdict is Verdict.DIRTY
    assert judged(dataclasses.replace(killed, events=(Event(4.0, SEAL),))).verdict is Verdict.DIRTY


def test_nothing_that_was_never_there_is_cleaned() -> None:
    """Looked for in the wrong place, every record is gone before it is deleted: that proves nothing."""
    found = judged(cleaned(*map(read, KEYS), found=0))
    assert found.verdict is Verdict.INVALID
    assert "proves nothing" in found.reason


def test_records_are_not_deleted_before_what_is_known_of_them_is_on_record() -> None:
    """A read-back that was added later, or a ledger that grew."""
    history = cleaned(*map(read, KEYS))
    later = dataclasses.replace(history, readbacks=(*history.readbacks, read(KEYS[0], "settled", "settled")))
    assert judged(later).verdict is Verdict.INVALID
    grown = dataclasses.replace(history, writes=(*WRITES[:3], dataclasses.replace(WRITES[3], status=503)))
    assert judged(grown).verdict is Verdict.INVALID


def test_what_the_read_back_contradicts_is_kept_and_the_rest_is_cleaned() -> None:
    """A lost write's record may be the only one there is: it is named, and nobody misses it among what is gone."""
    told = (
        read(KEYS[0], "settled", "recovery"),
        read(KEYS[1], "absent", "recovery"),
        read(KEYS[1], "absent", "settled"),
    )
    history = cleaned(*(read(key) for key in KEYS if key != KEYS[1]), told=told, found=1)
    found = judged(history)
    assert found.verdict is Verdict.PASS, found.reason
    assert found.data["kept"] == [{"key": KEYS[1], "id": "t2", "store": "main", "why": "lost"}]
    assert "cleaned 3 of 3" in found.reason
    assert "1 more are kept as evidence" in found.reason


def test_a_record_that_another_region_accepted_is_evidence() -> None:
    """By the target's own ranges of addresses."""
    took = dataclasses.replace(WRITES[0], peer=TOKYO_PEER)
    for region, why in ((TOKYO, []), (OSAKA, ["accepted by both Regions"])):
        look = read(KEYS[0], "settled", "settled", region=region)
        history = History(header={"target": TARGET}, writes=(took,), readbacks=(look,))
        assert list(evidence_units(history).values()) == why


@pytest.mark.parametrize(
    ("looks", "why"),
    [
        ((read(KEYS[0], "settled", "recovery"),), None),
        ((read(KEYS[0], "refused", "recovery"),), None),
        ((read(KEYS[0], "absent", "recovery"), read(KEYS[0], "settled", "settled")), None),
        ((read(KEYS[0], "absent", "recovery"), read(KEYS[0], "pending", "settled")), "lost"),
        ((read(KEYS[0], "absent", "recovery"),), "not told"),
        ((read(KEYS[0], "unknown", "settled"),), "not told"),
        ((read(KEYS[0], "settled", "settled", copies=2),), "shown several times"),
        ((read(KEYS[2], "settled", "settled"),), None),
        ((read(KEYS[3], "settled", "settled"),), "done although refused"),
        ((), None),
    ],
)
def test_evidence_is_what_contradicts_what_a_client_was_told(looks: tuple[Readback, ...], why: str | None) -> None:
    """Late, compensated, and of unknown outcome are in order; what nobody ever asked about contradicts nothing."""
    history = History(header={}, writes=WRITES, readbacks=looks)
    assert list(evidence_units(history).values()) == ([why] if why else [])


def test_marks_that_make_no_sense_cost_this_finding_and_nothing_else() -> None:
    """No exception; and what they would have shown is not believed."""
    history = cleaned(*map(read, KEYS))
    broken = dataclasses.replace(history, events=(Event(1.0, BEGUN, {}), Event(3.0, ENDED, {"found": "two"})))
    assert judged(broken).verdict is Verdict.DIRTY
