"""What the resolvers said over time: shares of the Regions, flaps, answers held past their TTL.

Each server is judged by its own answers. A *flap* is a return to a Region that the server had left. An answer is
*held past its TTL* when a resolver still gives an old one although its time is up: measured from the latest instant
at which the authoritative server (or, for a private zone, the first server that answered the new Region) can have
moved, plus the TTL that clients are promised; never where the servers already differed before the window (latency or
geolocation records), for then nobody else's answer says what this one should have been. Everything else here needs no
public authoritative answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from checks.flights import AT_THE_END, CROWDED, MISSED
from checks.windows import Settings, Window
from drill.probes import DNS
from drill.timeline import History, Observation, Outcome

AUTHORITATIVE = "authoritative"
OUR_OWN = (MISSED, CROWDED, AT_THE_END)
"""Looks that were not made, or not to their end, are no silence of the server."""


@dataclass(frozen=True)
class Server:
    """What one server answered in a window.

    flaps: returns to a Region it had left; shares: Region (or "mixed", "elsewhere", "no address", "no answer") ->
    share of its answers; moved_s: bounds of its (last) move to the survivor in target seconds from the window's
    begin, None when it did not; held_s: target seconds for which it certainly gave an old answer past its TTL;
    ttl_s: the least and the greatest TTL left that it told (as on the wire), None when it tells none.
    """

    name: str
    flaps: int
    shares: dict[str, float]
    moved_s: tuple[float, float] | None
    held_s: float
    ttl_s: tuple[float, float] | None

    def row(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "server": self.name,
            "flaps": self.flaps,
            "shares": {place: round(share, 6) for place, share in sorted(self.shares.items())},
            "moved_s": None if self.moved_s is None else [round(s, 6) for s in self.moved_s],
            "held_past_ttl_s": round(self.held_s, 6),
            "ttl_left_s": None if self.ttl_s is None else list(self.ttl_s),
        }


def servers_of(history: History, window: Window, settings: Settings, ttl_s: float) -> tuple[Server, ...]:
    """Every server that was asked in this window. ttl_s: what clients are promised, target seconds."""
    looks: dict[str, list[Observation]] = {}
    for look in history.of(DNS):
        if (
            look.detail not in OUR_OWN
            and look.done_s <= window.end_s
            and look.sent_s >= window.begin_s - settings.wall_s(2 * ttl_s)
        ):
            looks.setdefault(look.vantage, []).append(look)
    moves = {name: _moved(rows, window, settings) for name, rows in looks.items()}
    switched_s = _switched_by_s(moves) if _one_for_all(looks.values(), window, settings) else None
    return tuple(
        _server(name, rows, window, settings, moves[name], switched_s, ttl_s) for name, rows in sorted(looks.items())
    )


def _one_for_all(servers: Iterable[Sequence[Observation]], window: Window, settings: Settings) -> bool:
    """Whether every server gave the same answer before the window: the name does not depend on who asks."""
    before = [[o for o in rows if o.outcome is Outcome.OK and o.done_s < window.begin_s] for rows in servers]
    return len({_place(rows[-1], settings) for rows in before if rows}) <= 1


def _place(look: Observation, settings: Settings) -> str:
    if look.outcome is Outcome.UNKNOWN:
        return "no answer"
    if look.outcome is Outcome.FAIL:
        return "no address"
    places = {settings.places.region_of(address) or "elsewhere" for address in look.value.split(",")}
    return places.pop() if len(places) == 1 else "mixed"


def _moved(rows: Sequence[Observation], window: Window, settings: Settings) -> tuple[float, float] | None:
    """Between which instants (monotonic) a server moved to the survivor for good; None if not in the window."""
    known = [(o, _place(o, settings)) for o in rows if o.outcome is not Outcome.UNKNOWN]
    last_old = max((n for n, (_, place) in enumerate(known) if place != window.survivor), default=None)
    if last_old is None or last_old + 1 >= len(known) or known[last_old + 1][0].done_s < window.begin_s:
        return None
    return known[last_old][0].sent_s, known[last_old + 1][0].done_s


def _switched_by_s(moves: dict[str, tuple[float, float] | None]) -> float | None:
    """The latest instant at which the name can have been switched, on whoever's word is first."""
    authoritative = [move[1] for name, move in moves.items() if move and name.startswith(AUTHORITATIVE)]
    return min(authoritative or [move[1] for move in moves.values() if move], default=None)


def _server(
    name: str,
    rows: Sequence[Observation],
    window: Window,
    settings: Settings,
    moved: tuple[float, float] | None,
    switched_s: float | None,
    ttl_s: float,
) -> Server:
    during = [o for o in rows if o.done_s >= window.begin_s]
    counted = Counter(_place(o, settings) for o in during)
    old = [o.sent_s for o in during if o.outcome is Outcome.OK and _place(o, settings) != window.survivor]
    held_s = 0.0
    if switched_s is not None and old and not name.startswith(AUTHORITATIVE):
        held_s = max(0.0, (max(old) - switched_s) * settings.speed - ttl_s)
    begin_s = window.begin_s
    from_begin = None if moved is None else tuple((s - begin_s) * settings.speed for s in moved)
    shares = {place: count / len(during) for place, count in counted.items()}
    ttls = [ttl for o in during if (ttl := _ttl_s(o)) is not None]
    return Server(
        name,
        _flaps(_place(o, settings) for o in during if o.outcome is Outcome.OK),
        shares,
        None if from_begin is None else (from_begin[0], from_begin[1]),
        held_s,
        (min(ttls), max(ttls)) if ttls else None,
    )


def _flaps(places: Iterable[str]) -> int:
    """Returns to a place that had been left: old, new, old, new has two."""
    seen: set[str] = set()
    last, flaps = None, 0
    for place in places:
        if place != last:
            flaps += place in seen
            seen.add(place)
            last = place
    return flaps


def _ttl_s(look: Observation) -> float | None:
    """The TTL of an answer, from its detail ("ttl=60 rcode=NOERROR"); 0 of the machine's own resolver is none."""
    word = look.detail.partition(" ")[0]
    if look.outcome is not Outcome.OK or not word.startswith("ttl="):
        return None
    try:
        return float(word.removeprefix("ttl=")) or None
    except ValueError:
        return None
