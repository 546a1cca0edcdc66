"""AWS as it really behaves: each drill ends restored, or DIRTY with the lines to type, never silently."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from drill.aws import Aws, AwsFailed
from drill.change import Change
from drill.clock import Clock, FakeClock, SystemClock
from drill.drill import Drill
from drill.errors import Refused, RestoreFailed
from drill.journal import NO_CHANGE, Journal, outstanding
from drill.limits import Limits
from drill.restore import UNANSWERED_TRIES, put_back
from drill.target import Resource
from drill.timeline import Observation, Outcome, Timeline
from faults.ecs_scale import ScaleEcsService
from faults.events_rule import SetRuleState
from faults.start_machine import StartStateMachine
from lab.aws.misbehave import parse
from tests.checks.cloud import RULE, SERVICES, Cloud, cloud
from tests.checks.worlds import OSAKA, TOKYO
from tests.faults.samples import FAILBACK, SERVICE

TWIN = "BLEAFSI-CoreBanking-twin"
ARMED = SetRuleState(Resource(region=OSAKA, name=RULE), "ENABLED")
ONCE = Limits(connect_s=1.0, read_s=0.4, attempts=1)
SPEED = 10.0
"""Of the harness here: the account's own clock runs ten times as fast, so that its delays are short for us."""


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """One account for this file, with a second rule in Tokyo."""
    with cloud(tmp_path_factory.mktemp("cloud")) as made:
        made.client("events", TOKYO).put_rule(Name=TWIN, EventPattern='{"source":["x"]}', State="DISABLED")
        yield made


@pytest.fixture
def made(account: Cloud) -> Iterator[Cloud]:
    """It behaves, and everything in it is as before, at the begin and at the end of each test."""
    yield account
    account.server.behave()
    account.client("events", OSAKA).disable_rule(Name=RULE)
    account.client("events", TOKYO).disable_rule(Name=TWIN)
    account.tasks(TOKYO, 0, 1, 1)


@pytest.fixture(scope="module")
def hasty(account: Cloud) -> Aws:
    """Clients that try once and wait 0.4 s for an answer."""
    return Aws(account.server.url, ONCE)


@pytest.fixture(scope="module")
def single(account: Cloud) -> Aws:
    """Clients that try once, and wait as long for an answer as a busy machine may need."""
    return Aws(account.server.url, replace(ONCE, read_s=5.0))


@pytest.fixture(scope="module")
def patient(account: Cloud) -> Aws:
    """Clients as a drill has them."""
    return account.aws


Maker = Callable[..., Drill]


@pytest.fixture
def make(made: Cloud, tmp_path: Path) -> Iterator[Maker]:
    """Build a drill in that account whose clients see failures at every look."""
    opened: list[Drill] = []

    def build(aws: Aws, clock: Clock | None = None, on_tick: Callable[[], None] = lambda: None) -> Drill:
        at = clock or FakeClock()
        timeline = Timeline.create(tmp_path / "run", at, {"run_id": "r"})
        journal = Journal(tmp_path / "run" / "journal.jsonl", at)
        radius = {TOKYO: ["*"], OSAKA: ["*"]}
        target = made.target.model_copy(
            update={"blast_radius": made.target.blast_radius.model_copy(update={"resources": radius})}
        )
        drill = Drill(target=target, aws=aws, clock=at, timeline=timeline, journal=journal, run_id="r")

        def look() -> None:
            now_s = at.monotonic_s()
            timeline.observations.append(Observation(now_s - 0.01, now_s, "write.settle", "client", Outcome.FAIL))
            on_tick()

        drill.on_tick = look
        opened.append(drill)
        return drill

    yield build
    for drill in opened:
        drill.journal.close()
        drill.timeline.close()


def rules(made: Cloud) -> tuple[str, str]:
    """The true states of the two rules, asked past the misbehaviour."""
    osaka, tokyo = made.client("events", OSAKA), made.client("events", TOKYO)
    return str(osaka.describe_rule(Name=RULE)["State"]), str(tokyo.describe_rule(Name=TWIN)["State"])


