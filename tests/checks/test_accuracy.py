"""What calibration says of the prober, number by number: truth, errors, what is covered, and the summary."""

from __future__ import annotations

import math

import pytest

from checks.accuracy import MARGIN_S, Planted, Result, by_kind, quantile, results, summary, thinned
from checks.estimate import brown_out
from checks.recovery_time import Look
from drill.verdict import Interval


def planted(
    kind: str = "503", onset: tuple[float, float] = (10.0, 10.5), back: tuple[float, float] = (20.0, 20.5)
) -> Planted:
    """An outage whose brackets are half a second wide."""
    return Planted(kind, Interval(*onset), Interval(*back))


def looks(*bad: tuple[float, float], end_s: float = 40.0, every_s: float = 0.125) -> list[Look]:
    """A look each eighth of a second, a sixteenth long, from 0 on; those sent in a bad stretch fail."""
    sends = (n * every_s for n in range(round(end_s / every_s)))
    return [Look(s, s + 0.0625, not any(low_s <= s < high_s for low_s, high_s in bad)) for s in sends]


def test_the_truth_is_read_from_a_victims_record() -> None:
    """Its kind and the brackets of its edges; how long it lasted from middle to middle, and how doubtful that is."""
    truth = Planted.of({"kind": "hang", "onset": [1.0, 1.5], "recovery": [4.0, 5.0], "more": 1})
    assert truth == Planted("hang", Interval(1.0, 1.5), Interval(4.0, 5.0))
    assert (truth.duration_s, truth.doubt_s) == (3.25, 1.5)


# -- one outage


def test_an_outage_that_is_measured_right_is_told_with_the_errors_of_its_estimate() -> None:
    """Onset within [9.875, 10.0625], recovery within [19.875, 20.0625]; estimates in the middle of the answers."""
    (found,) = results(looks((10.0, 20.0)), [planted(onset=(10.0, 10.0), back=(20.0, 20.0))], 0.125)
    assert found == Result("503", True, 0.0, 0.0, 0.0, 0.375)
    (off,) = results(looks((10.0, 20.0)), [planted(onset=(9.9, 10.0), back=(20.0, 20.05))], 0.125)
    assert off.covered and off.width_s == 0.375
    assert (off.onset_error_s, off.recovery_error_s, off.error_s) == pytest.approx((0.05, -0.025, -0.075))


@pytest.mark.parametrize(
    ("onset", "back", "missed"),
    [
        ((9.0, 9.874), (20.0, 20.0), "onset"),
        ((9.0, 9.875), (20.0, 20.0), ""),
        ((10.0625, 11.0), (20.0, 20.0), ""),
        ((10.063, 11.0), (20.0, 20.0), "onset"),
        ((10.0, 10.0), (19.0, 19.874), "recovery"),
        ((10.0, 10.0), (19.0, 19.875), ""),
        ((10.0, 10.0), (20.0625, 21.0), ""),
        ((10.0, 10.0), (20.063, 21.0), "recovery"),
        ((8.0, 8.0), (22.0, 22.0), "onset, recovery, duration"),
        ((10.05, 10.05), (19.88, 19.88), ""),
        ((9.88, 9.88), (20.0625, 20.0625), ""),
    ],
)
def test_an_outage_is_covered_when_both_edges_and_its_duration_are(
    onset: tuple[float, float], back: tuple[float, float], missed: str
) -> None:
    """An instant in common is enough, at the very bounds as well; what is missed is named."""
    (found,) = results(looks((10.0, 20.0)), [planted(onset=onset, back=back)], 0.125)
    assert found.why == (f"{missed} not within the bounds" if missed else "")
    assert found.covered is (not missed)


@pytest.mark.parametrize(
    ("true_s", "doubt_s", "covered"), [(9.8125, 0.0, True), (10.1875, 0.0, True), (9.8, 0.0, False)]
)
def test_a_duration_is_covered_within_its_bounds_and_the_doubt_about_the_truth(
    true_s: float, doubt_s: float, covered: bool
) -> None:
    """Bounds are [9.8125, 10.1875]; edges that are both inside may still be too near each other together."""
    start_s = 10.0625 if true_s < 10 else 9.875
    end_s = start_s + true_s
    (found,) = results(looks((10.0, 20.0)), [planted(onset=(start_s, start_s), back=(end_s, end_s))], 0.125)
    assert ("duration" in found.why) is not covered


