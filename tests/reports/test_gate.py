"""The gate: no way from missing, old, foreign, changed or broken evidence to a pass."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from drill.verdict import Verdict
from reports.gate import Expected, GateResult, gate
from reports.gate_policy import Cleared, DriftRule, GatePolicy, Required
from reports.gate_text import gate_json, gate_markdown, gate_text
from reports.history import Entry
from reports.record import DrillRecord
from tests.reports.records import SCENARIO, record

BASE = record()
NOW = datetime(2026, 6, 1, tzinfo=UTC)
RELEASE, TARGET, OTHER = "4f2c1ab", "core-banking", "other"
EXPECTED = {TARGET: Expected("aws", "222222222222", "d" * 64)}
ids = itertools.count()


def drilled(
    *,
    verdict: str = "PASS",
    age_days: float = 1.0,
    release: str = RELEASE,
    scenario: str = SCENARIO,
    cause: str = "clean-up",
    low_s: float | None = None,
    **target: Any,
) -> DrillRecord:
    """A drill of the expected target, unless told otherwise. cause: the finding that has the verdict."""
    first = BASE.judgement.findings[0]
    worst = first.model_copy(update={"name": cause, "verdict": verdict, "limit_s": None})
    findings = [*BASE.judgement.findings, *([worst] if verdict != "PASS" else [])]
    if low_s is not None:
        assert first.interval is not None
        interval = first.interval.model_copy(update={"low_s": low_s, "high_s": low_s + 5})
        findings[0] = first.model_copy(update={"interval": interval})
    judged = BASE.judgement.model_copy(
        update={"verdict": verdict, "exit_code": Verdict(verdict).exit_code, "findings": findings}
    )
    of = {
        "id": f"run{next(ids)}",
        "created": NOW - timedelta(days=age_days),
        "release": release,
        "scenario": scenario,
    }
    there = {"kind": "aws", "account": "222222222222", "digest": "d" * 64, "overrides": []} | target
    return DrillRecord.model_validate(
        BASE.model_copy(
            update={
                "run": BASE.run.model_copy(update=of),
                "target": BASE.target.model_copy(update=there),
                "judgement": judged,
            }
        ).model_dump()
    )


def entry(one: DrillRecord | None = None, problem: str = "", left: int | None = 0, **changes: Any) -> Entry:
    """The history's entry of such a drill."""
    found = one or drilled(**changes)
    return Entry(found.run.id, found.run.id, found, problem, left)


UNREADABLE = Entry("rubbish", "rubbish", None, "cannot be read: not JSON", None)


def policy(drift: DriftRule | None = None, cleared: tuple[Cleared, ...] = (), **required: Any) -> GatePolicy:
    """One required drill."""
    need = Required(**({"scenario": SCENARIO, "target": TARGET, "fresh_days": 30.0} | required))
    return GatePolicy(format=1, drill=(need,), drift=drift or DriftRule(), cleared=cleared)


def judged(entries: list[Entry], of: GatePolicy | None = None, release: str = RELEASE) -> GateResult:
    """The gate's answer now."""
    return gate(of or policy(), release, EXPECTED, entries, NOW)


def test_one_fresh_pass_of_this_release_is_enough_by_default() -> None:
    """And the answer says what that proves, which is little."""
    result = judged([entry()])
    assert (result.passed, result.exit_code) == (True, 0)
    assert "at least 5 % of such drills" in result.rows[0].proof


NOT_COUNTED: dict[str, tuple[dict[str, Any], str]] = {
    "old": ({"age_days": 30.1}, "30.1 days old, 30 allowed"),
    "of tomorrow": ({"age_days": -1.0}, "dated in the future"),
    "of another release": ({"release": "older"}, "of release older"),
    "of no release": ({"release": ""}, "of release unknown"),
    "in the lab": ({"kind": "lab"}, "a LAB run counts only for lab"),
    "in another account": ({"account": "333333333333"}, "of account 333333333333"),
    "of a target since changed": ({"digest": "e" * 64}, "of target digest eeeeeeeeeeee"),
    "with an objective overridden": ({"overrides": ["objectives.rto_s=9999"]}, "overridden: objectives.rto_s=9999"),
    "in a lab set otherwise": ({"overrides": ["--lab-set x=1"]}, "overridden: --lab-set x=1"),
    "of another scenario": ({"scenario": "another"}, "no run of service-loss-and-return on core-banking counts"),
    "of another target": ({"name": "another"}, "no run of service-loss-and-return on core-banking counts"),
}


