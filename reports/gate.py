"""The release gate: whether a release has the drills behind it that its policy requires. Pure.

Nothing passes on missing data. A requirement is met only by runs that are there, whole, of this release, of the
right target as it is now, untouched, and fresh; every other run is named with the reason why it does not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from drill.verdict import Verdict
from reports.gate_policy import GatePolicy, Required
from reports.history import Entry
from reports.proof import CONFIDENCE, Drift, drift, reliability, statement
from reports.record import DrillRecord

DAY_S = 86_400.0
CLOCKS_DIFFER_DAYS = 0.01
"""A run may be dated this much after the gate: the clocks of two machines differ."""
PROVEN = (Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE)
"""Verdicts whose intervals are measurements; INVALID ones prove nothing, DIRTY ones disturbed the system."""


@dataclass(frozen=True)
class Expected:
    """What a target is now: its kind ("lab", "aws"), account, and digest."""

    kind: str
    account: str
    digest: str


@dataclass(frozen=True)
class Row:
    """One required drill. reasons: why it is not met, () when it is; counted, passes: runs.

    newest: the newest run that counts, as "verdict, run, date"; proof: what the passes prove; notes: what does not
    count, and why.
    """

    required: Required
    reasons: tuple[str, ...]
    counted: int
    passes: int
    newest: str
    proof: str
    drifts: tuple[Drift, ...] = ()
    notes: tuple[str, ...] = ()
    lab: bool = False


@dataclass(frozen=True)
class GateResult:
    """The gate's answer. blocks: what fails it beside the required drills; cleared: who stood in for which run."""

    release: str
    at: datetime
    rows: tuple[Row, ...]
    blocks: tuple[str, ...] = ()
    cleared: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Only when there is a required drill, every one is met, and nothing blocks."""
        return bool(self.rows) and not self.blocks and not any(row.reasons for row in self.rows)

    @property
    def exit_code(self) -> int:
        """0 or 1."""
        return 0 if self.passed else 1


def gate(
    policy: GatePolicy, release: str, expected: Mapping[str, Expected], entries: Sequence[Entry], now: datetime
) -> GateResult:
    """Judge a release.

    release: its build or commit id, never ""; expected: per target of the policy, what it is now; now: with offset.
    """
    cleared = {c.run for c in policy.cleared}
    blocks = tuple(_blocks(policy, expected, entries, cleared))
    rows = tuple(_row(r, policy, release, expected.get(r.target), entries, now) for r in policy.drill)
    named = tuple(f"run {c.run}: cleared by {c.by}: {c.why}" for c in policy.cleared)
    return GateResult(release, now, rows, (*blocks, *(() if release else ("no release was named",))), named)


def why_not(record: DrillRecord, required: Required, release: str, expected: Expected, now: datetime) -> str:
    """Why a run of the required scenario and target does not count; "" when it does."""
    run, target = record.run, record.target
    age_days = (now - run.created).total_seconds() / DAY_S
    checks = (
        (target.kind != expected.kind, f"a {target.kind.upper()} run counts only for {target.kind}"),
        (target.account != expected.account, f"of account {target.account}, not {expected.account}"),
        (bool(target.overrides), f"overridden: {', '.join(target.overrides)}"),
        (target.digest != expected.digest, f"of target digest {target.digest[:12]}, not {expected.digest[:12]}"),
        (run.release != release, f"of release {run.release or 'unknown'}"),
        (age_days > required.fresh_days, f"{age_days:.1f} days old, {required.fresh_days:g} allowed"),
        (age_days < -CLOCKS_DIFFER_DAYS, f"dated in the future ({run.created.isoformat()})"),
    )
    return "; ".join(words for wrong, words in checks if wrong)


def dirty(entry: Entry) -> bool:
    """Whether something that this run changed is not known to be as it was.

    It is known to be when the journal, read at the import, says that every change is back, and the run has no other
    reason to be DIRTY than a change that was not.
    """
    if entry.left_changed != 0:
        return True
    if entry.record is None or entry.record.verdict is not Verdict.DIRTY:
        return False
    causes = {f.name for f in entry.record.judgement.findings if f.verdict == "DIRTY"}
    return causes != {"clean-up"}


def _blocks(
    policy: GatePolicy, expected: Mapping[str, Expected], entries: Iterable[Entry], cleared: set[str]
) -> Iterator[str]:
    targets = {r.target for r in policy.drill}
    accounts = {e.account for e in expected.values()}
    for entry in entries:
        record = entry.record
        if entry.id in cleared:
            continue
        if record is None:
            yield f"{entry.id}: {entry.problem or 'unreadable'}"
        elif record.target.name in targets or (record.target.kind == "aws" and record.target.account in accounts):
            if entry.problem:
                yield f"run {entry.id} ({record.run.scenario}): not to be believed: {entry.problem}"
            if dirty(entry):
                yield (
                    f"run {entry.id} ({record.run.scenario} on {record.target.name}): something is not known to be "
                    f"as it was; put it back (drill restore {entry.folder}) and import it again, or clear it"
                )


def _row(
    required: Required,
    policy: GatePolicy,
    release: str,
    expected: Expected | None,
    entries: Sequence[Entry],
    now: datetime,
) -> Row:
    if expected is None:
        return Row(required, (f"nobody knows target {required.target}",), 0, 0, "-", statement(0, 0))
    believed = (e.record for e in entries if e.record is not None and not e.problem)
    mine = sorted((r for r in believed if _is_of(r, required)), key=lambda r: (r.created, r.run.id))
    told = [(record, why_not(record, required, release, expected, now)) for record in mine]
    counted = [record for record, why in told if not why]
    drifts = tuple(_drifts(counted, mine, release, expected, policy))
    passes = sum(record.verdict is Verdict.PASS for record in counted)
    tries = sum(record.verdict is not Verdict.INVALID for record in counted)
    reasons = (
        *_pinned(required, expected),
        *_missing(required, counted, [why for _, why in told]),
        *(_reasons(required, counted, passes, tries) if counted else ()),
        *_drifted(drifts, policy),
    )
    newest = _named(counted[-1]) if counted else "-"
    proof, lab = statement(passes, tries), expected.kind == "lab"
    return Row(required, reasons, len(counted), passes, newest, proof, drifts, tuple(_notes(told)), lab)


def _notes(told: Iterable[tuple[DrillRecord, str]]) -> Iterator[str]:
    for record, why in told:
        if why:
            yield f"{record.run.id} does not count: {why}"
        elif record.verdict is Verdict.INVALID:
            yield f"{_named(record)} proves nothing, and is no try"


def _drifted(drifts: Sequence[Drift], policy: GatePolicy) -> Iterator[str]:
    yield from (str(d) for d in drifts if d.worse and policy.drift.fails)
    if policy.drift.required:
        yield from (str(d) for d in drifts if d.p is None)
        if not drifts:
            yield "drift cannot be told: nothing was measured"


def _is_of(record: DrillRecord, required: Required) -> bool:
    return (record.target.name, record.run.scenario) == (required.target, required.scenario)


def _pinned(required: Required, expected: Expected) -> Iterator[str]:
    if required.digest not in (None, expected.digest):
        yield f"the target file's digest is {expected.digest[:12]}, the policy pins {str(required.digest)[:12]}"


def _missing(required: Required, counted: Sequence[DrillRecord], why: Sequence[str]) -> Iterator[str]:
    if counted:
        return
    others = f"; {len(why)} of it do not count, the newest: {why[-1]}" if why else ""
    yield f"no run of {required.scenario} on {required.target} counts{others}"


def _reasons(required: Required, counted: Sequence[DrillRecord], passes: int, tries: int) -> Iterator[str]:
    """counted: oldest first, at least one."""
    newest = counted[-1]
    if newest.verdict is not Verdict.PASS:
        yield f"the newest run that counts is {_named(newest)}"
    failures = [r for r in counted if r.verdict in (Verdict.FAIL, Verdict.DIRTY)]
    if len(failures) > required.failures:
        yield f"{len(failures)} runs failed, {required.failures} allowed: {', '.join(map(_named, failures))}"
    if passes < required.passes:
        yield f"{passes} runs passed, {required.passes} required"
    proven = reliability(passes, tries)
    if proven < required.share:
        yield (
            f"{passes} passes of {tries} prove {proven:.1%} at {CONFIDENCE:.0%} confidence, {required.share:.1%} "
            "required"
        )


def _drifts(
    counted: Sequence[DrillRecord],
    mine: Sequence[DrillRecord],
    release: str,
    expected: Expected,
    policy: GatePolicy,
) -> Iterator[Drift]:
    """Per objective, against untouched runs of other named releases in the same account that began before."""
    if not counted:
        return
    first = counted[0].created
    place = (expected.kind, expected.account)
    earlier = [
        r
        for r in mine
        if r.run.release not in ("", release)
        and (r.target.kind, r.target.account) == place
        and r.created < first
        and not r.target.overrides
    ]
    names = list(dict.fromkeys(f.name for record in counted for f in record.measured))
    for name in names:
        yield drift(name, _intervals(counted, name), _intervals(earlier, name), policy.drift.alpha / len(names))


def _intervals(records: Iterable[DrillRecord], name: str) -> list[tuple[float, float]]:
    """(low, high) of that objective in every run that proves something."""
    return [
        (f.interval.low, f.interval.high)
        for record in records
        if record.verdict in PROVEN
        for f in record.measured
        if f.name == name and f.interval is not None and Verdict(f.verdict) in PROVEN
    ]


def _named(record: DrillRecord) -> str:
    return f"{record.verdict.value} (run {record.run.id}, {record.created.date().isoformat()})"
