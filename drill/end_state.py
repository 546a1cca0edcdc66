"""What a scenario says about the end: what the system itself may leave changed, and how.

Only Changes are promised back as before. What the system moves by itself (routing controls that a failover and a
failback have set, where a fresh deployment had not) is compared with the end state that the scenario declares.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from drill.errors import UsageError
from drill.target import Target

ZONE = "dns"
"""The key that stands for the hosted zones of the target's DNS name."""
DECLARED = "end_state.declared"
"""The mark that carries declared end states into the run folder (data: expected, a list of end states)."""


@dataclass(frozen=True)
class EndState:
    """One setting's value after the drill, should it differ from before.

    key: of the target's resources, or ZONE; path: shell-style pattern of the setting below it, as the residue audit
    names settings ("GetRoutingControlState/RoutingControlState"; "*" also crosses "/"); value: JSON.
    """

    key: str
    path: str
    value: Any

    def matches(self, key: str, path: str) -> bool:
        """Whether that setting is meant."""
        return key == self.key and fnmatch.fnmatchcase(path, self.path)


def declaration(target: Target, states: Iterable[EndState]) -> dict[str, Any]:
    """The data of a DECLARED mark. UsageError when a state names something that the target does not have."""
    found = list(states)
    for state in found:
        if state.key != ZONE:
            target.resource(state.key)
        if not state.path:
            raise UsageError(f"end state of {state.key}: the path is empty; name a setting, or '*' for all of them")
    return {"expected": [asdict(state) for state in found]}


def declared(marks: Iterable[Mapping[str, Any]]) -> tuple[EndState, ...]:
    """The end states in the data of DECLARED marks. KeyError or TypeError for data of another shape."""
    return tuple(EndState(s["key"], s["path"], s["value"]) for mark in marks for s in mark["expected"])
