"""gate.toml: which drills a release must have behind it. Data; every problem of a file is reported at once."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, ValidationError, model_validator

from drill.errors import UsageError


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Required(_Table):
    """One required drill.

    fresh_days: how old a run may be at most; passes: how many runs must have passed; failures: how many may have
    failed; share: what the passes must prove, as the least share of such drills that pass (0: nothing);
    digest: the target's digest, when the gate shall not take it from the target file as it is now.
    """

    scenario: str = Field(min_length=1)
    target: str = Field(min_length=1)
    fresh_days: PositiveFloat
    passes: int = Field(default=1, ge=1, le=10_000)
    failures: int = Field(default=0, ge=0, le=10_000)
    share: float = Field(default=0.0, ge=0.0, lt=1.0)
    digest: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")


class DriftRule(_Table):
    """What is made of figures that became worse. alpha: how often a release without drift may be called worse.

    fails: whether worse fails the gate; required: whether too few runs to tell fail it.
    """

    alpha: float = Field(default=0.05, gt=0.0, le=0.5)
    fails: bool = True
    required: bool = False


class Cleared(_Table):
    """A person's word for a run that would block the gate: DIRTY since put back by hand, or evidence explained."""

    run: str = Field(min_length=1)
    by: str = Field(min_length=1)
    why: str = Field(min_length=1)


class GatePolicy(_Table):
    """A whole gate.toml; each drill has its target and freshness, its own or the file's."""

    format: Literal[1]
    release: str = ""
    drill: tuple[Required, ...] = Field(min_length=1)
    drift: DriftRule = DriftRule()
    cleared: tuple[Cleared, ...] = ()

    @model_validator(mode="after")
    def _each_once(self) -> GatePolicy:
        pairs = [(r.target, r.scenario) for r in self.drill]
        twice = sorted(
            {f"{scenario} on {target}" for target, scenario in pairs if pairs.count((target, scenario)) > 1}
        )
        if twice:
            raise ValueError(f"required twice: {', '.join(twice)}")
        return self


DEFAULTS = ("target", "fresh_days")
"""What the file may say once for all drills."""


def load_policy(path: Path) -> GatePolicy:
    """Read a policy. UsageError lists every problem: file, key, found, expected."""
    try:
        raw = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as a gate policy: {error}") from error
    given = {key: raw.pop(key) for key in DEFAULTS if key in raw}
    drills = raw.get("drill")
    if isinstance(drills, list):
        raw["drill"] = [given | d if isinstance(d, dict) else d for d in drills]
    try:
        return GatePolicy.model_validate(raw)
    except ValidationError as error:
        lines = [_problem(dict(item)) for item in error.errors(include_url=False)]
        raise UsageError(f"{path}: {len(lines)} problem(s)\n" + "\n".join(lines)) from None


def _problem(item: dict[str, Any]) -> str:
    key = ".".join(str(part) for part in item["loc"]) or "(whole file)"
    found = "" if isinstance(item["input"], dict) else f"; found {item['input']!r}"
    return f"  {key}: {item['msg'].removeprefix('Value error, ')}{found}"
