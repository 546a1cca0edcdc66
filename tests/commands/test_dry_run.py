"""The exit code of a dry session: 0 only when every scenario is planned."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from commands.drill_session import Session
from commands.dry_run import Planned, Plans
from commands.run_folder import Scenario
from commands.world import TARGETS, World
from drill.aws import Aws
from drill.clock import FakeClock
from drill.errors import Invalid, Refused, UsageError
from drill.plan import plan_from
from drill.target import Target, load_target

WORLD = World(load_target(TARGETS / "core-banking.toml"), Aws("http://127.0.0.1:9"), FakeClock(), None)
SCENARIO = Scenario("s", "A sentence.")


def session(*errors: BaseException | None) -> Plans:
    """A session in which each walk ended with that."""
    plans = Plans()
    for error in errors:
        plans.begin(SCENARIO, WORLD).error = error
    return plans


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        ((None,), 0),
        ((None, None), 0),
        ((), 11),
        ((Refused("no"), UsageError("x"), Invalid("y"), None), 12),
        ((UsageError("x"), Invalid("y"), None), 4),
        ((Invalid("y"), None), 11),
        ((ZeroDivisionError("z"), None), 11),
        ((KeyboardInterrupt(),), 11),
    ],
)
def test_the_worst_decides(errors: tuple[BaseException | None, ...], code: int) -> None:
    """Refused before usage before INVALID; a session that planned nothing has shown nothing."""
    assert session(*errors).exit_code([], 0) == code


def test_what_the_session_refused_or_pytest_failed_counts() -> None:
    """A world that could not be opened, or a collection that failed, is no plan."""
    assert session(None).exit_code([12], 0) == 12
    assert session().exit_code([4], 0) == 4
    assert session(None).exit_code([], 2) == 11


def test_an_unhealthy_system_is_planned_for_and_told() -> None:
    """The plan is whole, and the drill would be INVALID."""
    plans = session(None)
    plans.made[0].drill.problems.append("standby able: no")
    assert plans.exit_code([], 0) == 11
    assert plans.made[0].sentence == "INVALID if run now: standby able: no"


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (Refused("outside"), "REFUSED: outside"),
        (Invalid("ill"), "INVALID: ill"),
        (UsageError("odd"), "INVALID: odd"),
        (ZeroDivisionError("z"), "INVALID: ZeroDivisionError: z"),
    ],
)
def test_a_plan_says_how_it_ended(error: BaseException, ended: str) -> None:
    """In one sentence; what is not the harness's own error bears its name."""
    planned: Planned = session(error).made[0]
    assert planned.finish().ended == ended


def test_the_plans_are_written_where_they_were_asked_for(tmp_path: Path) -> None:
    """As a list of plans, those that ended early among them."""
    plans = session(Refused("no"), Invalid("ill"))
    plans.to = tmp_path / "plans.json"
    plans.pytest_sessionfinish()
    records = json.loads(plans.to.read_text())
    assert [plan_from(record).ended for record in records] == ["REFUSED: no", "INVALID: ill"]


def test_walks_through_one_world_share_clients_and_what_they_found() -> None:
    """Through another world nothing of it is taken over."""
    plans = Plans()
    one, same, other = (plans.begin(SCENARIO, w).drill for w in (WORLD, WORLD, replace(WORLD, clock=FakeClock())))
    assert (one.aws is same.aws, one.found is same.found) == (True, True)
    assert (one.aws is other.aws, one.found is other.found) == (False, False)


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> Iterator[Callable[..., list[str]]]:
    """What happens to worlds when a session opens one for each of these targets, one after the other, and ends."""
    told: list[str] = []

    @contextlib.contextmanager
    def opened(target: Target, *_: object) -> Iterator[World]:
        told.append(f"open {target.name}")
        yield replace(WORLD, target=target)
        told.append(f"close {target.name}")

    def session(dry: bool, *names: str) -> list[str]:
        monkeypatch.setattr(pytestconfig.option, "drill_dry_run", dry)
        made = Session(pytestconfig)
        for name in names:
            made.world(load_target(TARGETS / f"{name}.toml"))
        made.finish()
        return told

    monkeypatch.setattr("commands.drill_session.open_world", opened)
    yield session


def test_the_plans_of_one_target_look_at_one_world(begun: Callable[..., list[str]]) -> None:
    """They touch nothing; with the next target it is closed, so that no two labs are up at once."""
    assert begun(True, "core-banking", "core-banking", "remittance") == [
        "open core-banking",
        "close core-banking",
        "open remittance",
        "close remittance",
    ]


def test_each_drill_has_a_world_of_its_own(begun: Callable[..., list[str]]) -> None:
    """Also the second of the same target, as before it."""
    assert begun(False, "core-banking", "core-banking") == ["open core-banking", "close core-banking"] * 2
