"""What a system's room is asked for, and what it gives back: shared by the world process and every system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


class WorldError(Exception):
    """The lab cannot be opened; the message is one sentence that says what to type next."""


@dataclass(frozen=True)
class Plan:
    """What was asked for. `settings` are NAME=VALUE texts as typed; port_base None = any free ports."""

    system: str
    speed: float
    port_base: int | None
    settings: Sequence[str]
    state_dir: Path

    def port(self, offset: int) -> int:
        """The fixed port at `offset`, or 0 for any free one."""
        return 0 if self.port_base is None else self.port_base + offset


class Room(Protocol):
    """One running system."""

    def describe(self) -> Mapping[str, Any]:
        """What a user of the lab must know, as JSON."""

    def close(self) -> None:
        """End everything; bounded, never raises for what is already gone."""
