"""However a drill ends: what was broken is put back, what is not is DIRTY, and nothing of it is PASS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from checks.seal import SEAL
from commands.exit_code import session_exit_code
from commands.outstanding import require_nothing_outstanding
from commands.running import Run
from commands.world import World
from drill.aws import Aws, AwsFailed
from drill.call import Call
from drill.change import Change
from drill.clock import FakeClock
from drill.drill import Drill
from drill.errors import Invalid, Refused
from drill.journal import Journal, last_claim, outstanding
from drill.reach import Reach
from drill.restorer import Restorer
from drill.timeline import Timeline, load_history
from drill.verdict import Verdict
from faults.ecs_scale import ScaleEcsService
from faults.events_rule import SetRuleState
from faults.start_machine import StartStateMachine
from tests.drill.endings import (
    AS_BEFORE,
    MACHINE,
    OTHER,
    REGION,
    RULE,
    SERVICE,
    Never,
    Scene,
    Soon,
    Troubled,
    armed,
    broken,
    code,
    dirty,
    ended,
    furnished,
    judged,
    new_run,
    reasons,
    state,
    troubled_cloud,
)

Trouble = Callable[[Call], BaseException | None]


@pytest.fixture(scope="module")
def cloud() -> Iterator[Troubled]:
    """One AWS stand-in for this file."""
    with troubled_cloud() as made:
        yield made


@pytest.fixture
def aws(cloud: Troubled) -> Iterator[Troubled]:
    """A service with two tasks, a disabled rule and a state machine; no trouble."""
    with furnished(cloud) as made:
        yield made


@pytest.mark.parametrize(("error", "calls"), [(None, 1), (Invalid("x"), 1), (KeyboardInterrupt(), 0)])
def test_what_comes_after_is_begun_when_all_evidence_is_there(
    tmp_path: Path, aws: Troubled, error: BaseException | None, calls: int
) -> None:
    """Once, with the run folder sealed and not yet judged; never after an abort, which ends the session too."""
    seen: list[tuple[bool, bool]] = []
    run = new_run(tmp_path, aws)

    def after() -> None:
        seen.append((bool(load_history(run.folder).named(SEAL)), run.judgement is None))

    run.after_measuring = after
    if error is not None:
        run.blame(error)
    run.finish()
    run.finish()
    assert seen == [(True, True)] * calls


def raising(error: BaseException) -> Callable[..., None]:
    """A function that raises."""

    def stop(*_: object, **__: object) -> None:
        raise error

    return stop


def in_until(error: BaseException) -> Scene:
    """It comes while the drill waits for recovery."""

    def then(drill: Drill) -> None:
        drill.on_tick = raising(error)
        drill.until(Never(), timeout_s=50)

    return broken(then)


def in_settle(error: BaseException) -> Scene:
    """It comes between the two passes of the read-back."""

    def then(drill: Drill) -> None:
        drill.until(Soon(), timeout_s=50)
        drill.on_tick = raising(error)
        drill.settle(OTHER)

    return broken(then)


def in_read_back(error: BaseException) -> Scene:
    """It comes while written data is read back."""

    def then(drill: Drill) -> None:
        drill.until(Soon(), timeout_s=50)
        drill.read_back = raising(error)
        drill.settle(OTHER)

    return broken(then)


def in_perform(error: BaseException) -> Scene:
    """It comes while an action runs."""

    def then(drill: Drill) -> None:
        drill.on_tick = raising(error)
        drill.perform(StartStateMachine(MACHINE, timeout_s=50))

    return broken(then)


SCENES = {"until": in_until, "settle": in_settle, "read-back": in_read_back, "perform": in_perform}
ERRORS = (KeyboardInterrupt("stopped by SIGINT"), AwsFailed("ecs said no"), ZeroDivisionError("a bug"))


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("name", sorted(SCENES))
def test_whatever_comes_wherever_everything_is_put_back_and_the_drill_is_invalid(
    tmp_path: Path, aws: Troubled, name: str, error: BaseException
) -> None:
    """INVALID with its reason, exit 11, journal restored."""
    run = ended(tmp_path, aws, SCENES[name](error))
    assert state(aws) == AS_BEFORE
    assert judged(run).verdict is Verdict.INVALID
    assert str(error) in reasons(run, Verdict.INVALID)
    assert (code(run), outstanding(run.folder / "journal.jsonl")) == (11, [])


def test_never_recovering_is_a_fail_and_everything_is_put_back(tmp_path: Path, aws: Troubled) -> None:
    """No exception of the harness's own makes it INVALID; what the evidence says decides."""
    run = ended(tmp_path, aws, broken(lambda drill: drill.until(Never(), timeout_s=50)))
    assert state(aws) == AS_BEFORE
    assert not any("NotRecovered" in f.reason for f in judged(run).findings)
    assert load_history(run.folder).named("window.end")[0].data["reason"] == "timeout"


