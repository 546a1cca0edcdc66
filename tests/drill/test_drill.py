"""The Drill: guards before anything, no credit without a bite, restore whatever happens."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drill.aws import Aws
from drill.clock import FakeClock
from drill.drill import Drill, Instrument
from drill.errors import Invalid, NotRecovered, Refused
from drill.interrupt import Interrupts
from drill.journal import Journal, journal_records
from drill.target import Resource, Target, load_target
from drill.timeline import Observation, Outcome, Request, Timeline
from faults.ecs_scale import ScaleEcsService
from tests.aws_server import moto_process

REGION = "ap-northeast-1"
SERVICE = Resource(region=REGION, within="bank", name="transaction")
TARGETS = Path(__file__).resolve().parents[2] / "targets"


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    """One AWS stand-in for this file."""
    with moto_process() as url:
        yield Aws(url)


@pytest.fixture
def service(aws: Aws) -> Iterator[Callable[[], int]]:
    """An ECS service with two tasks; calling it reads the desired count."""
    ecs = aws.client("ecs", REGION)
    ecs.create_cluster(clusterName="bank")
    ecs.register_task_definition(family="f", containerDefinitions=[{"name": "a", "image": "i", "memory": 64}])
    ecs.create_service(cluster="bank", serviceName="transaction", taskDefinition="f", desiredCount=2)
    ecs.update_service(cluster="bank", service="transaction", desiredCount=2)

    def desired() -> int:
        return int(ecs.describe_services(cluster="bank", services=["transaction"])["services"][0]["desiredCount"])

    yield desired
    ecs.delete_service(cluster="bank", service="transaction", force=True)


class Script:
    """Plays a witness: at each look, the probe says what the script says for that (target) second."""

    def __init__(self, clock: FakeClock, timeline: Timeline, says: Callable[[float], Outcome | None]) -> None:
        self._clock, self._timeline, self._says, self._began_s = clock, timeline, says, clock.now_s

    def __call__(self) -> None:
        """One look."""
        now_s = self._clock.now_s
        outcome = self._says(now_s - self._began_s)
        if outcome is not None:
            self._timeline.observations.append(Observation(now_s - 0.01, now_s, "write.settle", "client", outcome))


@pytest.fixture
def make(tmp_path: Path, aws: Aws) -> Iterator[Callable[..., Drill]]:
    """Build a drill on a fake clock whose witness follows a script."""
    opened: list[Drill] = []

    def build(says: Callable[[float], Outcome | None], **changes: Any) -> Drill:
        clock = FakeClock()
        timeline = Timeline.create(tmp_path / "run", clock, {"run_id": "r"})
        journal = Journal(tmp_path / "run" / "journal.jsonl", clock)
        drill = Drill(
            target=target(), aws=aws, clock=clock, timeline=timeline, journal=journal, run_id="r", **changes
        )
        drill.on_tick = Script(clock, timeline, says)
        opened.append(drill)
        return drill

    yield build
    for drill in opened:
        drill.journal.close()
        drill.timeline.close()


def target() -> Target:
    """The shipped target, allowed to break our test service."""
    shipped = load_target(TARGETS / "core-banking.toml")
    return shipped.model_copy(
        update={"blast_radius": shipped.blast_radius.model_copy(update={"resources": {REGION: ["transaction"]}})}
    )


def marks(drill: Drill, name: str) -> list[dict[str, Any]]:
    """The data of all events of that name."""
    return [event.data for event in drill.timeline.events if event.name == name]


def always(outcome: Outcome | None) -> Callable[[float], Outcome | None]:
    """A script that never changes."""
    return lambda _: outcome


def test_a_fault_is_in_force_inside_the_block_and_gone_after(make: Any, service: Callable[[], int]) -> None:
    """Injected, seen by clients, put back, verified."""
    drill = make(always(Outcome.FAIL))
    with drill.window("failover", survivor="ap-northeast-3"), drill.applied(ScaleEcsService(SERVICE, 0)):
        assert service() == 0
    assert service() == 2
    assert [m["phase"] for m in marks(drill, "phase")] == ["injecting", "in_force", "restoring", "restored"]
    assert drill.journal.outstanding() == []


def test_a_fault_that_no_client_sees_is_invalid_and_put_back(make: Any, service: Callable[[], int]) -> None:
    """In force in the control plane, yet every write succeeds: nothing was broken, so nothing is proven."""
    drill = make(always(Outcome.OK))
    with (
        pytest.raises(Invalid, match="fault without bite"),
        drill.window("failover", survivor="x"),
        drill.applied(ScaleEcsService(SERVICE, 0)),
    ):
        pytest.fail("the block must not run")
    assert service() == 2
    assert marks(drill, "window.end") == [{"window": "failover", "reason": "no bite"}]


def test_failures_before_the_injection_are_no_bite(make: Any, service: Callable[[], int]) -> None:
    """A system that fails by itself and then heals does not give the fault credit."""
    drill = make(lambda s: Outcome.FAIL if s < 5 else Outcome.OK)
    drill._wait(4)
    with (
        pytest.raises(Invalid, match="fault without bite"),
        drill.window("failover", survivor="x"),
    ):
        drill._wait(2)
        with drill.applied(ScaleEcsService(SERVICE, 0)):
            pytest.fail("the block must not run")
    assert service() == 2


def test_what_is_outside_the_blast_radius_is_never_touched(make: Any, service: Callable[[], int]) -> None:
    """Refused before the journal has a line."""
    drill = make(always(Outcome.FAIL))
    drill.target = load_target(TARGETS / "core-banking.toml")
    with pytest.raises(Refused, match="outside the blast radius"), drill.applied(ScaleEcsService(SERVICE, 0)):
        pytest.fail("the block must not run")
    assert service() == 2
    assert [record["state"] for record in journal_records(drill.journal.path)] == ["claimed"]


def test_a_fault_that_the_world_undoes_meanwhile_is_noticed(make: Any, aws: Aws, service: Callable[[], int]) -> None:
    """An autoscaler that puts the tasks back makes the drill invalid, not green."""
    drill = make(always(Outcome.FAIL))
    with drill.window("failover", survivor="x"), drill.applied(ScaleEcsService(SERVICE, 0)):
        aws.client("ecs", REGION).update_service(cluster="bank", service="transaction", desiredCount=2)
    (reason,) = [m["reason"] for m in marks(drill, "invalid")]
    assert "undone while the drill ran" in reason


def test_a_fault_that_the_system_itself_may_move_is_not_held(make: Any, aws: Aws, service: Callable[[], int]) -> None:
    """Moved and moved back: no look minds, nothing says that it was held, and putting back compares as ever."""
    drill, ecs = make(always(Outcome.FAIL)), aws.client("ecs", REGION)
    with drill.applied(ScaleEcsService(SERVICE, 0), held=False):
        ecs.update_service(cluster="bank", service="transaction", desiredCount=2)
        drill._wait(40)
        ecs.update_service(cluster="bank", service="transaction", desiredCount=0)
    assert service() == 2
    assert (marks(drill, "invalid"), marks(drill, "fault.held")) == ([], [])
    assert drill.journal.outstanding() == []


def test_never_recovering_ends_the_window_and_restores(make: Any, service: Callable[[], int]) -> None:
    """Time is over: the window's end says so, and the fault is put back all the same."""

    class Never:
        def reached(self, timeline: Timeline, since_s: float) -> None:
            return None

        def begun(self, timeline: Timeline, since_s: float) -> None:
            return None

    drill = make(always(Outcome.FAIL))
    with (
        pytest.raises(NotRecovered, match="did not recover within 50 lab s"),
        drill.window("failover", survivor="x"),
        drill.applied(ScaleEcsService(SERVICE, 0)),
    ):
        drill.until(Never(), timeout_s=50)
    assert service() == 2
    assert marks(drill, "window.end") == [{"window": "failover", "reason": "timeout", "window_s": 50}]


