"""Which targets a session drills."""

from __future__ import annotations

import pytest

from commands.chosen import chosen, known_targets, target_for
from commands.world import Options
from drill.errors import UsageError


def test_without_a_name_every_shipped_system_is_drilled() -> None:
    """One target for each system; examples are not among them."""
    found = chosen(None, Options())
    assert {target.name for target in found.values()} == set(known_targets())
    assert not any(name.endswith(".example") for name in known_targets())
    assert {"core-banking", "retail-store"} <= set(found)


def test_a_name_means_that_target_alone() -> None:
    """What does not fit its system has no target."""
    found = chosen("retail-store", Options(lab_settings=("rds.failover_s=30",)))
    assert set(found) == {"retail-store"}
    assert target_for(found, "core-banking") is None
    assert target_for(found, None) == found["retail-store"]


def test_a_scenario_without_a_system_has_the_first_one() -> None:
    """It fits every system, and is drilled once."""
    target = target_for(chosen(None, Options()), None)
    assert target is not None
    assert target.name == "core-banking"


def test_settings_hold_for_every_target() -> None:
    """An objective that is set is set everywhere, and recorded."""
    found = chosen(None, Options(settings=("objectives.rto_s=60",)))
    assert {target.objectives.rto_s for target in found.values()} == {60.0}
    assert all(target.overrides for target in found.values())


@pytest.mark.parametrize("option", [{"lab_settings": ("a=b",)}, {"lab_port": 5050}])
def test_what_means_one_system_needs_its_name(option: dict[str, object]) -> None:
    """Two systems cannot both have it."""
    with pytest.raises(UsageError, match="name it, --target one of core-banking"):
        chosen(None, Options(**option))  # type: ignore[arg-type]
