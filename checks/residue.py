"""What a drill left behind: the two snapshots compared; the writes are in checks/data_residue.py.

Pure: the same run folder gives the same findings. Each difference between the snapshots is one of three:

- as declared: it ends where the scenario said that the system itself would take it. Listed, and fine.
- on a resource and setting that a Change of the journal touched: DIRTY. A Change promises "as before", and it is not,
  whatever the journal says of its read-back; the finding carries the lines to type.
- anything else: INVALID. It is not DIRTY, because no Change of ours promised that setting back and there is no line
  that would surely be right to type; it is not FAIL, because no objective of the system is missed by it. But it is
  never PASS: either somebody changed the system while it was measured, and then the measurement is of two systems, or
  the system moved and did not end where the scenario declared, and then the scenario's claim is wrong.

What could not be read, before or after, is unknown and INVALID: nobody has seen that it is as before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from checks.data_residue import Cleaning, data_residue
from drill.call import Call
from drill.end_state import EndState, declared
from drill.ledger import Write
from drill.verdict import Finding, Verdict

NAME = "residue"
MOST_NAMED = 3
ABSENT = "(absent)"
"""Stands for a setting that one of the snapshots does not have."""
TOUCHING = ("before", "faulted", "effective", "healed")
NONSENSE = (TypeError, ValueError, KeyError, AttributeError, LookupError)
"""What reading a record of a wrong shape raises."""
UNTOUCHED = ("prepared", "armed")
"""Journal states of a Change that was never begun: it can have touched nothing."""

IDENTITIES = (
    ("Name", "Type", "SetIdentifier"),
    ("Name", "Type"),
    *(
        (key,)
        for key in (
            "DBClusterArn", "DBClusterIdentifier", "GlobalClusterIdentifier", "TargetGroupArn", "targetGroupArn",
            "RuleArn", "ControlPanelArn", "AlarmArn", "AlarmName", "serviceArn", "IndexName", "RegionName",
            "PolicyARN", "ResourceId", "AttributeName", "Region", "Id", "Key", "key", "Name", "Value",
        )
    ),
)  # fmt: skip
"""What tells the members of a list apart, first that fits: AWS promises no order, so position says nothing."""


@dataclass(frozen=True)
class Difference:
    """One setting that is not as before.

    path: "key/operation/setting/...", key being the target's name of the resource; before, after: JSON values,
    ABSENT where there is none.
    """

    path: str
    before: Any
    after: Any

    @property
    def key(self) -> str:
        """The target's name of the resource."""
        return self.path.partition("/")[0]

    @property
    def setting(self) -> str:
        """The path below the key, as end states name it."""
        return self.path.partition("/")[2]

    def row(self, why: str) -> dict[str, str]:
        """For tables."""
        return {"setting": self.path, "before": _worded(self.before), "after": _worded(self.after), "why": why}

    def __str__(self) -> str:
        return f"{self.path}: {_worded(self.before)} -> {_worded(self.after)}"


def _worded(value: Any) -> str:
    return (value if value == ABSENT else json.dumps(value, sort_keys=True))[:500]


def diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Every setting that differs between two snapshots, by path. What either could not read is not compared."""
    keys = sorted(before["resources"].keys() & after["resources"].keys())
    return tuple(d for key in keys for d in _differences(key, before["resources"][key], after["resources"][key]))


def _differences(key: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    old, new = (dict(_settings(key, {"arn": r["arn"], **r["reads"]})) for r in (before, after))
    for path in sorted(old.keys() | new.keys()):
        was, now = old.get(path, ABSENT), new.get(path, ABSENT)
        # bool is an int in Python: true and 1 are different settings all the same.
        if (was, type(was)) != (now, type(now)):
            yield Difference(path, was, now)


def _settings(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """(path, value) of every leaf; an empty container is a leaf, a list is told apart by its members' identities."""
    if isinstance(value, Mapping) and value:
        for name in value:
            yield from _settings(f"{path}/{name}", value[name])
    elif isinstance(value, list) and value:
        for name, item in _members(value):
            yield from _settings(f"{path}/{name}", item)
    else:
        yield path, value


