"""How quickly, and at what, a target may be looked at: the `[probing]` table of its file."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, model_validator


class Probing(BaseModel):
    """How quickly the target may be looked at, in wall seconds: what a server bears depends on no lab's speed.

    gentle_hz: looks a second per vantage while nothing is expected; quick_hz: the most there may be, used from just
    before an injection until recovery is sustained; write_hz: the same for write probes, each of which is a real
    write (None: never quicker than timings.probe_interval_s); names_hz: the most questions a second that one DNS
    server is asked, in the same stretch (else one a target second); path, good: what is looked at, and the statuses
    that say it is well. Without a path it is the read of a write that nobody made, which must be answered "absent".
    needed_by_writes: whether a write needs what the look needs (the same entrance, the same service), so that a
    failed look is also a failure for whoever writes.
    degraded_share, degraded_wall_s, degraded_window_s: users are badly served while fewer than this share of the
    looks of a window (target seconds) are good and answered within degraded_wall_s.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    gentle_hz: float = Field(default=2.0, gt=0, le=1000)
    quick_hz: float = Field(default=10.0, gt=0, le=1000)
    write_hz: float | None = Field(default=None, gt=0, le=100)
    names_hz: float = Field(default=10.0, gt=0, le=1000)
    path: str | None = Field(default=None, pattern=r"^/[\x21-\x7e]*$")
    good: tuple[int, ...] = ()
    needed_by_writes: bool = True
    degraded_share: float = Field(default=0.95, gt=0, le=1)
    degraded_wall_s: PositiveFloat = 1.0
    degraded_window_s: PositiveFloat = 10.0

    @model_validator(mode="after")
    def _told(self) -> Probing:
        if self.path is not None and not self.good:
            raise ValueError("good: say which statuses of path mean that it is well, for example [200]")
        if self.quick_hz < self.gentle_hz:
            raise ValueError(f"quick_hz {self.quick_hz:g} is below gentle_hz {self.gentle_hz:g}")
        return self
