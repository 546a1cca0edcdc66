"""The split of a recovery by the system's own steps, each an interval on the harness's clock.

A step happened between the send of the last look that did not show it and the result of the first look that does.
All of it is the harness's own clock, so rows may be subtracted; the server's own timestamps are kept apart as
"signal" events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from checks.own_clocks import own_clock_rows
from checks.signals import INSTANCE, TARGETS
from checks.windows import FAILBACK, OUTAGE, Settings, Window
from drill.drill import DECIDED
from drill.probes import PULSE
from drill.timeline import History, Observation, Outcome
from drill.verdict import Interval

WRITER, SECRET, HEALTH_CHECK = "aws.writer", "aws.secret", "aws.health_check"
NOTHING = "-"
"""What a witness shows where nobody is writer, nothing is registered or nothing is current: no step's end."""
Row = tuple[str, Interval | None, str]


@dataclass(frozen=True)
class Signal:
    """A step that a witness can see.

    name: of the row; probe, vantage: whose observations show it (vantage None: any one); reached: whether an
    observed value shows it; source: what was polled, for people.
    """

    name: str
    probe: str
    vantage: str | None
    reached: Callable[[str], bool]
    source: str


def phases_of(
    history: History, window: Window, settings: Settings, onset: Interval | None, recovery: Interval | None
) -> tuple[Row, ...]:
    """The rows of one window: name, interval in target seconds from the onset, source clock.

    onset, recovery: monotonic wall seconds. None as interval: not seen. Without an onset the rows count from the
    window's begin and say so. A step before the onset is negative.
    """
    zero = onset or Interval(window.begin_s, window.begin_s)
    since = "" if onset else ", counted from the window's begin (no failure was seen)"
    rows = [
        (f"{window.name}: {s.name}", _from(zero, instant_of(history, window, s), settings.speed), s.source + since)
        for s in signals_of(history, window, settings)
    ]
    rows += own_clock_rows(history, window, zero)
    every_s = settings.timings.probe_interval_s
    quick = ", failed quick looks" if history.of(PULSE) and settings.probing.needed_by_writes else ""
    source = f"harness clock, probe {history.probe} every {every_s:g} {settings.unit}{quick}{since}"
    recovered = (f"{window.name}: clients recovered", _from(zero, recovery, settings.speed), source)
    return (*rows, recovered, *_from_decision(history, window, settings, recovery))


def _from_decision(
    history: History, window: Window, settings: Settings, recovery: Interval | None
) -> tuple[Row, ...]:
    """The recovery counted from the operators' decision, where a scenario has marked one: how long the system took
    once people had made up their minds, which is where some published figures begin."""
    decided = [e for e in history.named(DECIDED) if e.data.get("window") == window.name]
    if not decided:
        return ()
    at_s, after_s = decided[0].at_s, float(decided[0].data["after_s"])
    source = f"harness clock, counted from the operators' decision, which was given {after_s:g} {settings.unit}"
    since = _from(Interval(at_s, at_s), recovery, settings.speed)
    return ((f"{window.name}: clients recovered after the decision", since, source),)


def _from(zero: Interval, instant: Interval | None, speed: float) -> Interval | None:
    """`instant` relative to `zero`, in target seconds; unlike a duration it may be negative."""
    if instant is None:
        return None
    basis = zero.basis + instant.basis
    return Interval((instant.low_s - zero.high_s) * speed, (instant.high_s - zero.low_s) * speed, basis)


def instant_of(history: History, window: Window, signal: Signal) -> Interval | None:
    """When a step happened, in monotonic wall seconds; None when it was not seen to happen in the window.

    A step whose state was there before the window began did not happen in it; nobody knows when one happened whose
    state the first look shows already. Looks that got no answer say nothing.
    """
    looks = sorted(_answered(history, signal), key=lambda o: o.done_s)
    before = [o for o in looks if o.done_s < window.begin_s]
    if before and signal.reached(before[-1].value):
        return None
    during = [o for o in looks if window.begin_s <= o.done_s <= window.end_s]
    first = next((o for o in during if signal.reached(o.value)), None)
    if first is None:
        return None
    missed = [o.sent_s for o in (*before, *during) if o.done_s <= first.done_s and not signal.reached(o.value)]
    if not missed:
        return None
    low_s = min(max(missed), first.done_s)
    return Interval(low_s, first.done_s, (f"{signal.probe} shows {first.value!r} at {first.done_s:.3f}",))


def _answered(history: History, signal: Signal) -> list[Observation]:
    return [o for o in history.of(signal.probe, signal.vantage) if o.outcome is Outcome.OK]


def signals_of(history: History, window: Window, settings: Settings) -> tuple[Signal, ...]:
    """The steps of a failover or failback, in their order: detected, decided, data promoted, traffic switched.

    A system whose clients find the writer by a secret has one more: secret rewritten. Between promoted and rewritten
    the secret is stale.

    Detection belongs to a failover; a failback is started by an operator and has none. In an outage that is survived
    where the system is, nothing more is to be decided, promoted or switched.
    """
    if window.name == OUTAGE:
        return (_detected(settings),)
    if history.of(TARGETS):
        return _inside_one_region(history, window, settings)
    decided = Signal(
        "decided",
        f"aws.execution.{window.name}",
        None,
        _count_above(history, window),
        _polled(settings, _executions(history)),
    )
    if history.of(HEALTH_CHECK):
        return (*_by_health_check(settings), switched(history, settings, window.survivor))
    steps = (
        decided,
        *_promoted(history, window, settings),
        *_rewritten(history, window, settings),
        switched(history, settings, window.survivor),
    )
    return steps if window.name == FAILBACK else (_detected(settings), *steps)