@pytest.mark.parametrize("says", [always(None), always(Outcome.FAIL), always(Outcome.UNKNOWN)])
def test_a_baseline_that_is_not_healthy_is_invalid(make: Any, says: Any) -> None:
    """No probe, failing probes or a blind witness: a drill on such a system proves nothing."""
    drill = make(says)
    with pytest.raises(Invalid, match="baseline unhealthy"):
        drill.steady(for_s=10)


def test_a_healthy_baseline_passes(make: Any) -> None:
    """All good in the second half."""
    drill = make(always(Outcome.OK))
    drill.steady(for_s=10)
    assert marks(drill, "steady")[0]["ok"] is True


@pytest.mark.parametrize(
    ("served_from_s", "healthy", "lasted_s"),
    [(0.0, True, 10.0), (9.0, True, 14.0), (14.5, True, 19.5), (60.0, False, 20.0)],
    ids=["at once", "late", "just in time", "too late"],
)
def test_a_baseline_waits_for_a_load_that_begins_late(
    make: Any, served_from_s: float, healthy: bool, lasted_s: float
) -> None:
    """A load begins in wall seconds, however fast the lab is: the warm-up lasts until it is served, 10 s longer at
    most; the second half is a whole one all the same, and without a served request the system is not healthy."""
    drill = make(always(Outcome.OK), load=(Instrument("load", "nobody"),))
    looks, began_s = drill.on_tick, drill.clock.now_s

    def look() -> None:
        looks()
        now_s = drill.clock.now_s
        if now_s - began_s >= served_from_s:
            drill.timeline.requests.append(Request(now_s, now_s, "deposit", Outcome.OK))

    drill.on_tick = look
    with contextlib.nullcontext() if healthy else pytest.raises(Invalid, match="not one request served"):
        drill.steady(for_s=10)
    assert marks(drill, "steady")[0]["ok"] is healthy
    assert drill.clock.now_s - began_s == pytest.approx(lasted_s, abs=0.5)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_block_and_the_restore_still_finishes(
    make: Any, service: Callable[[], int], number: signal.Signals
) -> None:
    """The first signal raises once; those that come while restoring are only noted."""
    interrupts = Interrupts()
    drill = make(always(Outcome.FAIL), interrupts=interrupts)
    looks = drill.on_tick

    def look() -> None:
        looks()
        if any(m["phase"] == "restoring" for m in marks(drill, "phase")):
            os.kill(os.getpid(), signal.SIGTERM)

    drill.on_tick = look
    interrupts.install()
    try:
        with (
            pytest.raises(KeyboardInterrupt),
            drill.window("failover", survivor="x"),
            drill.applied(ScaleEcsService(SERVICE, 0)),
        ):
            os.kill(os.getpid(), number)
            drill._wait(5)
            pytest.fail("the signal must end the block")
    finally:
        interrupts.uninstall()
    assert service() == 2
    assert marks(drill, "window.end")[0]["reason"] == "aborted"
    assert drill.journal.outstanding() == []