def test_what_was_never_seen_to_end_is_covered_without_a_bound() -> None:
    """No estimate, an infinite width, and the edges are held all the same."""
    (found,) = results(looks((10.0, 40.0)), [planted(onset=(10.0, 10.0), back=(20.0, 20.0))], 0.125)
    assert (found.covered, found.error_s, found.onset_error_s, found.recovery_error_s) == (False, None, None, None)
    assert (found.width_s, found.why) == (math.inf, "recovery, duration not within the bounds")
    (held,) = results(looks((10.0, 40.0)), [planted(onset=(10.0, 10.0), back=(41.0, 41.0))], 0.125)
    assert held == Result("503", True, None, None, None, math.inf)


def test_where_nothing_can_be_said_everything_is_covered_and_counted_as_unbounded() -> None:
    """No look at all; no good look before; each with its reason."""
    (blind,) = results([], [planted("hang")], 0.125)
    assert blind == Result("hang", True, None, None, None, math.inf, "the prober was blind")
    (bad,) = results(looks((0.0, 40.0)), [planted("hang")], 0.125)
    assert (bad.kind, bad.covered, bad.error_s, bad.width_s) == ("hang", True, None, math.inf)
    assert bad.why.startswith("no probe succeeded before the end")
    (lucky,) = results(looks(), [planted("brownout")], 0.125)
    assert lucky == Result("brownout", True, None, None, None, math.inf, "no failure was seen")


@pytest.mark.parametrize(
    ("onset", "back", "covered"),
    [
        ((10.0, 10.0), (10.1, 10.1), True),
        ((10.0, 10.0), (10.1875, 10.1875), True),
        ((10.0, 10.0), (10.2, 10.2), False),
    ],
)
def test_an_outage_of_which_nothing_was_seen_is_no_longer_than_the_widest_gap(
    onset: tuple[float, float], back: tuple[float, float], covered: bool
) -> None:
    """Between the send of one good look and the result of the next: 0.1875 s."""
    (found,) = results(looks(), [planted(onset=onset, back=back)], 0.125)
    assert found == Result("503", covered, None, None, None, 0.1875, "nothing was seen")
    (single,) = results([Look(9.0, 9.5, True)], [planted(onset=onset, back=back)], 0.125)
    assert (single.width_s, single.why) == (0.5, "nothing was seen")


def test_a_brown_out_is_compared_by_its_own_bounds_and_point() -> None:
    """Every other look fails from 10 to 20 s."""
    seen = [k if k.sent_s % 0.25 == 0 else Look(k.sent_s, k.done_s, True) for k in looks((10.0, 20.0))]
    own = brown_out(seen, 0.125)
    assert own is not None
    (found,) = results(seen, [planted("brownout", (10.0, 10.0), (20.0, 20.0))], 0.125)
    assert found.covered and found.kind == "brownout"
    assert found.width_s == own.duration.high_s - own.duration.low_s
    assert (found.onset_error_s, found.recovery_error_s) == (own.point[0] - 10.0, own.point[1] - 20.0)


@pytest.mark.parametrize(("interval_s", "pause"), [(0.001, True), (0.125, True), (0.13, True), (0.14, False)])
def test_a_pause_is_one_beyond_a_fifth_of_a_second_and_beyond_two_slots_of_a_slow_prober(
    interval_s: float, pause: bool
) -> None:
    """A quarter of a second without a look, right after the recovery: it may hide that the outage went on."""
    seen = [k for k in looks((10.0, 20.0)) if k.sent_s != 20.125]
    (found,) = results(seen, [planted(onset=(10.0, 10.0), back=(20.0, 20.0))], interval_s)
    assert found.covered and found.width_s == (0.625 if pause else 0.375)


# -- several outages of one victim


def test_each_outage_is_measured_by_the_looks_from_the_one_before_to_the_next() -> None:
    """Both are found whole, each with its own errors."""
    truth = [planted(onset=(10.0, 10.0), back=(20.0, 20.0)), planted("reset", (30.0, 30.0), (35.0, 35.0))]
    found = results(looks((10.0, 20.0), (30.0, 35.0)), truth, 0.125)
    assert found == [Result("503", True, 0.0, 0.0, 0.0, 0.375), Result("reset", True, 0.0, 0.0, 0.0, 0.375)]


