"""What only a person can say of a drill, for those who must show it to an auditor: the `[evidence]` table.

It stands in the target file, for what holds for every drill of the target, or in a file for one drill
(`drill bundle --evidence FILE`). What is left out is shown as missing; nothing is assumed.
"""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from drill.errors import UsageError


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Participant(_Table):
    """Somebody who took part. role: in the drill ("incident commander", "database on call")."""

    name: str = Field(min_length=1)
    role: str = Field(min_length=1)


class FollowUp(_Table):
    """What is done about a finding. finding: its name in the verdict, or in free words; retest: run id, or ""."""

    finding: str = Field(min_length=1)
    action: str = ""
    owner: str = ""
    due: date | None = None
    retest: str = ""


class Evidence(_Table):
    """All of it; "" and () mean that nobody has said it."""

    business_function: str = ""
    """The critical or important function that the system supports."""
    impact_analysis: str = ""
    """Where the business impact analysis and the risk assessment behind the scenario are."""
    objectives_approved_by: str = ""
    objectives_approved_on: date | None = None
    why_plausible: str = ""
    """Why the scenario is severe and plausible."""
    participants: tuple[Participant, ...] = ()
    third_parties: str = ""
    """Providers that took part or were simulated; "none" is an answer."""
    deviations: str = ""
    """Where the drill departed from its plan; "none" is an answer."""
    data_reconciled_by: str = ""
    """Who compared the written data with the books of another system, and how."""
    follow_up: tuple[FollowUp, ...] = ()
    reported_to: str = ""
    """The body that the results went to, and when."""

    def over(self, base: Evidence) -> Evidence:
        """This evidence, and the base's where this says nothing."""
        said = {name: value for name in type(self).model_fields if (value := getattr(self, name))}
        return base.model_copy(update=said)


def load_evidence(path: Path) -> Evidence:
    """Read a file for one drill: the fields, or an `[evidence]` table of them. UsageError lists every problem."""
    try:
        raw: dict[str, Any] = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as evidence: {error}") from error
    try:
        return Evidence.model_validate(raw.get("evidence", raw))
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)]
        raise UsageError(f"{path}: {len(lines)} problem(s)\n" + "\n".join(lines)) from None
