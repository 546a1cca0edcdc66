"""Putting a Change back: compare, set, read back.

Restore reads first. As we broke it -> put back. As before -> nothing to do. Anything else -> somebody changed it
meanwhile: it is left alone, and the error carries both values and the lines to type. What an Action with an Undo has
started is ended in the same way: it runs -> ended; nothing of ours runs -> nothing to do.

AWS's replies may be old for some seconds, and a call whose answer was lost may take effect late. So one look is
enough to put back, which does no harm twice; but neither "as before" nor "somebody else" is believed before every
look of `Change.settle_s` has said the same.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Literal, TypeVar

from drill.aws import Aws, AwsFailed
from drill.call import Reading
from drill.change import Action, Change, Owed
from drill.errors import RestoreFailed
from drill.journal import CONFIRMED, Journal, Unreadable
from drill.undo import end_all

STEP_S = 2.0
LONGEST_PAUSE_S = 30.0
UNANSWERED_TRIES = 2
"""A Region that is silent is not asked for ever: after so many tries, each of botocore's attempts, it is DIRTY."""
IN_THE_WAY = frozenset(
    {"ConflictException", "ResourceConflictException", "ConcurrentModificationException", "OperationAbortedException"}
)
"""AWS's codes for "not now": another update is under way, or (ARC) the wait period of a safety rule is not over."""
T = TypeVar("T")
State = Literal["before", "ours", "foreign"]
Sleep = Callable[[float], None]


def put_back(aws: Aws, journal: Journal, number: int, change: Owed, sleep: Sleep, timeout_s: float) -> None:
    """Restore `change` (number in `journal`) and verify by reading back.

    sleep takes target seconds; timeout_s: target seconds to wait until everything runs as before, and to come again
    while AWS is busy. Bounded in wall time too: a call takes `aws.limits.worst_call_s` at most, and a Region that
    does not answer is tried UNANSWERED_TRIES times.
    RestoreFailed, with the lines to type, when it is not as before afterwards; journaled as dirty. A journal that
    cannot be written (a full disk) never keeps anything from being put back; OSError then, after it was.
    """
    slept = _Slept(sleep)
    try:
        if _set_and_verify(aws, journal, number, change, slept, timeout_s) and not _was_confirmed(journal, number):
            # Nobody saw the injection in force: a call of it that was under way may arrive after the restore.
            _set_and_verify(aws, journal, number, change, slept, timeout_s)
    except AwsFailed as error:
        _dirty(journal, number, change, aws, f"could not be put back: {error}", again=not _final(error))
    except _LeftAlone as left:
        _dirty(journal, number, change, aws, str(left))
    journal.record(number, "restored")


class _LeftAlone(Exception):
    """Somebody changed it, or it did not come back."""


class _Slept:
    """Sleeps, and knows how many target seconds in all: whatever is tried again, the time for it is one."""

    def __init__(self, sleep: Sleep) -> None:
        self.total_s, self._sleep = 0.0, sleep

    def __call__(self, target_s: float) -> None:
        self.total_s += target_s
        self._sleep(target_s)


def _persist(part: Callable[[], T], sleep: _Slept, timeout_s: float) -> T:
    """Do `part` again while AWS is busy or has something in the way, pausing longer each time, for `timeout_s` at
    most. Then AwsFailed."""
    began_s, pause_s, unanswered = sleep.total_s, STEP_S, 0
    while True:
        try:
            return part()
        except AwsFailed as error:
            unanswered += error.cause == "unanswered"
            over = sleep.total_s - began_s + pause_s > timeout_s
            if _final(error) or unanswered >= UNANSWERED_TRIES or over:
                raise
        sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def _final(error: AwsFailed) -> bool:
    """Whether AWS will say so again."""
    return error.cause == "refused" and error.code not in IN_THE_WAY


def _set_and_verify(aws: Aws, journal: Journal, number: int, change: Owed, sleep: _Slept, timeout_s: float) -> bool:
    """Whether anything had to be put back."""
    acted = _persist(lambda: _compare_and_set(aws, journal, number, change, sleep), sleep, timeout_s)
    _persist(lambda: _verify(aws, change, sleep, timeout_s), sleep, timeout_s)
    return acted