def desired(made: Cloud) -> int:
    """The true desired count of the service."""
    found = made.client("ecs", TOKYO).describe_services(cluster=made.clusters[TOKYO], services=[SERVICES[0]])
    return int(found["services"][0]["desiredCount"])


AS_BEFORE = ("DISABLED", "DISABLED")


@dataclass(frozen=True)
class BothRules:
    """Enables a rule in Osaka, then one in Tokyo: two calls in two Regions."""

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """See Fault."""
        tokyo = SetRuleState(Resource(region=TOKYO, name=TWIN), "ENABLED")
        one, two = (fault.prepare(aws, target, run_id) for fault in (ARMED, tokyo))
        keys = ("resources", "inject", "restore", "faulted", "before")
        return replace(one, **{key: getattr(one, key) + getattr(two, key) for key in keys})


def states(drill: Drill) -> list[str]:
    """Every state that what is in the journal went through; what is about the journal itself left out."""
    records = [json.loads(line) for line in drill.journal.path.read_text().splitlines()]
    return [record["state"] for record in records if record["number"] != NO_CHANGE]


def again(drill: Drill) -> None:
    """As the sweep or `drill restore` does it later."""
    for entry in drill.journal.outstanding():
        put_back(drill.aws, drill.journal, entry.number, entry.change, drill.clock.sleep, 20.0)


def injected(drill: Drill, fault: Any = ARMED, confirmed: bool = True) -> tuple[int, Change]:
    """The fault in force, through the journal, its block not yet ended."""
    change = fault.prepare(drill.aws, "t", "r")
    number = drill.journal.open_change(change)
    drill.journal.record(number, "injecting")
    for call in change.inject:
        drill.aws.run(call)
    if confirmed:
        drill.journal.record(number, "injected")
    return number, change


# -- throttled


def test_a_short_throttle_is_ridden_out(made: Cloud, make: Maker, patient: Aws) -> None:
    """Two refusals of the injection, two of the restore: botocore tries again, nobody notices."""
    made.server.misbehave(parse("throttle events:EnableRule count=2"), parse("throttle events:DisableRule count=2"))
    drill = make(patient)
    with drill.applied(ARMED):
        assert rules(made) == ("ENABLED", "DISABLED")
    assert (rules(made), states(drill)[-1]) == (AS_BEFORE, "restored")


def test_throttled_while_injecting_is_restored(made: Cloud, make: Maker, hasty: Aws) -> None:
    """The drill ends with AWS's words; that nothing was done is looked at, not assumed."""
    made.server.misbehave(parse("throttle events:EnableRule"))
    drill = make(hasty)
    with pytest.raises(AwsFailed, match="Rate exceeded"), drill.applied(ARMED):
        pytest.fail("the block must not run")
    assert (rules(made), states(drill)) == (AS_BEFORE, ["prepared", "injecting", "restored"])


@pytest.mark.parametrize("operation", ["DisableRule", "DescribeRule"])
@pytest.mark.parametrize("manner", ["throttle", "error", "unavailable"])
def test_a_restore_comes_again_while_aws_is_busy(
    made: Cloud, make: Maker, single: Aws, operation: str, manner: str
) -> None:
    """Pausing longer each time, within the restore's time; then it is done, and nobody is told to type anything."""
    drill = make(single)
    with drill.applied(ARMED):
        made.server.misbehave(parse(f"{manner} events:{operation} count=4"))
    assert (rules(made), states(drill)[-1]) == (AS_BEFORE, "restored")
    assert "dirty" not in states(drill)


def test_a_throttle_that_does_not_end_is_dirty_and_then_restored(made: Cloud, make: Maker, hasty: Aws) -> None:
    """Tried for the restore's time and no longer; the lines are there; a later restore succeeds."""
    drill = make(hasty)
    with pytest.raises(RestoreFailed, match="Rate exceeded") as caught, drill.applied(ARMED):
        made.server.misbehave(parse("throttle events:DisableRule"))
    assert (rules(made)[0], states(drill)[-1]) == ("ENABLED", "dirty")
    assert caught.value.lines == (
        f"aws events disable-rule --name {RULE} --region {OSAKA} --endpoint-url {made.server.url}",
    )
    made.server.behave()
    again(drill)
    assert (rules(made), drill.journal.outstanding()) == (AS_BEFORE, [])


