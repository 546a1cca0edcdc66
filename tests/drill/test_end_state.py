"""What a scenario may declare about the end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from drill.end_state import ZONE, EndState, declaration, declared
from drill.errors import UsageError
from drill.target import load_target

TARGET = load_target(Path(__file__).parents[2] / "targets" / "core-banking.toml")


def test_a_declaration_survives_the_run_folder() -> None:
    """What was declared is what is read back from JSON."""
    states = (EndState("control_primary", "*/RoutingControlState", "On"), EndState(ZONE, "*", None))
    assert declared([json.loads(json.dumps(declaration(TARGET, states)))]) == states


def test_a_resource_that_the_target_does_not_have_is_told_at_once() -> None:
    """A misspelt key would excuse nothing, and hide that."""
    with pytest.raises(UsageError, match="no resource 'contol'"):
        declaration(TARGET, [EndState("contol", "*", "On")])
    with pytest.raises(UsageError, match="path is empty"):
        declaration(TARGET, [EndState("control_primary", "", "On")])


def test_a_pattern_crosses_levels_and_minds_case() -> None:
    """Shell-style, on the whole path below the key."""
    state = EndState("k", "*/IsWriter", True)
    assert state.matches("k", "DescribeGlobalClusters/GlobalClusters/g/m/IsWriter")
    assert not state.matches("k", "DescribeGlobalClusters/isWriter")
    assert not state.matches("other", "a/IsWriter")
