"""The exit code of a whole session of drills."""

from __future__ import annotations

from collections.abc import Iterable

from drill.verdict import Verdict, worst


def session_exit_code(verdicts: Iterable[Verdict | None], refusals: Iterable[int], status: int) -> int:
    """The exit code of a session of drills: DIRTY, FAIL, refused or usage, INVALID, INCONCLUSIVE, PASS.

    verdicts: of every drill, None for one that was never judged; refusals: the codes of what was refused (12, 4);
    status: pytest's own. Only drills that all passed, in a session that pytest itself calls good, are 0: a session
    that was interrupted, or failed beside its drills, has not proven what it set out to prove.
    """
    found = worst(verdict or Verdict.INVALID for verdict in verdicts)
    codes = list(refusals)
    if codes and found.rank < Verdict.FAIL.rank:
        return max(codes)
    if found is Verdict.PASS and status:
        return Verdict.INVALID.exit_code
    return found.exit_code