# -- credentials that expire


def test_expired_credentials_are_dirty_at_once(made: Cloud, make: Maker, hasty: Aws) -> None:
    """Asking again would not help: the message says what would, and a restore with fresh ones succeeds."""
    drill, began_s = make(hasty), 0.0
    with pytest.raises(RestoreFailed, match="the credentials have ended") as caught, drill.applied(ARMED):
        made.server.misbehave(parse("expired"))
        began_s = drill.clock.monotonic_s()
    assert drill.clock.monotonic_s() - began_s < 1  # nothing was slept
    assert (len(caught.value.lines), states(drill)[-1], rules(made)[0]) == (1, "dirty", "ENABLED")
    made.server.behave()
    again(drill)
    assert (rules(made), drill.journal.outstanding()) == (AS_BEFORE, [])


def test_credentials_that_expire_between_two_calls_of_an_injection(made: Cloud, make: Maker, hasty: Aws) -> None:
    """Half applied and no way to look: DIRTY with both lines, and the half is put back later."""
    drill = make(hasty)
    change = BothRules().prepare(hasty, "t", "r")
    number = drill.journal.open_change(change)
    drill.journal.record(number, "injecting")
    hasty.run(change.inject[0])
    made.server.misbehave(parse("expired"))
    with pytest.raises(AwsFailed, match="expired"):
        hasty.run(change.inject[1])
    with pytest.raises(RestoreFailed) as caught:
        put_back(hasty, drill.journal, number, change, drill.clock.sleep, 20.0)
    assert [line.split()[2] for line in caught.value.lines] == ["disable-rule", "disable-rule"]
    made.server.behave()
    assert rules(made) == ("ENABLED", "DISABLED")
    again(drill)
    assert (rules(made), drill.journal.outstanding()) == (AS_BEFORE, [])


# -- a Region that stops answering


def bounded_wall_s(limits: Limits, tries: int) -> float:
    """What the module promises for one put_back that gets no answer, and a machine that stalls."""
    return tries * limits.worst_call_s + 10


def test_a_region_that_hangs_while_injecting_ends_in_bounded_time(made: Cloud, make: Maker, hasty: Aws) -> None:
    """The call is given up, then looked for, and found not to have been done."""
    made.server.misbehave(parse(f"hang events:EnableRule@{OSAKA}"))
    drill, began_s = make(hasty), time.monotonic()
    with pytest.raises(AwsFailed, match="Read timeout"), drill.applied(ARMED):
        pytest.fail("the block must not run")
    assert time.monotonic() - began_s < bounded_wall_s(ONCE, 1)
    assert (rules(made), states(drill)[-1]) == (AS_BEFORE, "restored")


@pytest.mark.parametrize("manner", ["hang", "reset"])
def test_a_region_that_is_gone_while_restoring_is_dirty_in_bounded_time(
    made: Cloud, make: Maker, hasty: Aws, manner: str
) -> None:
    """A silent Region is tried twice and no more; the lines are there; later the restore succeeds."""
    drill, began_s = make(hasty), 0.0
    with pytest.raises(RestoreFailed) as caught, drill.applied(ARMED):
        made.server.misbehave(parse(f"{manner} @{OSAKA}"))
        began_s = time.monotonic()
    assert time.monotonic() - began_s < bounded_wall_s(ONCE, UNANSWERED_TRIES + 1)  # and the last look at the fault
    assert (len(caught.value.lines), states(drill)[-1]) == (1, "dirty")
    reasons = [e.data["reason"] for e in drill.timeline.events if e.name == "invalid"]
    assert len(reasons) == 1
    assert "could not see whether" in reasons[0]
    made.server.behave()
    again(drill)
    assert (rules(made), drill.journal.outstanding()) == (AS_BEFORE, [])


