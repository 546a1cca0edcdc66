"""Task processes behind a real balancer."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from lab import processes
from lab.balancer import BalancerConfig, BalancerProcess, Rule
from lab.clock import LabClock
from lab.tasks import ServiceSpec, Tasks
from lab.truth import Truth

REGION, ADDRESS, SPEED = "west", "127.100.5.165", 100.0
APPS = "tests.lab.sample_apps"


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Tasks]:
    clock = LabClock.starting_now(SPEED)
    specs = [
        ServiceSpec("echo", f"{APPS}:echo", "A"),
        ServiceSpec("stubborn", f"{APPS}:stubborn", None),
        ServiceSpec("broken", f"{APPS}:broken", None),
    ]
    tasks = Tasks(
        {spec.name: spec for spec in specs}, {REGION: "127.100"}, lambda *_: {}, [APPS], clock, Truth(tmp_path, clock)
    )
    config = BalancerConfig(REGION, [ADDRESS], 0, [Rule("/a", "A")], clock)
    balancer = BalancerProcess(config, lambda group, states: None)
    try:
        tasks.open()
        balancer.start()
        tasks.attach(REGION, balancer)
        tasks.balancer_port = balancer.port  # type: ignore[attr-defined]
        yield tasks
    finally:
        tasks.close()
        balancer.stop()


def ask(runner: Tasks) -> tuple[int, dict[str, object]]:
    connection = http.client.HTTPConnection(ADDRESS, runner.balancer_port, timeout=5)  # type: ignore[attr-defined]
    try:
        connection.request("GET", "/a")
        response = connection.getresponse()
        body = response.read()
        return response.status, json.loads(body) if response.status == 200 else {}
    finally:
        connection.close()


def until(condition: object, timeout_s: float = 5.0) -> bool:
    assert callable(condition)
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(condition())


def gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:  # it may end between any two looks
        return True


def test_a_task_is_a_process_of_its_own_behind_the_balancer(runner: Tasks) -> None:
    """A started task answers through the balancer from its own process."""
    runner.start(REGION, "echo", "t1")
    assert runner.await_healthy(5)
    assert ask(runner) == (200, {"pid": runner.pid("t1"), "task": "t1"})
    assert runner.running(REGION, "echo") == ["t1"]


def test_a_stopped_task_drains_before_its_process_ends(runner: Tasks) -> None:
    """Stop deregisters first: the process lives through the deregistration delay and then ends."""
    runner.start(REGION, "echo", "t1")
    assert runner.await_healthy(5)
    pid = runner.pid("t1")
    assert pid is not None
    started = time.monotonic()
    runner.stop(REGION, "echo", "t1")
    assert time.monotonic() - started >= 10 / SPEED
    assert gone(pid)
    assert (ask(runner)[0], runner.running(REGION, "echo")) == (503, [])


def test_a_killed_task_is_no_longer_running(runner: Tasks) -> None:
    """kill -9 of a task's process is noticed, and its target goes."""
    runner.start(REGION, "echo", "t1")
    assert runner.await_healthy(5)
    os.kill(runner.pid("t1") or 0, signal.SIGKILL)
    assert until(lambda: runner.running(REGION, "echo") == [])
    assert until(lambda: ask(runner)[0] == 503)


def test_a_task_that_ignores_sigterm_is_killed(runner: Tasks) -> None:
    """SIGKILL follows SIGTERM after a bounded time."""
    runner.start(REGION, "stubborn", "t1")
    pid = runner.pid("t1")
    assert pid is not None
    runner.stop(REGION, "stubborn", "t1")
    assert until(lambda: gone(pid))


def test_a_task_that_fails_at_start_is_an_error(runner: Tasks) -> None:
    """A task that ends before it listens raises and is not running."""
    with pytest.raises(processes.ChildError, match="broken"):
        runner.start(REGION, "broken", "t1")
    assert runner.running(REGION, "broken") == []


def test_a_warm_start_is_a_fork(runner: Tasks) -> None:
    """Tasks are forked from one nursery that has imported everything: a start costs no interpreter."""
    runner.start(REGION, "echo", "t1")
    runner.start(REGION, "echo", "t2")
    parents = {psutil.Process(runner.pid(task) or 0).parent() for task in ("t1", "t2")}
    (nursery,) = parents
    assert nursery is not None
    assert "lab.nursery" in nursery.cmdline()


def test_tasks_end_with_the_nursery_however_it_ends(runner: Tasks) -> None:
    """kill -9 of the nursery takes every task with it."""
    runner.start(REGION, "echo", "t1")
    runner.start(REGION, "stubborn", "t2")
    pids = [runner.pid("t1") or 0, runner.pid("t2") or 0]
    os.kill(psutil.Process(pids[0]).ppid(), signal.SIGKILL)
    assert until(lambda: all(gone(pid) for pid in pids))
