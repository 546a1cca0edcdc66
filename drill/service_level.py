"""What a target calls served well, where that is more than being up: the `[service_level]` table of its file."""

from __future__ import annotations

from pydantic import Field, PositiveFloat

from drill.write_path import Table


class ServiceLevel(Table):
    """Recovery is then judged by it too: users are badly served while the level is not held.

    success_ratio: the least share of looks that must be good and quick; latency_wall_s: a good look that took longer
    is a bad one (wall seconds: latency is nobody's published delay); window_s: the stretch over which the share is
    taken (target seconds), or five looks where these take longer.
    """

    success_ratio: float = Field(gt=0, le=1)
    latency_wall_s: PositiveFloat
    window_s: PositiveFloat
