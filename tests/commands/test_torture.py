"""Kill small drills in a real lab and count: a short `drill torture`, and what it says when one is not back."""

from __future__ import annotations

import json
import random
from pathlib import Path

import psutil
import pytest

from commands.main import main
from commands.tormenting import HOWS, POINTS, RANDOM, Blow, Result, Tormentor, Victim, blows
from commands.torture import summary, table
from commands.torture_sessions import HOWS as SESSION_HOWS
from commands.torture_sessions import ORDERLY, points_of
from commands.torture_sessions import blows as session_blows
from tests.commands.bank import SPEED, Bank, bank
from tests.e2e.drilling import verb

KILLS = 8


class Meddler(Tormentor):
    """Scales a service like somebody else, between the victim's stop and the blow."""

    def __init__(self, world: Bank) -> None:
        super().__init__(world.aws, world.target, SPEED)
        self._world = world

    def _hit(self, victim: Victim) -> str:
        self._world.disturb(5)
        return super()._hit(victim)


def test_a_short_torture_ends_with_everything_as_before_every_time() -> None:
    """Every kind of blow, in a lab of its own; the figures as JSON, exit 0, nothing left running."""
    code, said = verb("torture", f"--kills={KILLS}", "--seed=7", "--json")
    found = json.loads(said[said.index("{") :])
    assert code == 0, said
    assert (found["kills"], found["restored"], found["dirty"]) == (KILLS, KILLS, 0)
    assert 0 < found["median_restore_s"] <= found["worst_restore_s"]
    assert (found["problems"], found["residue"], found["seed"]) == ([], [], 7)
    assert set(found["by"]) == set(HOWS)
    assert not [p for p in psutil.process_iter(["cmdline"]) if "drill-torture-" in " ".join(p.info["cmdline"] or [])]


def test_200_blows_hit_every_point_in_every_way_and_many_random_instants() -> None:
    """The same seed gives the same blows."""
    planned = list(blows(200, random.Random(1)))
    assert {(blow.how, blow.where) for blow in planned} >= {(how, point) for how in HOWS for point in POINTS}
    assert sum(blow.where == RANDOM for blow in planned) >= 60
    assert planned == list(blows(200, random.Random(1)))
    assert planned != list(blows(200, random.Random(2)))


def test_20_blows_against_sessions_hit_each_state_before_any_twice() -> None:
    """Every way among them, a third at random instants; the same seed gives the same; in time each in each way."""
    points = [f"record:{state}:{n}" for n in (1, 2) for state in ("prepared", "armed", "injecting", "injected")]
    planned = list(session_blows(20, points, random.Random(1)))
    aimed = [blow.where for blow in planned if blow.where != RANDOM]
    assert len(aimed) == 14
    assert set(aimed[: len(points)]) == set(points)
    assert {blow.how for blow in planned} == set(SESSION_HOWS)
    assert planned == list(session_blows(20, points, random.Random(1)))
    many = list(session_blows(200, points, random.Random(1)))
    assert {(blow.how, blow.where) for blow in many} >= {(how, point) for how in SESSION_HOWS for point in points}
    assert set(SESSION_HOWS) == {"KILL", "BOTH", *ORDERLY}


def test_the_points_of_a_session_are_the_states_of_its_journal(tmp_path: Path) -> None:
    """In order, once each; claims and calls are none."""
    path = tmp_path / "journal.jsonl"
    states = ((0, "claimed"), (1, "prepared"), (1, "injecting"), (0, "called"), (2, "intended"), (1, "injecting"))
    path.write_text("".join(json.dumps({"number": n, "state": state}) + "\n" for n, state in states))
    assert points_of(path) == ("record:prepared:1", "record:injecting:1", "record:intended:2")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--session", "--lab-attach=x"), "each blow has a lab of its own"),
        (("--target", "retail-store"), "add --session"),
        (("--session", "--target", "nowhere"), "nowhere"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(
    options: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 4, nothing is started."""
    assert main(["torture", *options]) == 4
    assert words in capsys.readouterr().err


def test_what_is_not_as_before_is_counted_and_named(tmp_path: Path) -> None:
    """Somebody scales the service while it is broken: left alone, so not restored; it is never called so."""
    with bank() as world:
        victim = world.victim(tmp_path / "run", "record:injected:2")
        victim.blow = Blow("BOTH", "record:injected:2")
        try:
            result = Meddler(world).strike(victim)
        finally:
            victim.close()
    assert not result.restored
    assert "desiredCount: 5" in result.problem
    report = summary([result, Result(Blow("KILL", RANDOM), True, 0.25, "")], ["a: 1 -> 2"], seed=3)
    assert (report["kills"], report["restored"], report["dirty"]) == (2, 1, 1)
    shown = table(report)
    assert "BOTH at record:injected:2: drill restore failed" in shown
    assert "residue: a: 1 -> 2" in shown
    assert "seed 3" in shown


@pytest.mark.parametrize("kills", ["0", "-1", "10001"])
def test_a_number_that_makes_no_sense_is_a_usage_error(kills: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 4, nothing is started."""
    assert main(["torture", f"--kills={kills}"]) == 4
    assert "must be from 1 to 10000" in capsys.readouterr().err
