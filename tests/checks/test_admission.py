"""Whether a drill may begin: production, hours, credentials, account; every no says what to type or when to come."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from checks.admission import before_anything, credentials_last, named_at_all, named_for_production, within_hours
from drill.aws import Aws
from drill.clock import FakeClock
from drill.errors import Refused, UsageError
from drill.target import Target, load_target

TARGETS = Path(__file__).resolve().parents[2] / "targets"
LAB = load_target(TARGETS / "core-banking.toml")
REAL = LAB.model_copy(update={"kind": "aws", "lab": None, "name": "bank"})
OFFICE = ("Mon-Fri 09:00-17:00 Asia/Tokyo",)


def with_safety(target: Target, **changes: Any) -> Target:
    """The target with these words in [safety]."""
    return target.model_copy(update={"safety": target.safety.model_copy(update=changes)})


def test_production_needs_its_name_typed() -> None:
    """Missing or wrong: refused with what to type; a name that was typed for another target is refused too."""
    production = REAL.model_copy(update={"production": True})
    assert named_for_production(production, "bank") == "typed"
    with pytest.raises(Refused, match="target bank is production; if you mean it, type: --production bank"):
        named_for_production(production, None)
    for target in (production, REAL):
        with pytest.raises(Refused, match="--production core-banking was typed, the target is bank"):
            named_for_production(target, "core-banking")
    assert named_for_production(REAL, None) == "no production target"


def test_a_real_account_must_be_named() -> None:
    """Only the lab is drilled by default."""
    assert named_at_all(LAB, explicit=False) == "a lab"
    assert named_at_all(REAL, explicit=True) == "named"
    with pytest.raises(Refused, match="target bank is a real account and was not named; type: --target bank"):
        named_at_all(REAL, explicit=False)


def tokyo_at(hour: int, day: int = 20) -> FakeClock:
    """That hour in Tokyo, 2026-11-20 is a Friday."""
    return FakeClock(date=datetime(2026, 11, day, hour - 9, 30, tzinfo=UTC))


def test_a_drill_must_lie_inside_a_window_with_all_that_it_may_last() -> None:
    """Outside: refused with the windows; inside, but not to its end: refused with the end."""
    target = with_safety(REAL, windows=OFFICE, max_duration_s=7200.0)
    assert within_hours(target, tokyo_at(9)) == "inside Mon-Fri 09:00-17:00 Asia/Tokyo"
    with pytest.raises(Refused, match=r"it is Fri 2026-11-20 08:30 UTC, outside the windows of target bank: Mon-Fri"):
        within_hours(target, tokyo_at(17))
    with pytest.raises(Refused, match="outside the windows"):
        within_hours(target, tokyo_at(12, day=21))
    with pytest.raises(Refused, match=r"ends at Fri 08:00 UTC .*may last until Fri 09:30; start earlier, or lower"):
        within_hours(target, tokyo_at(16))
    assert within_hours(REAL, tokyo_at(17)) == "any time"


def test_in_the_lab_a_drill_lasts_as_long_as_its_wall_clock_says() -> None:
    """Two lab hours at speed 10 are twelve minutes of the window."""
    clock = tokyo_at(16)
    clock.speed = 10.0
    assert within_hours(with_safety(REAL, windows=OFFICE, max_duration_s=7200.0), clock).startswith("inside")


def test_windows_that_cannot_be_read_are_a_usage_error(tmp_path: Path) -> None:
    """With file, key and what is wrong."""
    text = (TARGETS / "core-banking.toml").read_text()
    path = tmp_path / "odd.toml"
    path.write_text(text.replace("[safety]\n", '[safety]\nwindows = ["weekdays"]\n'))
    with pytest.raises(UsageError, match=r"safety.windows: 'weekdays' is no window; expected DAYS HH:MM-HH:MM ZONE"):
        load_target(path)


def test_the_looks_that_every_drill_makes() -> None:
    """In this order: what costs nothing first, and the account before anything is asked of it."""
    looks = before_anything(Aws("http://127.0.0.1:9"), REAL, FakeClock(), tuple)
    assert list(looks) == ["time window", "credentials", "account", "regions", "stop conditions"]
    assert credentials_last(Aws("http://127.0.0.1:9"), REAL, FakeClock()) == "do not expire (explicit)"
    with pytest.raises(Refused, match="AWS could not be asked"):
        looks["account"]()