def test_an_api_that_refuses_connections_is_dirty_and_then_restored(made: Cloud, make: Maker, hasty: Aws) -> None:
    """Nobody listens: the same as silence, only quicker."""
    host, port = made.server.url.removeprefix("http://").split(":")
    drill = make(hasty)
    number, change = injected(drill)
    made.server.close_listener((host, int(port)))
    try:
        with pytest.raises(RestoreFailed, match="Could not connect"):
            put_back(hasty, drill.journal, number, change, drill.clock.sleep, 20.0)
    finally:
        made.server.listen(host, int(port))
    again(drill)
    assert (rules(made), drill.journal.outstanding()) == (AS_BEFORE, [])


def test_the_worst_case_of_one_call_is_what_botocore_can_do() -> None:
    """Three attempts of 2 s and 10 s, and pauses of at most 1 + 5 and 2 + 5 s between them."""
    assert Limits().worst_call_s == pytest.approx(3 * 12 + 6 + 7)
    assert ONCE.worst_call_s == pytest.approx(1.4)


# -- half applied, and answers that get lost


def test_a_change_that_stops_half_way_is_put_back(made: Cloud, make: Maker, hasty: Aws) -> None:
    """The first of two calls was made, the second refused: one value is ours, one as before, none somebody else's."""
    made.server.misbehave(parse(f"throttle events:EnableRule@{TOKYO}"))
    drill = make(hasty)
    with pytest.raises(AwsFailed), drill.applied(BothRules()):
        pytest.fail("the block must not run")
    assert (rules(made), states(drill)) == (AS_BEFORE, ["prepared", "injecting", "restoring", "restored"])


def test_a_restore_that_stops_half_way_is_finished_later(made: Cloud, make: Maker, hasty: Aws) -> None:
    """Each call may be made twice; what is back already is not somebody else's."""
    drill = make(hasty)
    with pytest.raises(RestoreFailed) as caught, drill.applied(BothRules()):
        made.server.misbehave(parse(f"reset events:DisableRule@{TOKYO}"))
    assert rules(made) == ("DISABLED", "ENABLED")
    assert len(caught.value.lines) == 2
    made.server.behave()
    again(drill)
    assert (rules(made), drill.journal.outstanding()) == (AS_BEFORE, [])


def test_an_injection_whose_answer_was_lost_is_put_back(made: Cloud, make: Maker, hasty: Aws) -> None:
    """The harness sees an error, the world a fault: compare-and-set finds it."""
    made.server.misbehave(parse("lose events:EnableRule"))
    drill = make(hasty)
    with pytest.raises(AwsFailed), drill.applied(ARMED):
        pytest.fail("the block must not run")
    assert (rules(made), states(drill)) == (AS_BEFORE, ["prepared", "injecting", "restoring", "restored"])


def test_a_restore_whose_answer_was_lost_is_seen_to_have_worked(made: Cloud, make: Maker, hasty: Aws) -> None:
    """It is looked at again, and found as before."""
    drill = make(hasty)
    with drill.applied(ARMED):
        made.server.misbehave(parse("lose events:DisableRule count=1"))
    assert (rules(made), states(drill)[-1]) == (AS_BEFORE, "restored")


def test_an_action_whose_answer_was_lost_is_not_repeated(made: Cloud, make: Maker, hasty: Aws) -> None:
    """Read back: it has begun, so its end is awaited; there is one execution."""
    made.server.misbehave(parse("lose stepfunctions:StartExecution count=1"))
    drill = make(hasty, SystemClock(SPEED))
    drill.perform(StartStateMachine(FAILBACK, timeout_s=300))
    assert states(drill) == ["intended", "started", "reached"]
    assert [e.data["reached"] for e in drill.timeline.events if e.name == "action.ended"] == [True]
    assert len([e for e in drill.timeline.events if e.name == "action.answer_lost"]) == 1
    machine = made.machines["FailbackStateMachineE5"]
    executions = made.client("stepfunctions", OSAKA).list_executions(stateMachineArn=machine)["executions"]
    assert [e["name"] for e in executions].count("drill-r") == 1


# -- replies that are old, and calls that arrive late