@pytest.mark.parametrize("name", sorted(NOT_COUNTED))
def test_a_run_that_does_not_count_fails_the_gate_and_says_why(name: str) -> None:
    """It passed, and is not what is asked for."""
    changes, words = NOT_COUNTED[name]
    result = judged([entry(**changes)])
    assert not result.passed
    assert words in " ".join([*result.rows[0].reasons, *result.rows[0].notes])


BLOCKING: dict[str, tuple[Entry, str]] = {
    "unreadable": (UNREADABLE, "rubbish: cannot be read"),
    "tampered with": (entry(problem="verdict.json differs"), "not to be believed: verdict.json differs"),
    "tampered with, of another release": (entry(problem="x", release="older"), "not to be believed"),
    "dirty": (entry(verdict="DIRTY", cause="residue", release="older", age_days=300.0), "not known to be as it was"),
    "dirty elsewhere in the account": (entry(left=1, name="another"), "not known to be as it was"),
    "with an outstanding journal": (entry(left=2, age_days=300.0), "not known to be as it was"),
    "with an unreadable journal": (entry(left=None), "not known to be as it was"),
}


@pytest.mark.parametrize("name", sorted(BLOCKING))
def test_one_run_blocks_the_gate_whatever_else_passed(name: str) -> None:
    """Until a person clears it by name, which the answer then says."""
    bad, words = BLOCKING[name]
    entries = [entry(), bad]
    result = judged(entries)
    assert not result.passed
    assert words in " ".join(result.blocks)
    named = Cleared(run=bad.id, by="A. Person", why="looked at it")
    cleared = judged(entries, policy(cleared=(named,)))
    assert cleared.passed
    assert f"run {bad.id}: cleared by A. Person: looked at it" in gate_text(cleared)


def test_dirt_that_the_journal_says_is_back_no_longer_blocks() -> None:
    """`drill restore` was typed and the run imported again; the drill itself is still no pass."""
    put_back = entry(verdict="DIRTY", release="older")
    assert judged([put_back, entry()]).passed
    assert not judged([entry(verdict="DIRTY")]).passed


@pytest.mark.parametrize("verdict", ["FAIL", "INCONCLUSIVE", "INVALID", "DIRTY"])
def test_the_newest_run_decides(verdict: str) -> None:
    """A pass before it does not help, in whatever order the history lists them."""
    good, bad = entry(age_days=2), entry(verdict=verdict, age_days=1)
    for order in ([good, bad], [bad, good]):
        result = judged(order, policy(failures=9))
        assert not result.passed
        assert f"the newest run that counts is {verdict}" in " ".join(result.rows[0].reasons)


def test_a_failure_is_not_washed_away_by_trying_again() -> None:
    """Unless the policy allows that many; and then the proof counts it."""
    tries = [entry(verdict="FAIL", age_days=3), entry(age_days=2), entry(age_days=1)]
    assert "1 runs failed, 0 allowed" in " ".join(judged(tries).rows[0].reasons)
    allowed = judged(tries, policy(failures=1))
    assert allowed.passed
    assert allowed.rows[0].proof.startswith("2 of 3 passed")


def test_an_inconclusive_run_is_a_try_and_an_invalid_one_is_none() -> None:
    """The first could have been a miss; the second proves nothing, and is told."""
    row = judged([entry(verdict="INCONCLUSIVE", age_days=3), entry(verdict="INVALID", age_days=2), entry()]).rows[0]
    assert row.proof.startswith("1 of 2 passed")
    assert any("INVALID" in note and "no try" in note for note in row.notes)


def test_more_passes_and_more_proof_can_be_required() -> None:
    """Three passes prove 36.8 %, not 90 %."""
    three = [entry(age_days=n) for n in range(1, 4)]
    assert judged(three, policy(passes=3, share=0.36)).passed
    assert "3 runs passed, 4 required" in " ".join(judged(three, policy(passes=4)).rows[0].reasons)
    assert "prove 36.8%" in " ".join(judged(three, policy(share=0.9)).rows[0].reasons)


def test_a_release_that_became_slower_fails() -> None:
    """Six runs at 100 s before, three at 300 s now: within the objective, and worse."""
    before = [entry(release="older", age_days=20 - n, low_s=100.0 + n) for n in range(6)]
    now = [entry(age_days=3 - n, low_s=300.0 + n) for n in range(3)]
    result = judged([*before, *now])
    assert "recovery time, failover: 3 runs against 6" in " ".join(result.rows[0].reasons)
    assert judged([*before, *now], policy(DriftRule(fails=False))).passed
    unnamed = [entry(release="", age_days=20 - n, low_s=100.0 + n) for n in range(6)]
    assert judged([*unnamed, *now]).passed  # nobody knows what those were


