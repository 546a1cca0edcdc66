"""evidence.toml of a game day: what its plan and its course say for auditors, for `drill bundle RUN --evidence FILE`.

Who took part is who the roles name; where the day departed from its plan is what is on record. What nobody has said
stays away, so that the bundle shows it as missing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from drill.evidence import Evidence, Participant
from drill.whole_file import replace_file
from reports.gameday_day import Day

EVIDENCE_FILE = "evidence.toml"


def evidence_of(day: Day) -> Evidence:
    """The plan's own words, and those of the record where the plan says nothing."""
    roles = day.state.plan.role
    people = tuple(Participant(name=name, role=role.name) for role in roles for name in role.named)
    recorded = Evidence(participants=people, deviations="; ".join(day.departures) or "none")
    return day.state.plan.evidence.over(recorded)


def evidence_text(evidence: Evidence) -> str:
    """As TOML that `drill.evidence.load_evidence` reads back."""
    said = {name: value for name in Evidence.model_fields if (value := getattr(evidence, name))}
    return "".join(f"{name} = {_toml(value)}\n" for name, value in said.items())


def write_evidence(folder: Path, day: Day) -> Path:
    """Write evidence.toml, whole or not at all. OSError passes."""
    return replace_file(folder / EVIDENCE_FILE, evidence_text(evidence_of(day)))


def _toml(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_table(item) for item in value)}]"
    # JSON's strings are TOML's, but for one character that TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f") if isinstance(value, str) else str(value)


def _table(item: Any) -> str:
    fields = {name: getattr(item, name) for name in type(item).model_fields}
    return f"{{{', '.join(f'{name} = {_toml(value)}' for name, value in fields.items() if value)}}}"