def test_an_exception_in_the_scenario_restores(make: Any, service: Callable[[], int]) -> None:
    """A bug in a scenario never leaves a system broken."""
    drill = make(always(Outcome.FAIL))
    with (
        pytest.raises(ZeroDivisionError),
        drill.window("failover", survivor="x"),
        drill.applied(ScaleEcsService(SERVICE, 0)),
    ):
        _ = 1 / 0
    assert service() == 2


def test_a_call_unknown_to_botocore_is_refused_before_it_is_made(make: Any, service: Callable[[], int]) -> None:
    """A fault with a typo is caught by the model, not by AWS half way through."""

    class Typo(ScaleEcsService):
        def prepare(self, aws: Aws, target: str, run_id: str) -> Any:
            change = super().prepare(aws, target, run_id)
            return replace(change, restore=(replace(change.restore[0], operation="UpdateServise"),))

    drill = make(always(Outcome.FAIL))
    with pytest.raises(Exception, match="no operation UpdateServise"), drill.applied(Typo(SERVICE, 0)):
        pytest.fail("the block must not run")
    assert service() == 2


class Holds:
    """A condition that seems to hold after `sign_s`, and holds after `after_s` (target seconds of the script)."""

    def __init__(self, clock: FakeClock, sign_s: float, after_s: float) -> None:
        self._clock, self._began_s, self._sign_s, self._after_s = clock, clock.now_s, sign_s, after_s

    def reached(self, timeline: Timeline, since_s: float) -> float | None:
        return self._at(self._after_s)

    def begun(self, timeline: Timeline, since_s: float) -> float | None:
        return self._at(self._sign_s)

    def _at(self, after_s: float) -> float | None:
        return self._clock.now_s if self._clock.now_s - self._began_s >= after_s else None


def test_recovering_is_a_phase_of_its_own(make: Any) -> None:
    """From the first sign of recovery until it has been sustained."""
    drill = make(always(Outcome.OK))
    with drill.window("failover", survivor="x"):
        drill.until(Holds(drill.clock, 10, 40), timeout_s=100)
    assert [m["phase"] for m in marks(drill, "phase")] == ["recovering", "recovered"]
    at_s = {e.data.get("phase"): e.at_s for e in drill.timeline.events if e.name == "phase"}
    assert 29 <= at_s["recovered"] - at_s["recovering"] <= 31


def test_a_window_whose_time_went_by_is_looked_at_once(make: Any) -> None:
    """A slow action may use up the time: what has recovered meanwhile has recovered."""
    drill = make(always(Outcome.OK))
    with drill.window("failback", survivor="x"):
        drill._wait(100)
        drill.until(Holds(drill.clock, 0, 0), timeout_s=50)
    assert marks(drill, "window.end")[0]["reason"] == "recovered"


