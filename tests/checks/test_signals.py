"""The signal poller against a real AWS API in which things change at known instants."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from checks.signals import LookingAws, SignalLooker, interval_wall_s, lookers, watches
from drill.clock import SystemClock
from drill.target import Resource
from drill.timeline import Observation, Outcome
from tests.checks.cloud import GLOBAL, OREGON, RULE, Cloud, cloud, start_canaries
from tests.checks.worlds import OSAKA, TOKYO, eventually, observed, published_target, witness

CLOCK = SystemClock(20.0)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Cloud]:
    """The account with everything in place."""
    (tmp_path / "truth").mkdir()
    with cloud(tmp_path / "truth") as account:
        yield account


def seen(made: Cloud) -> dict[str, Observation]:
    """One look at everything, by probe (canaries of several Regions by probe too: their names differ)."""
    aws = LookingAws(made.server.url)
    return {o.probe: o for looker in lookers(aws, made.target, CLOCK) for o in looker.look()}


def test_every_signal_is_read_with_its_value(made: Cloud) -> None:
    """In the account at rest each probe has its published value, from the Region it lives in."""
    values = {probe: (o.vantage, o.value, o.outcome) for probe, o in seen(made).items()}
    ok = Outcome.OK
    secrets = made.client("secretsmanager", TOKYO)
    (version,) = secrets.describe_secret(SecretId="drilled")["VersionIdsToStages"]
    assert values == {
        "aws.secret": (TOKYO, version, ok),
        "aws.ecs.transaction": (TOKYO, "1/1", ok),
        "aws.rule": (OSAKA, "DISABLED", ok),
        "aws.alarm.standby": (OSAKA, "INSUFFICIENT_DATA", ok),
        "aws.alarm.observer": (OREGON, "INSUFFICIENT_DATA", ok),
        "aws.execution.initiator": (OSAKA, "0:-", ok),
        "aws.execution.failover": (OSAKA, "0:-", ok),
        "aws.execution.failback": (OSAKA, "0:-", ok),
        "aws.control.primary": (OREGON, "Off", ok),
        "aws.control.standby": (OREGON, "Off", ok),
        "aws.writer": (OSAKA, TOKYO, ok),
        "aws.global.status": (OSAKA, "available", ok),
    }


def test_changes_are_seen_between_the_looks_around_them(made: Cloud, tmp_path: Path) -> None:
    """Each planted change lies after the send of the last look without it and before the first answer with it."""
    target = made.target.model_copy(
        update={"timings": made.target.timings.model_copy(update={"signals_interval_s": 2.5})}
    )
    with witness("checks.signals", "signals", target, tmp_path):
        everything = {probe for watch in watches(target) if watch.key in target.resources for probe in watch.probes}
        eventually(lambda: everything <= {o.probe for o in observed(tmp_path)})
        planted: dict[tuple[str, str], Callable[[], Any]] = {
            ("aws.rule", "ENABLED"): lambda: made.client("events", OSAKA).enable_rule(Name=RULE),
            ("aws.ecs.transaction", "0/0"): lambda: made.tasks(TOKYO, 0, 0, 0),
            ("aws.control.standby", "On"): lambda: made.arc.update([(made.controls["rc-osaka"], "On")]),
            ("aws.execution.failover", "1:RUNNING"): lambda: made.start_execution("FailoverStateMachineD4", "one"),
            ("aws.writer", OSAKA): lambda: made.client("rds", OSAKA).failover_global_cluster(
                GlobalClusterIdentifier=GLOBAL, TargetDbClusterIdentifier=made.writers[OSAKA]
            ),
        }
        instants = {}
        for (probe, value), plant in planted.items():
            began_s = time.monotonic()
            plant()
            instants[probe, value] = (began_s, time.monotonic())
        for probe, value in planted:
            eventually(partial(_looks_with, tmp_path, probe, value))
    for (probe, value), (began_s, ended_s) in instants.items():
        looks = observed(tmp_path, probe)
        first = next(o for o in looks if o.value == value)
        last_without = [o for o in looks if o.value != value and o.sent_s < first.sent_s][-1]
        assert first.done_s >= began_s, probe
        if probe != "aws.writer":  # a switchover takes its declared time
            assert last_without.sent_s <= ended_s, probe
        assert first.done_s - last_without.sent_s < 1.5, probe
    assert "switching-over" in {o.value for o in observed(tmp_path, "aws.global.status")}


def test_canaries_are_found_by_region_and_their_last_run_is_told(made: Cloud) -> None:
    """Each canary of the Regions is a probe of its own; a planted failure shows as FAILED."""
    start_canaries(made)
    eventually(lambda: seen(made).get(f"aws.canary.canary-{OSAKA}", _NOTHING).value == "PASSED")
    made.failing.add(f"canary-{OSAKA}")
    eventually(lambda: seen(made)[f"aws.canary.canary-{OSAKA}"].value == "FAILED")
    assert seen(made)[f"aws.canary.canary-{OREGON}"].vantage == OREGON


def test_a_control_is_read_from_the_endpoint_that_answers(made: Cloud) -> None:
    """With four of five endpoints gone the state is still read; with none it is unknown."""
    looker = _looker(made, "control_primary")
    assert looker.look()[0].value == "Off"
    for region in ("us-east-1", "us-west-2", "eu-west-1", "ap-northeast-1"):
        made.arc.endpoint_down(region)
    assert looker.look()[0].value == "Off"
    made.arc.endpoint_down("ap-southeast-2")
    assert looker.look()[0].outcome is Outcome.UNKNOWN
    made.arc.endpoint_up("eu-west-1")
    assert looker.look()[0].value == "Off"


@pytest.mark.parametrize(("pattern", "reason"), [("Nothing*", "found none"), ("F*StateMachine*", "found 3")])
def test_none_or_several_matches_are_unknown_with_the_reason(made: Cloud, pattern: str, reason: str) -> None:
    """A pattern that means nothing, or several things, yields no value and no crash."""
    resources = made.target.resources | {"failover_machine": Resource(region=OSAKA, name=pattern)}
    made.target = made.target.model_copy(update={"resources": resources})
    look = seen(made)["aws.execution.failover"]
    assert (look.outcome, look.value) == (Outcome.UNKNOWN, "")
    assert reason in look.detail


def test_a_region_without_its_api_is_unknown_and_the_others_are_not(made: Cloud) -> None:
    """503 from one Region's API makes its signals unknown, and they come back by themselves."""
    aws = LookingAws(made.server.url)
    everything = lookers(aws, made.target, CLOCK)
    made.server.unavailable(OSAKA)
    during = {o.probe: o for looker in everything for o in looker.look()}
    assert during["aws.rule"].outcome is Outcome.UNKNOWN
    assert "unavailable" in during["aws.rule"].detail
    assert [o.outcome for p, o in during.items() if p in ("aws.writer", "aws.global.status")] == [Outcome.UNKNOWN] * 2
    assert during["aws.ecs.transaction"].outcome is Outcome.OK
    made.server.available(OSAKA)
    after = {o.probe: o for looker in everything for o in looker.look()}
    assert after["aws.rule"].value == "DISABLED"


