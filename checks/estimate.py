"""The point estimate of an outage's edges, for accuracy; verdicts use the bounds, never this.

The service was last seen up when its last good answer came, and first seen down when its first bad answer came; of
a look that nobody answered only the send is known to be about that instant. So, with the contact of a look = its
result, or its send when no answer came:

    onset     the middle of the last good result before it and the first bad contact
    recovery  the middle of the last bad contact and the first good result after it

with one exception. When requests that had been waiting are answered after all, the service was paused and its queue
survived: the pause ended when the first of them was answered.

In a brown-out (each request fails with some probability) the edges hide behind luck: before the first failure there
were, on average, (1 - f) / f requests that the brown-out let pass, f being the share that failed. The estimate moves
the edges out by that many looks, and the bounds by so many that the odds of more are one in a million.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from checks.recovery_time import Look, RecoveryTime
from drill.verdict import Interval

WAITED_S = 0.02
"""An answer that took longer than this, and ten times the usual, had been waiting."""
LUCK = 1e-6


def edges(looks: Sequence[Look], found: RecoveryTime) -> tuple[float, float] | None:
    """(onset, recovery) in monotonic wall seconds; None unless both are bounded.

    looks: by send time; found: what `measure` says of them.
    """
    if found.onset is None or found.recovery is None or math.isinf(found.recovery.high_s):
        return None
    bads = [k for k in looks if not k.good and k.done_s >= found.onset.high_s and k.sent_s <= found.recovery.low_s]
    goods = [k for k in looks if k.good]
    before = [k for k in goods if k.done_s < found.onset.high_s]
    after = [k for k in goods if k.sent_s >= found.recovery.low_s]
    if not (bads and before and after):
        return None
    usual_s = statistics.median(k.done_s - k.sent_s for k in before)
    late = [k for k in goods if k.done_s - k.sent_s > max(WAITED_S, 10 * usual_s)]
    return _onset(bads, before, found.onset), _recovery(bads, after, late, found.recovery)


def _contact_s(bad: Look) -> float:
    return bad.sent_s if bad.silent else bad.done_s


def _onset(bads: Sequence[Look], before: Sequence[Look], bounds: Interval) -> float:
    first_bad_s = min(map(_contact_s, bads))
    # An answer that came after the first unanswered send shows that the service was up until then.
    last_good_s = max(k.done_s for k in before)
    return _within((last_good_s + max(first_bad_s, last_good_s)) / 2, bounds)


def _recovery(bads: Sequence[Look], after: Sequence[Look], late: Sequence[Look], bounds: Interval) -> float:
    """late: good looks that had been waiting."""
    last_bad = max(bads, key=_contact_s)
    last_bad_s = _contact_s(last_bad)
    answered_s = [k.done_s for k in late if last_bad_s <= k.done_s <= bounds.high_s + WAITED_S]
    if last_bad.silent and answered_s:
        return _within(min(answered_s), bounds)
    first_s = min(k.done_s for k in after)
    return _within((min(last_bad_s, first_s) + first_s) / 2, bounds)


def _within(at_s: float, bounds: Interval) -> float:
    return min(max(at_s, bounds.low_s), bounds.high_s)


@dataclass(frozen=True)
class BrownOut:
    """A stretch in which a share of the looks failed, monotonic wall seconds.

    onset, recovery: bounds with odds of one in a million to be wrong; point: the estimate (onset, recovery);
    failed: the share of looks between the first and the last failure that failed.
    """

    onset: Interval
    recovery: Interval
    point: tuple[float, float]
    failed: float

    @property
    def duration(self) -> Interval:
        """Wall seconds."""
        return self.recovery.minus(self.onset)


def brown_out(looks: Sequence[Look], interval_s: float) -> BrownOut | None:
    """The brown-out around all failures of `looks` (by send time); None without a failure.

    interval_s: between two looks. Each look is taken to fail by itself; failures that come in runs (flapping) are
    better described by `measure`.
    """
    numbers = [n for n, k in enumerate(looks) if not k.good]
    if not numbers:
        return None
    first, last = numbers[0], numbers[-1]
    among = last - first + 1
    failed = len(numbers) / among
    lucky = _lucky_run(len(numbers), among)
    early, late = max(0, first - 1 - lucky), last + 1 + lucky
    onset = Interval(min(looks[early].sent_s, looks[first].done_s), looks[first].done_s)
    end_s = looks[late].done_s if late < len(looks) else math.inf
    recovery = Interval(looks[last].sent_s, max(looks[last].sent_s, end_s))
    hidden_s = (1 / failed - 0.5) * interval_s
    point = _contact_s(looks[first]) - hidden_s, _contact_s(looks[last]) + hidden_s
    return BrownOut(onset, recovery, (_within(point[0], onset), _within(point[1], recovery)), failed)


def _lucky_run(failed: int, among: int) -> int:
    """How many looks in a row may pass by luck: more has odds below LUCK, by the least share that fits the count."""
    return math.ceil(math.log(LUCK) / math.log1p(-_least_share(failed, among)))


def _least_share(failed: int, among: int) -> float:
    """Wilson's lower bound of a share, at 4.75 standard deviations (one in a million); below 1 even if all failed."""
    z, share = 4.75, failed / among
    centre = share + z * z / (2 * among)
    spread = z * math.sqrt(share * (1 - share) / among + z * z / (4 * among * among))
    return max(1e-3, (centre - spread) / (1 + z * z / among))