def test_what_is_waited_for_once_measures_nothing(make: Any) -> None:
    """The scenario goes on when it is seen; no window and no phase is touched."""
    drill = make(always(Outcome.OK))
    drill.once(Holds(drill.clock, 0, 20), timeout_s=100)
    assert len(marks(drill, "once")) == 1
    assert not marks(drill, "window.end") and not marks(drill, "phase")


def test_what_never_comes_ends_the_scenario_as_invalid(make: Any) -> None:
    """Its next step would be done to another state than it says."""
    drill = make(always(Outcome.OK))
    with pytest.raises(Invalid, match="was not seen within 30 lab s"):
        drill.once(Holds(drill.clock, 0, 1000), timeout_s=30)


def test_staying_is_looked_at_for_its_time_after_the_opening(make: Any) -> None:
    """The marks lie that far apart, and the opening is before the first."""
    drill = make(always(Outcome.OK))
    began_s = drill.clock.monotonic_s()
    drill.stay("ap-northeast-1", after_s=60, for_s=100)
    begin, end = (e for e in drill.timeline.events if e.name.startswith("stay."))
    assert (begin.at_s - began_s >= 60, end.at_s - begin.at_s >= 100) == (True, True)
    assert begin.data == {"region": "ap-northeast-1", "for_s": 100}


def test_the_settled_pass_begins_settle_s_after_the_first(make: Any) -> None:
    """Each pass is on record with the Region that was read."""
    passes: list[tuple[str, str]] = []
    drill = make(always(Outcome.OK), read_back=lambda region, window, pass_, until_s: passes.append((region, pass_)))
    with drill.window("failover", survivor="x"):
        drill.until(Holds(drill.clock, 0, 0), timeout_s=50)
        drill.settle("ap-northeast-3")
    assert passes == [("ap-northeast-3", "recovery"), ("ap-northeast-3", "settled")]
    first, second = (e for e in drill.timeline.events if e.name == "readback")
    assert second.at_s - first.at_s >= drill.target.timings.settle_s
    assert first.data == {"window": "failover", "pass_": "recovery", "region": "ap-northeast-3"}


@pytest.mark.parametrize(("first_takes_s", "apart_s"), [(0, 60), (45, 60), (100, 100)])
def test_what_the_first_pass_takes_is_a_part_of_the_settle_time(
    make: Any, first_takes_s: float, apart_s: float
) -> None:
    """The deadline is settle_s after the first pass has begun, or its end where that is later."""
    passes: list[str] = []

    def read_back(region: str, window: str, pass_: str, until_s: float) -> None:
        passes.append(pass_)
        drill.clock.sleep(first_takes_s if pass_ == "recovery" else 0)

    drill = make(always(Outcome.OK), read_back=read_back)
    with drill.window("failover", survivor="x"):
        drill.until(Holds(drill.clock, 0, 0), timeout_s=50)
        drill.settle("ap-northeast-3")
    first, second = (e for e in drill.timeline.events if e.name == "readback")
    assert (second.at_s - first.at_s, passes) == (pytest.approx(apart_s), ["recovery", "settled"])


def test_a_fault_still_in_force_at_the_end_is_on_record(make: Any, service: Callable[[], int]) -> None:
    """Seen again just before it is put back, under its number in the journal."""
    drill = make(always(Outcome.FAIL))
    with drill.window("failover", survivor="x"), drill.applied(ScaleEcsService(SERVICE, 0)):
        pass
    assert marks(drill, "fault.held") == [{"number": 1, "kind": "ecs.scale"}]
    (injected,) = marks(drill, "fault.injected")
    assert injected["resources"][0].endswith("bank/transaction")
    assert marks(drill, "fault.restored") == [{"number": 1, "kind": "ecs.scale"}]


def test_an_instrument_that_cannot_be_stopped_does_not_keep_the_others_running(make: Any) -> None:
    """All are told to end before the first is waited for, the last one started first; then the failure is told."""
    stopped: list[str] = []

    class Stubborn:
        def __init__(self, name: str) -> None:
            self.name = name

        def died(self) -> None:
            return None

        def tell(self) -> None:
            stopped.append(f"told {self.name}")

        def stop(self) -> None:
            stopped.append(self.name)
            if self.name == "load":
                raise TimeoutError("will not end")

    drill = make(always(Outcome.OK))
    drill._children = [Stubborn("prober"), Stubborn("load")]
    with pytest.raises(TimeoutError):
        drill.stop()
    assert stopped == ["told prober", "told load", "load", "prober"]
    assert drill._children == []