@pytest.mark.parametrize("confirmed", [True, False])
@pytest.mark.parametrize(("settle_s", "delay_s", "truth"), [(30.0, 150, "DISABLED"), (0.0, 2000, "ENABLED")])
def test_as_before_is_not_believed_while_it_may_be_old(
    made: Cloud, make: Maker, patient: Aws, confirmed: bool, settle_s: float, delay_s: float, truth: str
) -> None:
    """Right after the injection every reply still says "as before", and the fault is in force.

    Replies are old for 1.5 s of wall time, and the drill settles for 3 s. The second case takes the settling away, to
    show that this is what holds: it would say restored and be wrong.
    """
    drill = make(patient, SystemClock(SPEED))
    ARMED.prepare(patient, "t", "r")
    made.server.misbehave(parse(f"stale events delay_s={delay_s}"))
    number, change = injected(drill, confirmed=confirmed)
    change = replace(change, settle_s=settle_s)
    put_back(patient, drill.journal, number, change, drill.clock.sleep, 60.0)
    assert (rules(made)[0], states(drill)[-1]) == (truth, "restored")


def test_somebody_else_is_not_believed_while_it_may_be_old(made: Cloud, make: Maker, patient: Aws) -> None:
    """A reply from before shows a count that is neither: a moment later it is ours, and put back, not left alone."""
    drill = make(patient, SystemClock(SPEED))
    number, change = injected(drill, ScaleEcsService(SERVICE, 0))
    change = replace(change, settle_s=60.0)
    look = change.faulted[0].call
    patient.run(look)
    made.server.misbehave(parse("stale ecs delay_s=300"))  # 3 s of wall time: 7 shows from the 3rd second to the 5th
    assert patient.run(look)["services"][0]["desiredCount"] == 0
    made.tasks(TOKYO, 0, 7, 0)
    time.sleep(2.0)
    made.tasks(TOKYO, 0, 0, 0)
    seen = eventually(lambda: patient.run(look)["services"][0]["desiredCount"], lambda count: count == 7)
    assert seen == 7
    put_back(patient, drill.journal, number, change, drill.clock.sleep, 100.0)
    assert (desired(made), states(drill)[-1]) == (1, "restored")


def test_somebody_else_is_believed_when_every_look_says_so(made: Cloud, make: Maker, hasty: Aws) -> None:
    """Settling does not turn another's change into ours: left alone, DIRTY, both values."""
    drill = make(hasty)
    number, change = injected(drill, ScaleEcsService(SERVICE, 0))
    made.tasks(TOKYO, 0, 5, 5)
    with pytest.raises(RestoreFailed, match=r"desiredCount: 5.*As we broke it: 0.*As before: 1"):
        put_back(hasty, drill.journal, number, change, drill.clock.sleep, 20.0)
    assert desired(made) == 5


@pytest.mark.parametrize("made_before", [False, True])
def test_a_call_that_takes_effect_late_is_put_back_too(
    made: Cloud, make: Maker, patient: Aws, made_before: bool
) -> None:
    """A call that nobody saw confirmed may arrive while it is put back, or again right after."""
    drill, slept = make(patient), [0]
    change = ARMED.prepare(patient, "t", "r")
    number = drill.journal.open_change(change)
    drill.journal.record(number, "injecting")
    if made_before:
        patient.run(change.inject[0])

    def sleep(target_s: float) -> None:
        slept[0] += 1
        if slept[0] == 3:
            made.client("events", OSAKA).enable_rule(Name=RULE)

    put_back(patient, drill.journal, number, change, sleep, 60.0)
    assert slept[0] >= 3
    assert (rules(made), states(drill)[-1]) == (AS_BEFORE, "restored")


@dataclass(frozen=True)
class Slow(ScaleEcsService):
    """The fault of a service whose replies may be old for long."""

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """See Fault."""
        return replace(super().prepare(aws, target, run_id), settle_s=55.0)