def once(operation: str, error: BaseException, times: int = 1) -> Trouble:
    """Trouble for the first calls of that operation."""
    left = [times]

    def trouble(call: Call) -> BaseException | None:
        if call.operation != operation or not left[0]:
            return None
        left[0] -= 1
        return error

    return trouble


@pytest.mark.parametrize("error", [KeyboardInterrupt("now"), AwsFailed("throttled")], ids=lambda e: type(e).__name__)
def test_trouble_between_the_journal_and_the_call(tmp_path: Path, aws: Troubled, error: BaseException) -> None:
    """Nobody knows whether the call was made: it is looked at, found as before, and closed."""
    aws.trouble = once("UpdateService", error)
    run = ended(tmp_path, aws, broken(lambda drill: pytest.fail("must not get here")))
    assert state(aws) == AS_BEFORE
    assert (judged(run).verdict, code(run)) == (Verdict.INVALID, 11)
    assert outstanding(run.folder / "journal.jsonl") == []


def test_facts_that_cannot_be_read_after_the_injection(tmp_path: Path, aws: Troubled) -> None:
    """In force or not is unknown: put back, INVALID."""
    looks = [0]

    def trouble(call: Call) -> BaseException | None:
        looks[0] += call.operation == "DescribeServices"
        return AwsFailed("no answer") if call.operation == "DescribeServices" and looks[0] == 2 else None

    aws.trouble = trouble
    run = ended(tmp_path, aws, broken(lambda drill: pytest.fail("must not get here")))
    assert "no answer" in reasons(run, Verdict.INVALID)
    assert (state(aws), code(run)) == (AS_BEFORE, 11)


@dataclass(frozen=True)
class Both:
    """A fault of two calls on two things."""

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """See Fault."""
        one = SetRuleState(RULE, "ENABLED").prepare(aws, target, run_id)
        two = ScaleEcsService(SERVICE, 0).prepare(aws, target, run_id)
        pairs = {key: getattr(one, key) + getattr(two, key) for key in ("inject", "restore", "faulted", "before")}
        return replace(two, kind="both", resources=one.resources + two.resources, **pairs)


def test_an_injection_that_stops_half_way_is_put_back(tmp_path: Path, aws: Troubled) -> None:
    """One thing broken, the other not yet: both values are ours or as before, so nobody else changed it."""
    aws.trouble = once("UpdateService", AwsFailed("throttled"))

    def scene(drill: Drill) -> None:
        with drill.window("failover", survivor=OTHER), drill.applied(Both()):
            pytest.fail("must not get here")

    run = ended(tmp_path, aws, scene)
    assert "EnableRule" in aws.made
    assert (state(aws), judged(run).verdict) == (AS_BEFORE, Verdict.INVALID)
    assert outstanding(run.folder / "journal.jsonl") == []


def somebody_else(drill: Drill) -> None:
    """Sets a count that is neither ours nor as before."""
    drill.aws.client("ecs", REGION).update_service(cluster="bank", service="transaction", desiredCount=5)