def _compare_and_set(aws: Aws, journal: Journal, number: int, change: Owed, sleep: Sleep) -> bool:
    state, before, faulted = _settled(aws, change, sleep)
    if state == "before":
        return False
    if state == "foreign" and isinstance(change, Action):
        raise _LeftAlone(f"is over, and yet {_shown(faulted)}, expected {_expected(faulted)}: left alone")
    if state == "foreign":
        raise _LeftAlone(
            "is neither as we broke it nor as before, so it was left alone. Observed: "
            f"{_shown(faulted)}. As we broke it: {_expected(faulted)}. As before: {_expected(before)}"
        )
    if isinstance(change, Change):
        _note(journal, number)
        for call in change.restore:
            aws.run(call)
    elif change.undo is not None:
        end_all(aws, change.undo, lambda calls: _note(journal, number, kind=change.kind, undo=[*map(asdict, calls)]))
    return True


def _note(journal: Journal, number: int, **data: Any) -> None:
    with contextlib.suppress(OSError):
        journal.record(number, "restoring", **data)


def _settled(aws: Aws, change: Owed, sleep: Sleep) -> tuple[State, list[Reading], list[Reading]]:
    """Ours at the first look that says so; anything else when it was never ours for `settle_s` target seconds."""
    seen = _look(aws, change)
    for _ in range(math.ceil(change.settle_s / STEP_S)):
        if seen[0] == "ours":
            break
        sleep(STEP_S)
        seen = _look(aws, change)
    return seen


def _look(aws: Aws, change: Owed) -> tuple[State, list[Reading], list[Reading]]:
    """One look at both: two, one after the other, could each see another moment and agree with neither."""
    if isinstance(change, Action):
        return _look_at_what_runs(aws, change)
    readings = aws.read(change.before + change.faulted)
    before, faulted = readings[: len(change.before)], readings[len(change.before) :]
    if before and all(reading.holds for reading in before):
        return "before", before, faulted
    return "ours" if _ours(faulted, before) else "foreign", before, faulted


def _look_at_what_runs(aws: Aws, action: Action) -> tuple[State, list[Reading], list[Reading]]:
    """Ours while its own look shows anything of it; what something else shows afterwards is somebody else's doing."""
    over = aws.read(action.back)
    own = [reading for reading in over if action.undo and reading.fact.call == action.undo.running.call]
    wrong = [reading for reading in over if not reading.holds]
    if not all(reading.holds for reading in own):
        return "ours", over, wrong
    return "foreign" if wrong else "before", over, wrong


def _ours(faulted: list[Reading], before: list[Reading]) -> bool:
    """Whether every value is either what we made it or what it was: an injection that stopped half way is ours."""
    as_before = {(str(r.fact.call), r.fact.path) for r in before if r.holds}
    return all(r.holds or (str(r.fact.call), r.fact.path) in as_before for r in faulted)


def _verify(aws: Aws, change: Owed, sleep: Sleep, timeout_s: float) -> None:
    readings = aws.await_facts(change.back, timeout_s, sleep, STEP_S)
    wrong = [reading for reading in readings if not reading.holds]
    if wrong:
        seen = f"{_shown(wrong)}, expected {_expected(wrong)}"
        raise _LeftAlone(f"did not come back within {timeout_s:g} s of the target's time: {seen}")


def _was_confirmed(journal: Journal, number: int) -> bool:
    try:
        return any(journal.was(number, state) for state in CONFIRMED)
    except (OSError, Unreadable):
        return False


def still_ours(aws: Aws, change: Owed) -> bool:
    """Whether one look shows it as we broke it, wholly or half: of who looks again. AwsFailed when unread."""
    return _look(aws, change)[0] == "ours"


def ours_in_the_end(aws: Aws, change: Owed, sleep: Sleep) -> bool:
    """The same of who looks for the last time: "no" is believed only after `settle_s`, as a restore does."""
    return _settled(aws, change, sleep)[0] == "ours"


def _dirty(journal: Journal, number: int, change: Owed, aws: Aws, why: str, again: bool = False) -> None:
    lines = change.lines(aws.endpoint_url)
    with contextlib.suppress(OSError):
        journal.record(number, "dirty", reason=why)
    what = f"{change.kind} on {', '.join(change.resources)}"
    raise RestoreFailed(f"{what} {why}. To put it back, type:\n  " + "\n  ".join(lines), lines, again)


def _shown(readings: list[Reading]) -> str:
    return "; ".join(str(reading) for reading in readings)


def _expected(readings: list[Reading]) -> str:
    return "; ".join(repr(reading.fact.equals) for reading in readings)