def test_looks_close_to_another_outage_belong_to_neither() -> None:
    """Sent before a margin has passed since the one, or within one before the next: exactly at its end they count."""
    truth = [planted(onset=(10.0, 10.0), back=(20.0, 20.0)), planted("reset", (30.0, 30.0), (35.0, 35.0))]
    quiet = [k for k in looks((10.0, 20.0), (30.0, 35.0)) if not 19.0 < k.sent_s < 31.0]
    for at_s, counts in ((20.0 + MARGIN_S, True), (20.0 + MARGIN_S - 1e-9, False)):
        _, second = results(sorted([*quiet, Look(at_s, at_s + 0.01, True)], key=lambda k: k.sent_s), truth, 0.125)
        assert second.why.startswith("no probe succeeded") is not counts
    until = [k for k in looks((10.0, 20.0), (30.0, 35.0)) if not 29.9 < k.sent_s < 31.0]
    for at_s, counts in ((30.0 - MARGIN_S - 1e-9, True), (30.0 - MARGIN_S, False)):
        first, _ = results(sorted([*until, Look(at_s, at_s + 0.01, False)], key=lambda k: k.sent_s), truth, 0.125)
        assert math.isinf(first.width_s) is counts


# -- thinning


def test_thinned_looks_are_the_first_of_each_slot() -> None:
    """Four a second thinned to one: slots begin at the phase; a prober that is no quicker keeps all."""
    many = [Look(n / 4, n / 4 + 0.01, True) for n in range(12)]
    assert [k.sent_s for k in thinned(many, 0.25, 1.0, 0.0)] == [0.0, 1.0, 2.0]
    assert [k.sent_s for k in thinned(many, 0.25, 1.0, 0.5)] == [0.0, 0.5, 1.5, 2.5]
    assert [k.sent_s for k in thinned(many, 0.25, 0.5, 0.25)] == [0.0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75]
    same = thinned(many, 0.25, 0.25, 0.9)
    assert same == many and same is not many
    uneven = [Look(s, s + 0.01, True) for s in (0.0, 0.26, 0.49, 0.76)]
    assert thinned(uneven, 0.25, 0.25, 0.0) == uneven
    assert [k.sent_s for k in thinned(many[3:5], 0.25, 1.0, 0.0)] == [0.75, 1.0]


# -- the summary


def test_a_quantile_is_the_value_that_so_many_do_not_exceed() -> None:
    """By nearest rank; none of none."""
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    ranks = {0.0: 1.0, 0.2: 1.0, 0.21: 2.0, 0.5: 3.0, 0.8: 4.0, 0.95: 5.0, 1.0: 5.0}
    assert {share: quantile(values, share) for share in ranks} == ranks
    assert quantile([], 0.5) is None


def result(error_s: float | None, width_s: float = 1.0, covered: bool = True, kind: str = "503") -> Result:
    """One outage with that error."""
    return Result(kind, covered, error_s, error_s, error_s, width_s)


def test_a_summary_is_told_whole() -> None:
    """Errors by their size, their bias with its sign, widths of the bounded ones, and what has none."""
    found = [result(-0.4), result(0.1, 2.0), result(0.3, 4.0, covered=False), result(None, math.inf)]
    assert summary(found) == {
        "outages": 4,
        "covered": 3,
        "unbounded": 1,
        "without_estimate": 1,
        "bias_s": pytest.approx(0.0),
        "error_s": {"median": 0.3, "p95": 0.4, "worst": 0.4},
        "width_s": {"median": 2.0, "worst": 4.0},
    }
    assert summary([result(n / 100) for n in range(1, 101)])["error_s"] == {"median": 0.5, "p95": 0.95, "worst": 1.0}
    assert summary([result(0.5), result(0.25)])["bias_s"] == 0.375
    assert summary([]) == {
        "outages": 0,
        "covered": 0,
        "unbounded": 0,
        "without_estimate": 0,
        "bias_s": None,
        "error_s": {"median": None, "p95": None, "worst": None},
        "width_s": {"median": None, "worst": None},
    }


def test_kinds_are_summed_apart_in_the_order_of_their_names() -> None:
    """However they are mixed."""
    found = by_kind([result(0.1, kind="reset"), result(0.2, kind="503"), result(0.3, kind="reset")])
    assert list(found) == ["503", "reset"]
    assert [found[kind]["outages"] for kind in found] == [1, 2]
    assert found["reset"] == summary([result(0.1), result(0.3)])