@pytest.mark.parametrize("error", [None, *ERRORS, Refused("a guard")], ids=lambda e: type(e).__name__)
def test_what_is_not_back_wins_over_everything_and_the_outer_fault_is_put_back(
    tmp_path: Path, aws: Troubled, error: BaseException | None
) -> None:
    """DIRTY, exit 20, once, with the line to type; the other fault is restored, and the other finding stays."""

    def then(drill: Drill) -> None:
        somebody_else(drill)
        if error is not None:
            raise error

    run = ended(tmp_path, aws, broken(then))
    assert state(aws) == (5, "DISABLED")
    (found,) = dirty(run)
    assert "services[0].desiredCount: 5" in found.reason
    assert [line.split()[1:3] for line in found.data["lines"]] == [["ecs", "update-service"]]
    assert (judged(run).verdict, code(run)) == (Verdict.DIRTY, 20)
    assert any(f.name == "evidence, failover" for f in judged(run).findings)
    assert [e.state for e in outstanding(run.folder / "journal.jsonl")] == ["dirty"]


def test_what_only_the_sweep_put_back_is_told_and_is_not_dirty(tmp_path: Path, aws: Troubled) -> None:
    """The first attempt found AWS silent, the second did not: nothing is left to type."""

    def then(drill: Drill) -> None:
        aws.trouble = once("UpdateService", AwsFailed("throttled"))

    run = ended(tmp_path, aws, broken(then))
    assert state(aws) == AS_BEFORE
    assert not dirty(run)
    assert any("throttled" in note for note in judged(run).notes)
    assert judged(run).verdict is Verdict.INVALID
    assert armed(aws, run) == []


@pytest.mark.parametrize(("code", "noted"), [("ConflictException", False), ("AccessDeniedException", True)])
def test_what_is_in_the_way_of_a_restore_is_waited_for(tmp_path: Path, aws: Troubled, code: str, noted: bool) -> None:
    """ARC's wait period, or an update of somebody else: not now. A right that is missing is no reason to wait."""

    def then(drill: Drill) -> None:
        aws.trouble = once("UpdateService", AwsFailed("wait for 5000 ms", code), times=2)

    run = ended(tmp_path, aws, broken(then))
    assert any("wait for 5000 ms" in note for note in judged(run).notes) is noted
    assert bool(dirty(run)) is noted
    assert state(aws) == ((0, "DISABLED") if noted else AS_BEFORE)


def test_a_restore_that_nobody_could_make_is_dirty(tmp_path: Path, aws: Troubled) -> None:
    """AWS silent to the end: both changes, both lines; the measurement stays beside it."""

    def then(drill: Drill) -> None:
        aws.trouble = lambda call: AwsFailed("no answer")

    run = ended(tmp_path, aws, broken(then))
    assert len(dirty(run)) == 2
    assert code(run) == 20
    assert set(armed(aws, run)) == {f"failover-drill-{run.drill.run_id}-1-1", f"{run.drill.run_id}-2"}
    assert len([note for note in judged(run).notes if "stays armed: it will try to put it back" in note]) == 2


def test_a_journal_that_cannot_be_read_at_the_end_is_dirty(tmp_path: Path, aws: Troubled) -> None:
    """Nobody knows what is still changed: that is no reason to call it clean."""

    def rubbish(run: Run) -> None:
        with (run.folder / "journal.jsonl").open("a") as file:
            file.write("rubbish\n")

    run = ended(tmp_path, aws, broken(lambda drill: None), rubbish)
    assert (judged(run).verdict, code(run)) == (Verdict.DIRTY, 20)
    assert "nobody knows what is still changed" in dirty(run)[0].reason


