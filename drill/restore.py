"""Putting a Change back: compare, set, read back.

Restore reads first. As we broke it -> put back. As before -> nothing to do. Anything else -> somebody changed it
meanwhile: it is left alone, and the error carries both values and the lines to type.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from drill.aws import Aws, AwsFailed
from drill.call import Reading
from drill.change import Change
from drill.errors import RestoreFailed
from drill.journal import Journal

STEP_S = 2.0


def put_back(
    aws: Aws, journal: Journal, number: int, change: Change, sleep: Callable[[float], None], timeout_s: float
) -> None:
    """Restore `change` (number in `journal`) and verify by reading back.

    sleep takes target seconds; timeout_s: target seconds to wait until everything runs as before.
    RestoreFailed, with the lines to type, when it is not as before afterwards; journaled as dirty. A journal that
    cannot be written (a full disk) never keeps anything from being put back; OSError then, after it was.
    """
    try:
        _compare_and_set(aws, journal, number, change)
        _verify(aws, change, sleep, timeout_s)
    except AwsFailed as error:
        _dirty(journal, number, change, aws, f"could not be put back: {error}")
    except _LeftAlone as left:
        _dirty(journal, number, change, aws, str(left))
    journal.record(number, "restored")


class _LeftAlone(Exception):
    """Somebody changed it, or it did not come back."""


def _compare_and_set(aws: Aws, journal: Journal, number: int, change: Change) -> None:
    before = aws.read(change.before)
    if all(reading.holds for reading in before):
        return
    faulted = aws.read(change.faulted)
    if not _ours(faulted, before):
        raise _LeftAlone(
            "is neither as we broke it nor as before, so it was left alone. Observed: "
            f"{_shown(faulted)}. As we broke it: {_expected(faulted)}. As before: {_expected(before)}"
        )
    with contextlib.suppress(OSError):
        journal.record(number, "restoring")
    for call in change.restore:
        aws.run(call)


def _ours(faulted: list[Reading], before: list[Reading]) -> bool:
    """Whether every value is either what we made it or what it was: an injection that stopped half way is ours."""
    as_before = {(str(r.fact.call), r.fact.path) for r in before if r.holds}
    return all(r.holds or (str(r.fact.call), r.fact.path) in as_before for r in faulted)


def _verify(aws: Aws, change: Change, sleep: Callable[[float], None], timeout_s: float) -> None:
    readings = aws.await_facts(change.before + change.healed, timeout_s, sleep, STEP_S)
    wrong = [reading for reading in readings if not reading.holds]
    if wrong:
        raise _LeftAlone(f"did not come back within {timeout_s:g} s: {_shown(wrong)}, expected {_expected(wrong)}")


def _dirty(journal: Journal, number: int, change: Change, aws: Aws, why: str) -> None:
    lines = tuple(call.cli(aws.endpoint_url) for call in change.restore)
    with contextlib.suppress(OSError):
        journal.record(number, "dirty", reason=why)
    what = f"{change.kind} on {', '.join(change.resources)}"
    raise RestoreFailed(f"{what} {why}. To put it back, type:\n  " + "\n  ".join(lines), lines)


def _shown(readings: list[Reading]) -> str:
    return "; ".join(str(reading) for reading in readings)


def _expected(readings: list[Reading]) -> str:
    return "; ".join(repr(reading.fact.equals) for reading in readings)