def _by_health_check(settings: Settings) -> tuple[Signal, ...]:
    """Where no machine decides but a health check; it reads the alarm's data itself, not the alarm."""
    alarm, check = _polled(settings, "cloudwatch DescribeAlarms"), _polled(settings, "route53 GetHealthCheckStatus")
    return (
        Signal("detected", "aws.alarm.latency", None, lambda value: value == "ALARM", alarm),
        Signal("decided", HEALTH_CHECK, None, lambda value: value == "UNHEALTHY", check),
    )


def _inside_one_region(history: History, window: Window, settings: Settings) -> tuple[Signal, ...]:
    """The steps where a writer moves between instances and a load balancer is turned to it."""
    vantage, source = _dns_vantage(history, settings)
    steps = (
        ("traffic switched", TARGETS, None, _polled(settings, "elbv2 DescribeTargetHealth")),
        ("data promoted", INSTANCE, None, _polled(settings, "rds DescribeDBClusters")),
        ("writer's name moved", "dns", vantage, source),
    )
    return tuple(
        Signal(name, probe, at, _not_as_before(history, window, probe, at), s) for name, probe, at, s in steps
    )


def _not_as_before(history: History, window: Window, probe: str, vantage: str | None) -> Callable[[str], bool]:
    """Whether a value is another one than the last that was seen before the window began; none at all is not."""
    looks = [o for o in history.of(probe, vantage) if o.outcome is Outcome.OK and o.done_s < window.begin_s]
    before = max(looks, key=lambda o: o.done_s).value if looks else None
    return lambda value: before is not None and value not in (before, NOTHING)


def _promoted(history: History, window: Window, settings: Settings) -> Iterator[Signal]:
    """A row per global cluster that was watched; "aws.writer" of a system with one, "aws.writer.NAME" of several."""
    source = _polled(settings, "rds DescribeGlobalClusters")
    seen = {o.probe for o in history.observations if o.probe.startswith(WRITER)}
    for probe in sorted(seen) or [WRITER]:
        name = probe.removeprefix(WRITER).lstrip(".")
        told = f"data promoted, {name}" if name else "data promoted"
        yield Signal(told, probe, None, lambda value: value == window.survivor, source)


def _rewritten(history: History, window: Window, settings: Settings) -> Iterator[Signal]:
    """When the secret that names the database's writer got another version than it had before the window."""
    if any(o.outcome is Outcome.OK for o in history.of(SECRET)):
        source = _polled(settings, "secretsmanager DescribeSecret")
        yield Signal("secret rewritten", SECRET, None, _not_as_before(history, window, SECRET, None), source)


def _detected(settings: Settings) -> Signal:
    source = _polled(settings, "cloudwatch DescribeAlarms")
    return Signal("detected", "aws.alarm.standby", None, lambda value: value == "ALARM", source)


def _polled(settings: Settings, call: str) -> str:
    return f"harness clock, {call} every {settings.timings.signals_interval_s:g} {settings.unit}"


def _executions(history: History) -> str:
    """What was polled for the system's own machine: a state machine or, where people run one, a runbook."""
    keys = (history.header.get("target") or {}).get("resources") or {}
    runbooks = any(key.endswith("_document") for key in keys)
    return "ssm DescribeAutomationExecutions" if runbooks else "states ListExecutions"


def _count_above(history: History, window: Window) -> Callable[[str], bool]:
    """Whether an execution count ("<n>:<status>") is above the last one seen before the window began."""
    looks = history.of(f"aws.execution.{window.name}")
    before = [o for o in looks if o.outcome is Outcome.OK and o.done_s < window.begin_s]
    base = _count(max(before, key=lambda o: o.done_s).value) if before else None

    def above(value: str) -> bool:
        count = _count(value)
        return base is not None and count is not None and count > base

    return above


def _count(value: str) -> int | None:
    number = value.partition(":")[0]
    return int(number) if number.isdecimal() else None


def switched(history: History, settings: Settings, survivor: str) -> Signal:
    """That DNS answers with addresses of the survivor alone."""
    vantage, source = _dns_vantage(history, settings)

    def moved(value: str) -> bool:
        return settings.places.region_of_answer(value) == survivor

    return Signal("traffic switched", "dns", vantage, moved, source)


def _dns_vantage(history: History, settings: Settings) -> tuple[str, str]:
    """The authoritative server where it can be asked; otherwise the primary Region's resolver, or the first."""
    seen = sorted({o.vantage for o in history.of("dns")})
    preferred = ("authoritative", f"resolver:{settings.places.regions.primary}", *seen)
    vantage = next((v for v in preferred if v in seen), "authoritative")
    how = (
        "answer of the authoritative server"
        if vantage == "authoritative"
        else f"answer of {vantage}, aged by its TTL"
    )
    return vantage, f"harness clock, DNS {how}"