def test_a_full_disk_does_not_keep_anything_from_being_put_back(
    tmp_path: Path, aws: Troubled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither timeline nor journal can be written from the middle of the drill on."""

    def then(drill: Drill) -> None:
        monkeypatch.setattr(Timeline, "mark", raising(OSError(28, "No space left on device")))
        monkeypatch.setattr(Journal, "record", raising(OSError(28, "No space left on device")))

    run = ended(tmp_path, aws, broken(then))
    assert state(aws) == AS_BEFORE
    assert judged(run).verdict is Verdict.DIRTY  # the journal could not say that it is back
    assert "No space left" in "\n".join(f.reason for f in judged(run).findings)


def test_evidence_that_cannot_be_read_at_the_end_is_a_finding(tmp_path: Path, aws: Troubled) -> None:
    """No traceback, no PASS; the report that cannot be written is told."""

    def rubbish(run: Run) -> None:
        (run.folder / "readback.jsonl").write_text("rubbish\n")

    run = ended(tmp_path, aws, broken(lambda drill: None), rubbish)
    assert judged(run).verdict is Verdict.INVALID
    assert "cannot be read" in reasons(run, Verdict.INVALID)
    assert "no report" in run.unreported


def test_an_action_that_cannot_be_started_is_on_record(tmp_path: Path, aws: Troubled) -> None:
    """Not reached, with AWS's words; the drill ends INVALID."""
    aws.trouble = once("StartExecution", AwsFailed("ExecutionLimitExceeded"))

    def scene(drill: Drill) -> None:
        with drill.window("failback", survivor=REGION):
            drill.perform(StartStateMachine(MACHINE, timeout_s=50))

    run = ended(tmp_path, aws, scene)
    (event,) = load_history(run.folder).named("action.ended")
    assert event.data["reached"] is False
    assert "ExecutionLimitExceeded; states.start was never started" in event.data["why"]
    assert "ExecutionLimitExceeded" in reasons(run, Verdict.INVALID)


def test_an_action_that_did_not_reach_its_end_state_fails_its_window(tmp_path: Path, aws: Troubled) -> None:
    """Whatever the traffic says: the way back did not do what it promises."""

    def scene(drill: Drill) -> None:
        with drill.window("failback", survivor=REGION):
            drill.perform(StartStateMachine(MACHINE, timeout_s=10))  # here it runs for ever

    run = ended(tmp_path, aws, scene)
    assert judged(run).verdict is Verdict.FAIL
    assert "did not reach its declared end state" in reasons(run, Verdict.FAIL)


def test_the_next_drill_is_refused_while_something_is_outstanding(tmp_path: Path, aws: Troubled) -> None:
    """The refusal names the command; a journal that cannot be read refuses too; the same world only."""
    run = ended(tmp_path, aws, broken(somebody_else))
    with pytest.raises(Refused, match=f"drill restore {run.folder}"):
        require_nothing_outstanding(tmp_path, run.world)
    elsewhere = World(run.world.target, Aws("http://127.0.0.1:9"), run.world.clock, None)
    require_nothing_outstanding(tmp_path, elsewhere)
    with (run.folder / "journal.jsonl").open("a") as file:
        file.write("rubbish\n")
    with pytest.raises(Refused, match="cannot be read"):
        require_nothing_outstanding(tmp_path, elsewhere)


def test_the_sweep_alone_puts_back(tmp_path: Path, aws: Troubled) -> None:
    """No block ends, no watchdog runs, nobody types: what the journal calls outstanding is put back at the end."""

    def scene(drill: Drill) -> None:
        change = SetRuleState(RULE, "ENABLED").prepare(aws, "t", "r")
        drill.journal.record(drill.journal.open_change(change), "injecting")
        aws.run(change.inject[0])

    run = ended(tmp_path, aws, scene)
    assert state(aws) == AS_BEFORE
    assert outstanding(run.folder / "journal.jsonl") == []
    claim = last_claim(run.folder / "journal.jsonl")
    assert claim is not None
    assert claim.who == "the sweep of the drill"


def test_the_block_alone_puts_back(tmp_path: Path, aws: Troubled) -> None:
    """Nothing is swept, no watchdog runs, nobody types."""
    run = new_run(tmp_path, aws)
    broken(lambda drill: None)(run.drill)
    assert state(aws) == AS_BEFORE
    assert run.journal.outstanding() == []
    run.finish()


@pytest.mark.parametrize("at_once", [True, False], ids=["restored", "left"])
def test_a_drill_that_another_process_has_taken_over_ends_with_its_evidence(
    tmp_path: Path, aws: Troubled, at_once: bool
) -> None:
    """INVALID with who it was; nothing more is injected; what that one left is put back by the sweep after all."""

    def then(drill: Drill) -> None:
        taken = Journal(drill.journal.path, FakeClock(), "drill restore", restoring=True)
        if at_once:
            reach = Reach("t", "123456789012", REGION, aws.endpoint_url, 1.0, 6.0)
            Restorer(taken, reach, FakeClock(), Aws(aws.endpoint_url), settle_wall_s=0.0).restore()
        taken.close()
        aws.made.clear()
        drill.until(Never(), timeout_s=50)

    run = ended(tmp_path, aws, broken(then))
    assert not {"EnableRule", "StartExecution"} & set(aws.made)
    assert state(aws) == AS_BEFORE
    assert judged(run).verdict is Verdict.INVALID
    assert "drill restore (pid" in reasons(run, Verdict.INVALID)
    assert "has taken over the restore" in reasons(run, Verdict.INVALID)
    assert outstanding(run.folder / "journal.jsonl") == []
    assert (run.folder / "verdict.json").exists()


def test_a_call_that_shows_late_is_put_back_by_the_sweep(tmp_path: Path, aws: Troubled) -> None:
    """Another process has put everything back; a call of ours takes effect after that, and first replies are old."""

    def then(drill: Drill) -> None:
        taken = Journal(drill.journal.path, FakeClock(), "drill restore", restoring=True)
        reach = Reach("t", "123456789012", REGION, aws.endpoint_url, 1.0, 6.0)
        Restorer(taken, reach, FakeClock(), Aws(aws.endpoint_url), settle_wall_s=0.0).restore()
        taken.close()
        looks = [0]

        def late(call: Call) -> None:
            looks[0] += call.operation == "DescribeRule"
            if looks[0] == 4:
                Aws(aws.endpoint_url).client("events", REGION).enable_rule(Name="auto-failover")

        aws.trouble = late
        drill.until(Never(), timeout_s=50)

    run = ended(tmp_path, aws, broken(then))
    assert "DisableRule" in aws.made
    assert state(aws) == AS_BEFORE
    assert outstanding(run.folder / "journal.jsonl") == []


P, F, I_, D, N = Verdict.PASS, Verdict.FAIL, Verdict.INVALID, Verdict.DIRTY, Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("verdicts", "refusals", "status", "code"),
    [
        ([P], [], 0, 0),
        ([P, P], [], 0, 0),
        ([P], [], 1, 11),  # something beside the drill failed
        ([P], [], 2, 11),  # interrupted before the next one
        ([P, None], [], 0, 11),  # never judged
        ([], [], 0, 11),  # everything skipped
        ([], [], 5, 11),  # nothing collected
        ([], [4], 4, 4),
        ([], [12], 12, 12),
        ([P], [12], 12, 12),
        ([I_], [12], 1, 12),
        ([F], [12], 1, 1),
        ([D], [12], 1, 20),
        ([D, F, I_, P], [], 1, 20),
        ([F, I_], [], 1, 1),
        ([I_, N], [], 1, 11),
        ([N, P], [], 1, 10),
    ],
)
def test_the_session_exits_with_the_worst(
    verdicts: list[Verdict | None], refusals: list[int], status: int, code: int
) -> None:
    """0 only when all drills passed and pytest itself has nothing to complain of."""
    assert session_exit_code(verdicts, refusals, status) == code