def _members(items: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """The members of a list under names that do not depend on their order."""
    if all(not isinstance(item, Mapping | list) for item in items):
        yield from ((str(n), item) for n, item in enumerate(sorted(items, key=repr)))
        return
    identity = next((keys for keys in IDENTITIES if _tell_apart(keys, items)), None)
    for number, item in enumerate(items):
        yield (str(number) if identity is None else " ".join(str(item[k]) for k in identity if k in item)), item


def _tell_apart(keys: tuple[str, ...], items: Sequence[Any]) -> bool:
    named = [tuple(item[k] for k in keys if k in item) for item in items if isinstance(item, Mapping)]
    plain = all(isinstance(part, str | int) for name in named for part in name)
    whole = all(isinstance(item, Mapping) and keys[0] in item for item in items)
    return whole and plain and len(set(named)) == len(items)


@dataclass(frozen=True)
class Touch:
    """What one Change of the journal may have changed. fields: names of settings; lines: to type to put it back."""

    kind: str
    resources: frozenset[str]
    operations: frozenset[str]
    fields: frozenset[str]
    lines: tuple[str, ...]

    def covers(self, arn: str, difference: Difference) -> bool:
        """Whether that difference lies on a resource and setting of this Change."""
        operation = difference.setting.partition("/")[0].partition(" ")[0]
        names = set(difference.setting.split("/"))
        return arn in self.resources and operation in self.operations and bool(names & self.fields)


def touches(journal: Sequence[Mapping[str, Any]], endpoint_url: str | None = None) -> tuple[Touch, ...]:
    """What each Change that was begun touched, by the facts that it recorded about itself.

    journal: the records of journal.jsonl; endpoint_url: for the lines to type. A record of another shape raises
    KeyError or TypeError.
    """
    states: dict[Any, set[str]] = {}
    for record in journal:
        states.setdefault(record["number"], set()).add(record["state"])
    begun = (r for r in journal if "change" in r and states[r["number"]] - set(UNTOUCHED))
    return tuple(_touch(record["change"], endpoint_url) for record in begun)


def _touch(change: Mapping[str, Any], endpoint_url: str | None) -> Touch:
    facts = [fact for name in TOUCHING for fact in change.get(name, ())]
    return Touch(
        change["kind"],
        frozenset(change["resources"]),
        frozenset(fact["call"]["operation"] for fact in facts),
        # The last name of a path like services[0].desiredCount; the names before it say where it stands.
        frozenset(re.findall(r"[A-Za-z_]\w*", fact["path"])[-1] for fact in facts),
        tuple(Call(**call).cli(endpoint_url) for call in change["restore"]),
    )


def left_behind(
    header: Mapping[str, Any],
    snapshots: Iterable[Mapping[str, Any]],
    journal: Sequence[Mapping[str, Any]] | None,
    marks: Iterable[Mapping[str, Any]],
    writes: Sequence[Write],
    cleaning: Cleaning | None = None,
) -> Iterator[Finding]:
    """All findings of this file, from what a run folder holds.

    header: of run.json; snapshots: those that were taken; journal: its records, None when it cannot be read; marks:
    the data of the DECLARED marks; writes: the ledger; cleaning: what was cleaned up. A run whose header does not
    announce the audit (key "residue_audit") was made before there was one, and gets none. Never raises for what the
    evidence says: records of another shape cost the audit, and no other finding.
    """
    if not header.get("residue_audit"):
        return
    target = header.get("target") or {}
    try:
        yield from _configuration(target, snapshots, journal, marks)
    except NONSENSE as error:
        why = f"the evidence makes no sense ({type(error).__name__}: {error})"
        yield Finding(NAME, Verdict.INVALID, f"nobody knows what was left behind: {why}")
    yield data_residue(writes, target.get("load") or {}, str(header.get("run_id", "")), cleaning)


def _configuration(
    target: Mapping[str, Any],
    snapshots: Iterable[Mapping[str, Any]],
    journal: Sequence[Mapping[str, Any]] | None,
    marks: Iterable[Mapping[str, Any]],
) -> list[Finding]:
    endpoint_url = (target.get("connection") or {}).get("aws_endpoint")
    taken = {snapshot["when"]: snapshot for snapshot in snapshots}
    before, after = taken.get("before"), taken.get("after")
    unread = [Finding(NAME, Verdict.INVALID, "the journal cannot be read: nobody knows what the drill changed")]
    found = residue_findings(before, after, journal or (), declared(marks), endpoint_url)
    return found if journal is not None else [*unread, *(f for f in found if f.verdict is not Verdict.PASS)]


def residue_findings(
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    journal: Sequence[Mapping[str, Any]],
    expected: Sequence[EndState] = (),
    endpoint_url: str | None = None,
) -> list[Finding]:
    """The findings about the configuration: one that is not PASS per reason, or one PASS.

    before, after: the snapshots, None where there is none; journal: the records of journal.jsonl; expected: what the
    scenario declared; endpoint_url: of the lines to type. Records of another shape raise KeyError or TypeError.
    """
    if before is None or after is None:
        missing = " and ".join(w for w, s in (("before", before), ("after", after)) if s is None)
        why = f"there is no snapshot from {missing} the drill, so nobody knows what it left behind"
        return [Finding(NAME, Verdict.INVALID, why)]
    found = diff(before, after)
    as_declared = [d for d in found if any(e.matches(d.key, d.setting) and _same(e.value, d.after) for e in expected)]
    rest = [d for d in found if d not in as_declared]
    arns = {key: resource["arn"] for key, resource in after["resources"].items()}
    owned = [(t, [d for d in rest if t.covers(arns[d.key], d)]) for t in touches(journal, endpoint_url)]
    others = [d for d in rest if not any(d in mine for _, mine in owned)]
    findings = [_dirty(touch, mine) for touch, mine in owned if mine]
    findings += [_undeclared(others, expected)] if others else []
    findings += [_unknown(u)] if (u := unread(before, after)) else []
    return findings or [_clean(before, as_declared)]


def _same(one: Any, other: Any) -> bool:
    return bool(one == other and type(one) is type(other))


def unread(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, str]:
    """What was not read in both snapshots, with the reason, by key."""
    known = before["resources"].keys() & after["resources"].keys()
    named = (
        before["resources"].keys() | after["resources"].keys() | before["unknown"].keys() | after["unknown"].keys()
    )
    return {
        key: "; ".join(
            f"{when}: {snapshot['unknown'].get(key, 'not in the snapshot')}"
            for when, snapshot in (("before", before), ("after", after))
            if key not in snapshot["resources"]
        )
        for key in sorted(named - known)
    }


def _dirty(touch: Touch, differences: Sequence[Difference]) -> Finding:
    lines = list(touch.lines)
    reason = f"{touch.kind} is not back as before: {_listed(differences)}. To put it back, type:"
    rows = [d.row(f"changed by {touch.kind}") for d in differences]
    advice = "\n".join(lines)
    return Finding(
        NAME, Verdict.DIRTY, "\n  ".join([reason, *lines]), advice=advice, data={"lines": lines, "rows": rows}
    )


def _undeclared(differences: Sequence[Difference], expected: Sequence[EndState]) -> Finding:
    def why(difference: Difference) -> str:
        meant = [e for e in expected if e.matches(difference.key, difference.setting)]
        return f"declared to end as {_worded(meant[0].value)}" if meant else "declared by nobody"

    reason = (
        f"{len(differences)} settings are not as before, and not as the scenario declared: {_listed(differences)}"
    )
    advice = "look who changed them; what the system moves itself is declared with drill.declare_end_state()"
    return Finding(NAME, Verdict.INVALID, reason, advice=advice, data={"rows": [d.row(why(d)) for d in differences]})


def _listed(differences: Sequence[Difference]) -> str:
    more = f" and {len(differences) - MOST_NAMED} more" if len(differences) > MOST_NAMED else ""
    return "; ".join(str(d) for d in differences[:MOST_NAMED]) + more


def _unknown(unknown: Mapping[str, str]) -> Finding:
    first, why = next(iter(unknown.items()))
    reason = f"{len(unknown)} of the target's resources could not be compared, first {first} ({why})"
    return Finding(NAME, Verdict.INVALID, reason, data={"unknown": dict(unknown)})


def _clean(before: Mapping[str, Any], declared: Sequence[Difference]) -> Finding:
    settings = sum(len(list(_settings(key, r["reads"]))) for key, r in before["resources"].items())
    reason = (
        f"{settings} settings of {len(before['resources'])} resources compared, {len(declared)} moved as declared, "
    )
    rows = [d.row("as declared") for d in declared]
    return Finding(NAME, Verdict.PASS, f"{reason}all others as before", data={"settings": settings, "rows": rows})
