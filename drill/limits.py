"""How long one AWS call may take, and how often it is tried."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """How long one call may take, in wall seconds, and how often botocore tries it."""

    connect_s: float = 2.0
    read_s: float = 10.0
    attempts: int = 3

    @property
    def worst_call_s(self) -> float:
        """The longest that one call can take: every attempt waited out, and botocore's pauses between them.

        Botocore's standard mode pauses at most 1, 2, 4 ... s, never above 20 s, and 5 s more when AWS asks for it.
        """
        pauses_s = sum(min(2.0**n, 20.0) + 5.0 for n in range(self.attempts - 1))
        return self.attempts * (self.connect_s + self.read_s) + pauses_s
