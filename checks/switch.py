"""Whether the load balancer points at the writer that the cluster really has, at the end of a window.

The writer is where the last write was acknowledged (its address is in the ledger); what is registered is what
DescribeTargetHealth said last. No status of a replication channel is asked: it says that something is connected, and
not that a row arrives. Only for targets with a target group of their own ("*_target_group" in [resources]).
"""

from __future__ import annotations

from collections.abc import Iterator

from checks.signals import TARGETS
from checks.windows import Settings, Window
from drill.find import kind_of
from drill.timeline import History, Observation, Outcome
from drill.verdict import Finding, Verdict, unit_of

RECONCILE = "a periodic reconciliation that registers the writer which DescribeDBClusters names, and nothing else"
EMPTY = (
    "the target group is empty, and a function that starts from what is registered does nothing from now on",
    f"registering the new target before the old one is taken out would have prevented it, and so would {RECONCILE}",
)
SEVERAL = (
    "several targets are registered: connections go to all of them in turn",
    f"{RECONCILE} would have prevented it",
)
STALE = (
    "the one registered target is not the writer",
    f"acting on the completed event (RDS-EVENT-0071) as well as on the start would have helped where it arrives and "
    f"the map of addresses is true; {RECONCILE} would have prevented it in every case",
)
FOLLOWS_WITHIN_S = 180.0
"""A registration and two of a replica's attempts to connect, each of which may take a minute, are over by then."""
DEAF = (
    "the one registered target is the writer, and still no row that is acknowledged there reaches the replica",
    "a replica that knows where it is by file and position means a place in another instance's log after a failover, "
    "and stops, repeats or skips there; following by GTID would have prevented it",
)


BLIND_INTERVALS = 10
BLIND_FLOOR_S = 5.0
"""What was registered longer ago than both (intervals of the signals; wall seconds) says nothing of the end."""


def blind_wall_s(settings: Settings) -> float:
    """How old the last look at what is registered may be, in wall seconds."""
    return max(BLIND_FLOOR_S, BLIND_INTERVALS * settings.wall_s(settings.timings.signals_interval_s))


def switch_findings(history: History, window: Window, blind_s: float) -> Iterator[Finding]:
    """PASS: exactly the writer is registered. FAIL names the stuck state, and as advice what prevents it.

    blind_s: how long before the end of the window the last look may be (wall seconds). A second finding, FAIL, only
    where the balancer is right for long and the replica gets nothing all the same.
    """
    keys = (history.header.get("target") or {}).get("resources") or {}
    if not any(kind_of(key) == "elbv2.target_group" for key in keys):
        return
    name = f"switch, {window.name}"
    looks = [o for o in history.of(TARGETS) if o.outcome is Outcome.OK and window.begin_s <= o.done_s <= window.end_s]
    writer = _writer(history, window)
    if missing := _unknown(looks, writer, window.end_s, blind_s):
        yield Finding(name, Verdict.INVALID, f"nobody knows whether the writer is registered: {missing}")
        return
    registered = "" if looks[-1].value == "-" else looks[-1].value
    data = {"writer": writer, "registered": registered, "course": _course(looks, window, history.speed)}
    if registered == writer:
        yield Finding(name, Verdict.PASS, f"the one registered target is the writer, {writer}", data=data)
        yield from _deaf(history, window, max(_turned_s(looks), _first_s(history, window, writer)))
        return
    stuck, advice = EMPTY if not registered else SEVERAL if "," in registered else STALE
    why = f"stuck: {stuck} (writer {writer}, registered {registered or 'nothing'})"
    yield Finding(name, Verdict.FAIL, why, advice=advice, data=data)


def _unknown(looks: list[Observation], writer: str, end_s: float, blind_s: float) -> str:
    """Why nothing can be said of the window's end, "" when something can."""
    if not looks:
        return "what is registered was not seen in the window"
    if not writer:
        return "no write was acknowledged in the window"
    ago_s = end_s - looks[-1].done_s
    return f"it was last seen {ago_s:.1f} s (wall) before the end of the window" if ago_s > blind_s else ""


def _turned_s(looks: list[Observation]) -> float:
    """Since when what is registered at the end has been seen there without a break."""
    others = [look.done_s for look in looks if look.value != looks[-1].value]
    return max(others, default=looks[0].done_s)


def _first_s(history: History, window: Window, writer: str) -> float:
    """When the writer took its first write in the window: the balancer may be turned before it is one."""
    times = [w.sent_s for w in history.writes if w.result == "acked" and w.peer == writer]
    return min((s for s in times if window.begin_s <= s <= window.end_s), default=window.begin_s)


def _deaf(history: History, window: Window, since_s: float) -> Iterator[Finding]:
    """Whether rows were acknowledged all the time since, and none was ever read back."""
    looks = [o for o in history.of(history.probe) if since_s <= o.sent_s and o.done_s <= window.end_s]
    times = [o for o in looks if o.outcome is Outcome.FAIL]  # a look that nobody made says nothing
    if not times or any(o.outcome is Outcome.OK for o in looks):
        return
    told = (times[-1].done_s - since_s) * history.speed
    acked = sum(w.result == "acked" and since_s <= w.sent_s <= window.end_s for w in history.writes)
    if told >= FOLLOWS_WITHIN_S and acked:
        why = f"stuck: {DEAF[0]} ({acked} in {told:.0f} {unit_of(history.header.get('target_kind'))})"
        yield Finding(f"replica, {window.name}", Verdict.FAIL, why, advice=DEAF[1], data={"after_s": round(told, 1)})


def _writer(history: History, window: Window) -> str:
    """The address of the last write acknowledged in the window, "" without one."""
    during = [
        w
        for w in history.writes
        if w.result == "acked" and w.result_s is not None and window.begin_s <= w.result_s <= window.end_s
    ]
    return max(during, key=lambda w: w.sent_s).peer if during else ""


def _course(looks: list[Observation], window: Window, speed: float) -> list[dict[str, object]]:
    """What was registered when: {"after_s" (target seconds from the window's begin), "registered"}."""
    found: list[dict[str, object]] = []
    for look in looks:
        if not found or found[-1]["registered"] != look.value:
            found.append({"after_s": round((look.done_s - window.begin_s) * speed, 1), "registered": look.value})
    return found
