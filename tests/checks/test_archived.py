"""Where lost writes are: only in the archive, with another Region's consumers, nowhere, or nobody knows."""

from __future__ import annotations

import dataclasses

import pytest

from checks.archived import ARCHIVE_PASS, ELSEWHERE_PASS, LOOKED, Archived, archived_of
from checks.judge import judge
from checks.windows import Window
from drill.timeline import Readback
from drill.verdict import Finding, Verdict
from drill.write_path import ARCHIVE
from tests.checks.histories import OSAKA, Story, good_failover

LOST = ("u1-7", "u1-8", "u1-9")
NAME = "recovery point, failover"
WINDOW = Window("failover", OSAKA, 0.0, 100.0, "recovered", 100.0)


def story(looked: bool = True, **looks: tuple[str, str]) -> Story:
    """Three writes acknowledged before the onset and absent in the end; looks: what its archive, and Tokyo, say."""
    told = good_failover()
    for key in LOST:
        told.write(key, 3.0, 3.5)
    told.read(291, dict.fromkeys(LOST, "absent"), "recovery").read(600, dict.fromkeys(LOST, "absent"))
    if looked:
        told.mark(605, LOOKED, window="failover", region=OSAKA)
    for key, (kept, there) in zip(LOST, looks.values(), strict=False):
        told.readbacks.append(Readback(told.at(606), "failover", ARCHIVE_PASS, key, kept, ARCHIVE))
        told.readbacks.append(Readback(told.at(607), "failover", ELSEWHERE_PASS, key, there))
    return told


def finding(told: Story) -> Finding:
    """The recovery point, which fails in each of these."""
    (found,) = [f for f in judge(told.history()).findings if f.name == NAME]
    assert found.verdict is Verdict.FAIL
    assert found.data["counts"]["lost"] == len(LOST)
    return found


@pytest.mark.parametrize(
    ("kept", "there", "place"),
    [
        ("settled", "absent", "only"),
        ("settled", "settled", "elsewhere"),
        ("absent", "refused", "elsewhere"),
        ("absent", "absent", "nowhere"),
        ("settled", "unknown", "unknown"),
        ("settled", "pending", "unknown"),
        ("unknown", "absent", "unknown"),
        ("pending", "absent", "unknown"),
    ],
)
def test_each_is_somewhere_or_nobody_knows(kept: str, there: str, place: str) -> None:
    """A consumer that could not be asked may have it: then it is not only archived. They stay lost, all of them."""
    found = finding(story(one=(kept, there), two=(kept, there), three=("absent", "absent")))
    expected = {"only": 0, "elsewhere": 0, "nowhere": 1, "unknown": 0}
    expected[place] += 2
    assert found.data["archived"] == expected
    assert found.data["counts"]["archived only"] == expected["only"]
    assert f"{expected['only']} archived only (a replay hands them over)" in found.reason


def test_what_was_not_asked_for_is_unknown() -> None:
    """A look that was cut short."""
    assert finding(story()).data["archived"] == {"only": 0, "elsewhere": 0, "nowhere": 0, "unknown": 3}


def test_without_a_look_there_is_no_number() -> None:
    """Missing data is never zero."""
    found = finding(story(looked=False))
    assert "archived only" not in found.data["counts"]
    assert "archived" not in found.data


def test_a_look_is_not_taken_for_one_at_the_survivor() -> None:
    """What the archive or Tokyo's consumers hold has not arrived, and is in no read-back of the survivor's either."""
    with_looks = finding(story(one=("settled", "settled"), two=("settled", "settled"), three=("settled", "settled")))
    assert with_looks.interval == finding(story(looked=False)).interval


def test_a_look_at_what_nobody_wrote_is_noticed() -> None:
    """The ledger is whole, or nothing is proven."""
    told = good_failover()
    told.mark(605, LOOKED, window="failover", region=OSAKA)
    told.readbacks.append(Readback(told.at(606), "failover", ARCHIVE_PASS, "u9-1", "settled", ARCHIVE))
    (found,) = [f for f in judge(told.history()).findings if f.name == NAME]
    assert (found.verdict, "the ledger does not hold 1 writes" in found.reason) == (Verdict.INVALID, True)


def looked_into(*looks: tuple[str, str, str], window: str = "failover") -> Archived | None:
    """Where one lost write is; looks: pass, window and state of each."""
    history = Story().mark(1, LOOKED, window=window).history()
    reads = tuple(Readback(5.0, of, pass_, "u1-7", state, ARCHIVE) for pass_, of, state in looks)
    return archived_of(dataclasses.replace(history, readbacks=reads), WINDOW, ["u1-7"])


@pytest.mark.parametrize(
    ("kept", "there", "place"),
    [
        (("settled", "absent"), ("absent",), "unknown"),
        (("settled",), ("absent", "unknown"), "unknown"),
        (("settled",), ("absent", "settled"), "elsewhere"),
        (("settled",), (), "unknown"),
        ((), ("absent",), "unknown"),
        ((), ("refused",), "elsewhere"),
    ],
)
def test_answers_that_differ_are_not_made_up(kept: tuple[str, ...], there: tuple[str, ...], place: str) -> None:
    """Two archives of two words, a Region that one could not ask: unknown, unless one of them has handled it."""
    looks = [(ARCHIVE_PASS, "failover", state) for state in kept]
    looks += [(ELSEWHERE_PASS, "failover", state) for state in there]
    assert looked_into(*looks) == Archived(**{place: 1})


def test_a_look_of_another_window_is_none_of_this_ones() -> None:
    """Neither the mark of it nor its answers."""
    there = (ELSEWHERE_PASS, "failover", "absent")
    assert looked_into((ARCHIVE_PASS, "failover", "settled"), there) == Archived(only=1)
    assert looked_into((ARCHIVE_PASS, "failback", "settled"), there) == Archived(unknown=1)
    assert looked_into((ARCHIVE_PASS, "failover", "settled"), there, window="failback") is None


def test_the_places_are_told_in_words_and_numbers() -> None:
    """For people, and for programs."""
    found = Archived(only=1, elsewhere=2, nowhere=3, unknown=4)
    assert found.row() == {"only": 1, "elsewhere": 2, "nowhere": 3, "unknown": 4}
    assert str(found) == (
        "1 archived only (a replay hands them over), 2 handled in another Region only, 3 nowhere, 4 unknown"
    )
