"""summary.md: a drill for a job summary or a pull-request comment. Everything that came from elsewhere is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from drill.verdict import Verdict
from drill.whole_file import replace_file
from reports.ink import CONTROL
from reports.overridden import overridden
from reports.record import DrillRecord, FindingRecord, PhaseRecord

SUMMARY_FILE = "summary.md"
MOST_FINDINGS = 30
LONGEST = 500
"""A cell's characters: GitHub takes 1 MiB a step, and a comment 65,536 characters."""
SIGNS = {"PASS": "✅", "FAIL": "❌", "INCONCLUSIVE": "❔", "INVALID": "⚠️", "DIRTY": "🚨"}
SPECIAL = re.compile(r"([\\`*_\[\]#|~$])")
LEADING = re.compile(r"^(\d+(?=[.)](?:\s|$))|(?=[-+=]))")
"""What begins a list or a heading when a line begins with it."""


def escaped(words: object) -> str:
    """Text that Markdown and HTML leave as it is, on one line: no markup, link, mention or table cell of its own."""
    plain = CONTROL.sub("?", " ".join(str(words).split()))
    shown = plain if len(plain) <= LONGEST else plain[: LONGEST - 1] + "…"
    html = shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # A zero-width space: "@name" would notify a stranger, "https://" would become a link of the system under test.
    quoted = LEADING.sub(r"\1\\", SPECIAL.sub(r"\\\1", html))
    return quoted.replace("@", "@\u200b").replace("://", ":\u200b//")


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; "" without rows."""
    body = [f"| {' | '.join(escaped(cell) for cell in row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}", *body]) if body else ""


def summary_markdown(record: DrillRecord) -> str:
    """One drill: the verdict and why, objective against measured interval, what else was found, where it rests."""
    run, target, judged = record.run, record.target, record.judgement
    parts = [
        f"### {SIGNS[judged.verdict]} {judged.verdict}: {escaped(run.scenario)} on {escaped(target.name)}",
        _lab(record),
        escaped(_why(record)),
        table(["objective", "limit", "measured", "verdict"], _objectives(record)),
        table(["writes", *map(escaped, judged.writes)], _writes(record)),
        table(["finding", "verdict", "reason"], _others(judged.findings)),
        escaped(overridden(target.overrides)),
        escaped(
            f"Run {run.id} of {run.created.isoformat(timespec='seconds')}, release {run.release or 'not recorded'}, "
            f"account {target.account}, target digest {target.digest[:12]}."
        ),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def write_markdown(folder: Path, record: DrillRecord) -> Path:
    """Write summary.md, whole or not at all."""
    return replace_file(folder / SUMMARY_FILE, summary_markdown(record))


def _lab(record: DrillRecord) -> str:
    if record.target.kind != "lab":
        return ""
    return f"**LAB run**: it proves the harness, nobody's system. Lab seconds, {record.run.speed:g} a wall second."


def _why(record: DrillRecord) -> str:
    if record.verdict is Verdict.PASS:
        return "Every objective is met by its unfavourable bound."
    worst = next(f for f in record.judgement.findings if f.verdict == record.judgement.verdict)
    return f"{worst.name}: {worst.reason.partition(chr(10))[0]}"


def _objectives(record: DrillRecord) -> list[list[str]]:
    unit = record.unit
    return [[f.name, f"{f.limit_s:g} {unit}", shown(f, unit), f.verdict] for f in record.measured]


def shown(finding: FindingRecord | PhaseRecord, unit: str) -> str:
    """What was measured of an objective or a step, with its unit."""
    return "not measured" if finding.interval is None else finding.interval.shown(unit)


def _writes(record: DrillRecord) -> list[list[object]]:
    writes = record.judgement.writes
    fates = dict.fromkeys(fate for counts in writes.values() for fate in counts)
    return [[fate, *(counts.get(fate, "-") for counts in writes.values())] for fate in fates]


def _others(findings: Sequence[FindingRecord]) -> list[list[str]]:
    said = [[f.name, f.verdict, f.reason] for f in findings if f.verdict != "PASS"]
    more = len(said) - MOST_FINDINGS
    return [*said[:MOST_FINDINGS], *([[f"+ {more} more", "", "in verdict.json"]] * (more > 0))]