def test_a_target_without_a_resource_is_not_asked_for_it(made: Cloud) -> None:
    """A system that has no global cluster has no writer signal."""
    resources = {k: r for k, r in made.target.resources.items() if k in ("transaction", "standby_alarm")}
    made.target = made.target.model_copy(update={"resources": resources})
    assert set(seen(made)) == {"aws.ecs.transaction", "aws.alarm.standby"}


def test_an_endpoint_that_hangs_up_is_asked_once(made: Cloud) -> None:
    """No retries: a connection that is closed at once is unknown after one attempt."""
    watch = next(w for w in watches(made.target) if w.key == "auto_failover_rule")
    asked: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            with contextlib.suppress(OSError):  # the listener is closed at the end
                while True:
                    asked.append(listener.accept()[0].close())

        threading.Thread(target=hang_up, daemon=True).start()
        aws = LookingAws(f"http://127.0.0.1:{listener.getsockname()[1]}")
        look = SignalLooker(aws, made.target, watch, CLOCK).look()[0]
        listener.shutdown(socket.SHUT_RDWR)
    assert (look.outcome, len(asked)) == (Outcome.UNKNOWN, 1)


def test_looks_keep_a_wall_floor() -> None:
    """However fast the lab, a signal is looked at four times a second at most."""
    assert interval_wall_s(published_target(), 1000.0) == 0.25
    assert interval_wall_s(published_target(), 1.0) == 5.0


def _looks_with(folder: Path, probe: str, value: str) -> list[Observation]:
    return [o for o in observed(folder, probe) if o.value == value]


_NOTHING = Observation(0.0, 0.0, "", "", Outcome.UNKNOWN)


def _looker(made: Cloud, key: str) -> SignalLooker:
    watch = next(w for w in watches(made.target) if w.key == key)
    return SignalLooker(LookingAws(made.server.url), made.target, watch, CLOCK)