def test_drift_that_cannot_be_told_fails_only_if_it_is_required() -> None:
    """A first release has nothing to be compared with."""
    assert judged([entry()]).passed
    result = judged([entry()], policy(DriftRule(required=True)))
    assert "too few to tell" in " ".join(result.rows[0].reasons)


def test_a_pinned_digest_holds_the_target_file_too() -> None:
    """Somebody loosened the objectives in the target file and drilled again."""
    assert judged([entry()], policy(digest="d" * 64)).passed
    assert "the policy pins eeeeeeeeeeee" in " ".join(judged([entry()], policy(digest="e" * 64)).rows[0].reasons)


def test_nothing_at_all_fails() -> None:
    """No runs, no release, a target that nobody knows."""
    assert not judged([]).passed
    assert not judged([entry(release="")], release="").passed
    assert not gate(policy(), RELEASE, {}, [entry()], NOW).passed


entries_ = st.lists(
    st.builds(
        lambda nth, found: found if nth else UNREADABLE,
        st.integers(0, 11),
        st.builds(
            entry,
            problem=st.sampled_from([*([""] * 9), "changed"]),
            left=st.sampled_from([*([0] * 18), 1, None]),
            verdict=st.sampled_from([*(["PASS"] * 8), "FAIL", "INCONCLUSIVE", "INVALID", "DIRTY"]),
            age_days=st.sampled_from([1.0, 2.0, 29.0, 31.0, -2.0]),
            release=st.sampled_from([RELEASE, RELEASE, RELEASE, "older", ""]),
            scenario=st.sampled_from([SCENARIO, SCENARIO, "another"]),
            kind=st.sampled_from(["aws", "aws", "lab"]),
            account=st.sampled_from(["222222222222", "222222222222", "333333333333"]),
            digest=st.sampled_from(["d" * 64, "d" * 64, "e" * 64]),
            overrides=st.sampled_from([[], [], ["objectives.rto_s=1"]]),
        ),
    ),
    max_size=4,
).flatmap(lambda found: st.sampled_from([found, [*found, entry(age_days=0.5)]]))


def good(one: Entry) -> bool:
    """A run that meets the requirement by itself, said anew."""
    r = one.record
    return (
        r is not None
        and (one.problem, one.left_changed, r.judgement.verdict) == ("", 0, "PASS")
        and (r.run.release, r.run.scenario) == (RELEASE, SCENARIO)
        and (r.target.name, r.target.kind, r.target.account) == (TARGET, "aws", "222222222222")
        and (r.target.digest, r.target.overrides) == ("d" * 64, [])
        and timedelta() <= NOW - r.run.created <= timedelta(days=30)
    )


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(entries_)
def test_a_gate_that_passes_has_a_good_run_and_no_unreadable_one(entries: list[Entry]) -> None:
    """Whatever the history holds; without its good runs the same history fails, and one bad run more fails it."""
    result = judged(entries)
    event("passed" if result.passed else "failed")
    if not result.passed:
        return
    assert any(good(e) for e in entries)
    assert UNREADABLE not in entries
    assert not any(e.problem or e.left_changed != 0 for e in entries if e.record and e.record.target.name == TARGET)
    assert not judged([e for e in entries if not good(e)]).passed
    assert not judged([*entries, UNREADABLE]).passed
    assert not judged([*entries, entry(verdict="FAIL")]).passed
    assert not judged([*entries, entry(left=1)]).passed


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(entries_, st.randoms())
def test_the_order_of_the_history_does_not_matter(entries: list[Entry], chance: Any) -> None:
    """Dates decide, not rows."""
    mixed = list(entries)
    chance.shuffle(mixed)
    assert judged(mixed).passed == judged(entries).passed


def test_the_answer_is_told_three_ways() -> None:
    """Text, strict JSON and Markdown say the same; the lab says so."""
    result = gate(policy(), RELEASE, {TARGET: Expected("lab", "222222222222", "d" * 64)}, [entry(kind="lab")], NOW)
    assert result.passed
    said = json.loads(gate_json(result), parse_constant=pytest.fail)
    assert (said["gate"], said["drills"][0]["lab"], said["drills"][0]["met"]) == ("PASS", True, True)
    assert "core-banking (LAB)" in gate_text(result)
    assert "this proves the harness" in gate_text(result)
    assert gate_markdown(result).startswith("### ✅ DR gate PASS for release 4f2c1ab\n")
    failed = judged([])
    assert "❌ DR gate FAIL" in gate_markdown(failed)
    assert json.loads(gate_json(failed))["exit_code"] == 1
    assert gate_text(failed).endswith("FAIL: release 4f2c1ab: 1 reason(s) above.")
