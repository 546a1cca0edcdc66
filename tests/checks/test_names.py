"""Which answers a server is judged by, and from when an old one is held too long."""

from __future__ import annotations

import pytest

from checks.names import Server, servers_of
from checks.windows import settings_of, windows_of
from drill.timeline import Observation
from tests.checks.histories import OK, OSAKA, OSAKA_PEER, TOKYO, TOKYO_PEER, Story

TTL_S = 60.0


def servers(answers: dict[str, list[tuple[float, str]]], detail: str = "ttl=60 rcode=NOERROR") -> dict[str, Server]:
    """Each server by its name, in a window from 0 to 300; answers: (asked and answered at, address)."""
    story = Story().window(0, 300)
    for name, said in answers.items():
        for at_s, peer in said:
            at = story.at(at_s), story.at(at_s)
            story.observations.append(Observation(*at, "dns", name, OK, peer, detail))
    history = story.history()
    fixed = settings_of(history)
    found = servers_of(history, windows_of(history, fixed.places)[0], fixed, TTL_S)
    return {server.name: server for server in found}


def old_then_new(switch_s: float, *at_s: float) -> list[tuple[float, str]]:
    """Tokyo until then, Osaka from then on."""
    return [(s, TOKYO_PEER if s < switch_s else OSAKA_PEER) for s in at_s]


def test_a_server_is_known_by_the_answers_from_two_ttls_before_the_window_to_its_end() -> None:
    """Both instants included; one that spoke only earlier or later was not asked."""
    spoke = {name: [(at_s, TOKYO_PEER)] for name, at_s in (("a", -120.1), ("b", -120.0), ("c", 300.0), ("d", 300.1))}
    found = servers(spoke)
    assert list(found) == ["b", "c"]
    assert (found["b"].shares, found["c"].shares) == ({}, {TOKYO: 1.0})


def test_a_move_that_is_seen_as_the_window_begins_is_one_of_the_window() -> None:
    """Its first new answer came at the very begin; one that came before it is of the time before."""
    assert servers({"a": old_then_new(0.0, -5, 0, 5)})["a"].moved_s == pytest.approx((-5.0, 0.0))
    assert servers({"a": old_then_new(-0.1, -5, -0.1, 5)})["a"].moved_s is None


@pytest.mark.parametrize(("other_s", "held_s"), [(-0.1, 0.0), (0.0, 35.0)])
def test_servers_that_differed_before_the_window_say_nothing_of_each_other(other_s: float, held_s: float) -> None:
    """Osaka's answer before its begin makes it a name that depends on who asks; at its begin it is the move."""
    authoritative = [(-10.0, TOKYO_PEER), *old_then_new(other_s, other_s, 50, 100)]
    found = servers({"authoritative": authoritative, "resolver:slow": old_then_new(100, -10, 0, 95, 100, 105)})
    assert found["resolver:slow"].held_s == pytest.approx(held_s)


def test_the_authoritative_servers_word_dates_the_switch_even_where_a_resolver_seems_earlier() -> None:
    """A resolver that was asked just in time is not what others are measured by."""
    quick, slow = old_then_new(30, -5, 25, 30, 60), old_then_new(140, -5, 130, 140)
    found = servers({"authoritative": old_then_new(50, -5, 20, 50), "resolver:quick": quick, "resolver:slow": slow})
    assert found["resolver:slow"].held_s == pytest.approx(130 - 50 - TTL_S)
    alone = servers({"resolver:quick": quick, "resolver:slow": slow})
    assert alone["resolver:slow"].held_s == pytest.approx(130 - 30 - TTL_S)


@pytest.mark.parametrize(
    ("detail", "ttl_s"), [("ttl=30", 30.0), ("ttl=30 rcode=NOERROR aa", 30.0), ("ttl=0 x", None), ("x ttl=30", None)]
)
def test_a_ttl_is_the_first_word_of_what_is_told(detail: str, ttl_s: float | None) -> None:
    """Whatever follows it; 0 is none."""
    told = servers({"a": [(5.0, TOKYO_PEER)]}, detail)["a"].ttl_s
    assert told == (None if ttl_s is None else (ttl_s, ttl_s))


def test_a_servers_row_is_exact_to_a_millionth() -> None:
    """No more, no less."""
    row = Server("a", 2, {OSAKA: 1 / 3}, (1.23456789, 2.3456789), 3.45678912, (7.0, 8.0)).row()
    assert row == {
        "server": "a",
        "flaps": 2,
        "shares": {OSAKA: 0.333333},
        "moved_s": [1.234568, 2.345679],
        "held_past_ttl_s": 3.456789,
        "ttl_left_s": [7.0, 8.0],
    }