def test_what_was_captured_from_an_old_reply_is_refused(made: Cloud, make: Maker, patient: Aws) -> None:
    """A deploy of a moment ago does not show yet: injecting now would put back what was before it."""
    drill, fault = make(patient, SystemClock(SPEED)), Slow(SERVICE, 0)
    made.server.misbehave(parse("stale ecs delay_s=500"))  # 5 s of wall time; 55 s of the drill are 5.5 s
    fault.prepare(patient, "t", "r")
    made.tasks(TOKYO, 0, 4, 4)
    assert fault.prepare(patient, "t", "r").before[0].equals == 1  # old: it is 4 by now
    with (
        pytest.raises(Refused, match=r"somebody has just changed it.*desiredCount: 4, 1 before"),
        drill.window("failover", survivor=OSAKA),
        drill.applied(fault),
    ):
        pytest.fail("the block must not run")
    assert (desired(made), states(drill)) == (4, [])


def test_a_whole_fault_under_old_replies(made: Cloud, make: Maker, patient: Aws) -> None:
    """In force is said when it shows, restored when that shows."""
    drill = make(patient, SystemClock(SPEED))
    ARMED.prepare(patient, "t", "r")
    made.server.misbehave(parse("stale events delay_s=60"))
    with drill.applied(ARMED):
        assert rules(made)[0] == "ENABLED"
    assert (rules(made), states(drill)[-1]) == (AS_BEFORE, "restored")
    assert [e.name for e in drill.timeline.events if e.name in ("fault.held", "invalid")] == ["fault.held"]


# -- a world that undoes the fault


def scaler(made: Cloud, clock: FakeClock, puts: dict[float, int]) -> Callable[[], None]:
    """An autoscaler: at so many seconds from now, that many tasks."""
    began_s, left = clock.now_s, dict(puts)

    def play() -> None:
        for at_s in [at_s for at_s in sorted(left) if clock.now_s - began_s >= at_s]:
            count = left.pop(at_s)
            made.tasks(TOKYO, 0, count, count)

    return play


@pytest.mark.parametrize(
    ("puts", "restored"),
    [({30.0: 1}, True), ({30.0: 1, 55.0: 0}, True), ({30.0: 3, 55.0: 0}, True), ({30.0: 3}, False)],
    ids=["back to before", "back and gone again", "another count and gone again", "another count"],
)
def test_tasks_that_come_back_meanwhile_make_the_drill_invalid(
    made: Cloud, make: Maker, patient: Aws, puts: dict[float, int], restored: bool
) -> None:
    """Also when they are gone again at the end, which a single last look would take for "in force all the time"."""
    clock = FakeClock()
    drill = make(patient, clock, scaler(made, clock, puts))

    def play() -> None:
        with drill.window("failover", survivor=OSAKA), drill.applied(ScaleEcsService(SERVICE, 0)):
            drill._wait(90)

    if restored:
        play()
        assert (desired(made), outstanding(drill.journal.path)) == (1, [])
    else:
        with pytest.raises(RestoreFailed, match="left alone"):
            play()
    reasons = [e.data["reason"] for e in drill.timeline.events if e.name == "invalid"]
    assert len(reasons) == 1
    assert "ecs.scale was undone while the drill ran" in reasons[0]
    assert not [e for e in drill.timeline.events if e.name == "fault.held"]


def test_a_look_that_fails_says_nothing_and_does_not_hold_up_the_drill(
    made: Cloud, make: Maker, patient: Aws
) -> None:
    """Meanwhile the API is busy or silent; at the end it is seen that the fault has held."""
    clock = FakeClock()
    drill = make(patient, clock)
    with drill.window("failover", survivor=OSAKA), drill.applied(ScaleEcsService(SERVICE, 0)):
        made.server.misbehave(parse("throttle ecs:DescribeServices"))
        drill._wait(200)
        (told,) = made.server.misbehaving()
        assert 2 <= int(str(told["hits"])) <= 6  # it asked, once each time, and less often than when all is well
        made.server.behave()
    assert [e.name for e in drill.timeline.events if e.name in ("fault.held", "invalid")] == ["fault.held"]
    assert desired(made) == 1


def eventually(look: Callable[[], Any], good: Callable[[Any], bool], wall_s: float = 15.0) -> Any:
    """The first good thing that it sees, bounded."""
    deadline_s = time.monotonic() + wall_s
    while not good(seen := look()):
        assert time.monotonic() < deadline_s, f"still {seen!r}"
        time.sleep(0.02)
    return seen
