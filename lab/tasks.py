"""The tasks of ECS services as real processes behind the Region's load balancer."""

from __future__ import annotations

import ipaddress
import json
import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab import processes
from lab.balancer import BalancerProcess
from lab.black_hole import within
from lab.clock import LabClock
from lab.ports import bindable
from lab.talker import Event, Talker
from lab.truth import Truth

START_TIMEOUT_S = 15.0
STOP_TIMEOUT_LAB_S = 30.0
"""ECS sends SIGKILL this long after SIGTERM (the agent's default stop timeout, lab seconds)."""
STOP_FLOOR_S = 2.0
"""But never sooner than this (wall seconds): the process's own work does not get faster with the lab."""


def shared_host(network: str) -> str:
    """The address of all tasks of a Region, by its network, on a machine where each cannot have its own."""
    return f"{network}.2.10"


@dataclass(frozen=True)
class ServiceSpec:
    """How to run one service: `app` is "module:function", `group` the target group (None = not balanced)."""

    name: str
    app: str
    group: str | None


@dataclass
class _Task:
    region: str
    spec: ServiceSpec
    host: str
    port: int | None = None
    pid: int | None = None
    stopping: bool = False
    exited: bool = False
    held: bool = False


class Tasks:
    """Starts, registers, drains and stops task processes; what ECS needs of the machines below it.

    services: by service name. networks: the first two numbers of each Region's loopback network ("127.100").
    config_of(region, spec) is the part of an app's configuration that is not the task's own.
    """

    def __init__(
        self,
        services: Mapping[str, ServiceSpec],
        networks: Mapping[str, str],
        config_of: Callable[[str, ServiceSpec], Mapping[str, Any]],
        preload: Sequence[str],
        clock: LabClock,
        truth: Truth,
    ) -> None:
        self._services, self._networks, self._config_of = services, networks, config_of
        self._preload, self._clock, self._truth = preload, clock, truth
        self._balancers: dict[str, BalancerProcess] = {}
        self._tasks: dict[str, _Task] = {}
        self._changed = threading.Condition()
        self._next_host = 10
        self._cut_off: tuple[ipaddress.IPv4Network, ...] = ()
        self._talker = Talker(processes.python("-m", "lab.nursery", str(os.getpid())), self._heard, "nursery")

    # -- life ---------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Start the nursery (it imports in the background)."""
        self._talker.start()
        self._talker.tell(json.dumps({"preload": list(self._preload)}))

    def attach(self, region: str, balancer: BalancerProcess) -> None:
        """Tell which balancer serves a Region, before its first task starts."""
        self._balancers[region] = balancer

    def close(self) -> None:
        """End every task at once."""
        self._talker.stop()

    # -- what ECS calls -------------------------------------------------------------------------------------

    def start(self, region: str, service: str, task_id: str) -> None:
        """Start a task and register it; returns when it listens. ChildError when it does not."""
        spec = self._services[service]
        task = _Task(region, spec, self._host(region))
        with self._changed:
            self._tasks[task_id] = task
        config = {**self._config_of(region, spec), "host": task.host, "task": task_id, "region": region}
        self._talker.tell(json.dumps({"start": task_id, "app": spec.app, "config": config}))
        with self._changed:
            self._changed.wait_for(lambda: task.port is not None or task.exited, START_TIMEOUT_S)
        if task.port is None:
            self.kill(task_id)
            raise processes.ChildError(f"task {task_id} of {service} in {region} did not start")
        if spec.group is not None:
            self._balancers[region].register(spec.group, task.host, task.port)
        self._hold(task_id, task)
        self._truth.record("task.started", region=region, service=service, task=task_id, pid=task.pid)

    def stop(self, region: str, service: str, task_id: str) -> None:
        """Deregister, let it drain, send SIGTERM, at last SIGKILL; returns when the process has ended."""
        task = self._tasks.get(task_id)
        if task is None:
            return
        task.stopping = True
        self._truth.record("task.stopping", region=region, service=service, task=task_id)
        self._drain(task)
        self._signal(task_id, signal.SIGTERM)
        grace_s = max(STOP_FLOOR_S, self._clock.wall_s(STOP_TIMEOUT_LAB_S))
        with self._changed:
            self._changed.wait_for(lambda: task.exited, grace_s)
        if not task.exited:
            self.kill(task_id)
        self._tasks.pop(task_id, None)
        self._truth.record("task.stopped", region=region, service=service, task=task_id)

    def running(self, region: str, service: str) -> list[str]:
        """The ids of the service's tasks whose process is up and not being stopped."""
        return [
            task_id
            for task_id, task in list(self._tasks.items())
            if task.region == region and task.spec.name == service and self._serves(task)
        ]

    def cut_off(self, networks: Sequence[str]) -> None:
        """The tasks with an address in these networks reach nothing and nobody reaches them; all others are as ever.

        They are held (SIGSTOP): a task without a network does nothing that anybody could see, and its files and
        connections are still there afterwards.
        """
        self._cut_off = tuple(map(ipaddress.IPv4Network, networks))
        for task_id, task in list(self._tasks.items()):
            self._hold(task_id, task)

    # -- for tests and faults below ECS ---------------------------------------------------------------------

    def pid(self, task_id: str) -> int | None:
        """The process id of a task; None when it has none."""
        task = self._tasks.get(task_id)
        return None if task is None else task.pid

    def kill(self, task_id: str) -> None:
        """SIGKILL a task's process."""
        self._signal(task_id, signal.SIGKILL)

    def await_healthy(self, timeout_s: float) -> bool:
        """Wait (wall seconds, per task) until every balanced task is healthy; whether all are."""
        tasks = [task for task in list(self._tasks.values()) if task.spec.group and task.port]
        return all(
            self._balancers[task.region].await_state(
                task.spec.group or "", task.host, task.port or 0, "healthy", timeout_s
            )
            for task in tasks
        )

    # -- parts ------------------------------------------------------------------------------------------------

    @staticmethod
    def _serves(task: _Task) -> bool:
        return task.port is not None and not task.exited and not task.stopping

    def _host(self, region: str) -> str:
        """An address of its own for each task, as awsvpc tasks have, or the Region's one where that is all."""
        with self._changed:
            self._next_host = self._next_host + 1 if self._next_host < 250 else 10
            host = f"{self._networks[region]}.2.{self._next_host}"
        return host if bindable(host) else shared_host(self._networks[region])

    def _hold(self, task_id: str, task: _Task) -> None:
        held = within(task.host, self._cut_off)
        if held != task.held and task.pid is not None:
            task.held = held
            self._signal(task_id, signal.SIGSTOP if held else signal.SIGCONT)

    def _drain(self, task: _Task) -> None:
        if task.spec.group is None or task.port is None:
            return
        balancer = self._balancers[task.region]
        balancer.deregister(task.spec.group, task.host, task.port)
        started_s = self._clock.now_s()
        declared_s = balancer.deregistration_delay_s
        limit_s = self._clock.wall_s(declared_s) + START_TIMEOUT_S
        balancer.await_state(task.spec.group, task.host, task.port, None, limit_s)
        self._truth.took("deregistration", declared_s, self._clock.now_s() - started_s)

    def _signal(self, task_id: str, number: int) -> None:
        self._talker.tell(json.dumps({"signal": task_id, "number": int(number)}))

    def _heard(self, event: Event) -> None:
        task = self._tasks.get(str(event["task"]))
        if task is None:
            return
        with self._changed:
            if event["event"] == "listening":
                task.port, task.pid = int(event["port"]), int(event["pid"])
            else:
                task.exited = True
            self._changed.notify_all()
        if task.exited and not task.stopping:
            self._lose(str(event["task"]), task)

    def _lose(self, task_id: str, task: _Task) -> None:
        """A process ended by itself: it stays out of `running`, and its target goes."""
        self._truth.record("task.died", region=task.region, service=task.spec.name, task=task_id)
        if task.spec.group is not None and task.port is not None:
            self._balancers[task.region].deregister(task.spec.group, task.host, task.port)
        self._tasks.pop(task_id, None)
