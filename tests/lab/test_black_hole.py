"""Addresses that are cut off: at the load balancer's process and at tasks."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from lab.balancer import BalancerConfig, BalancerProcess, Rule
from lab.clock import LabClock
from lab.tasks import ServiceSpec, Tasks
from lab.truth import Truth
from tests.checks.worlds import eventually

DARK, LIT = "127.100.5.165", "127.100.9.84"
NETWORK, TASKS = "127.100.4.0/22", "127.100.0.0/22"
CLOCK = LabClock.starting_now(60.0)
SOON_S, LIMIT_S = 0.7, 15.0
"""Long enough for an answer over loopback; as long as anything may take."""


@pytest.fixture
def balancer() -> Iterator[BalancerProcess]:
    process = BalancerProcess(BalancerConfig("west", (DARK, LIT), 0, [Rule("/a", "A")], CLOCK), lambda *_: None)
    try:
        process.start()
        yield process
    finally:
        process.stop()


def talk(address: str, port: int) -> http.client.HTTPConnection:
    """A connection over which one request went well."""
    connection = http.client.HTTPConnection(address, port, timeout=LIMIT_S)
    assert asked(connection) == 400
    return connection


def asked(connection: http.client.HTTPConnection) -> int:
    connection.request("GET", "/nowhere")
    response = connection.getresponse()
    response.read()
    return response.status


def connects(address: str, port: int) -> bool:
    """Whether a new connection opens soon; ConnectionRefusedError when it is refused."""
    with socket.socket() as sock:
        sock.settimeout(SOON_S)
        try:
            sock.connect((address, port))
        except TimeoutError:
            return False
        return True


def test_an_address_that_is_cut_off_neither_answers_nor_refuses(balancer: BalancerProcess) -> None:
    """A new connection hangs, an open one falls silent; the balancer's other address goes on."""
    open_one = talk(DARK, balancer.port)
    balancer.cut_off([NETWORK])
    eventually(lambda: not connects(DARK, balancer.port), LIMIT_S)
    open_one.sock.settimeout(SOON_S)
    with pytest.raises(TimeoutError):
        asked(open_one)
    open_one.close()
    talk(LIT, balancer.port).close()


def test_what_was_cut_off_comes_back(balancer: BalancerProcess) -> None:
    """New connections open again, and one that was open all the time delivers what was said into the hole."""
    open_one = talk(DARK, balancer.port)
    balancer.cut_off([NETWORK])
    eventually(lambda: not connects(DARK, balancer.port), LIMIT_S)
    open_one.request("GET", "/nowhere")
    balancer.cut_off([])
    eventually(lambda: connects(DARK, balancer.port), LIMIT_S)
    assert open_one.getresponse().status == 400
    open_one.close()


def test_tasks_in_a_network_that_is_cut_off_do_nothing(tmp_path: Path) -> None:
    """They are held, one that is started there too, and go on where they were; those elsewhere never notice."""
    specs = {"stubborn": ServiceSpec("stubborn", "tests.lab.sample_apps:stubborn", None)}
    networks = {"west": "127.100", "east": "127.101"}
    truth = Truth(tmp_path, CLOCK)
    runner = Tasks(specs, networks, lambda *_: {}, ["tests.lab.sample_apps"], CLOCK, truth)
    try:
        runner.open()
        runner.start("west", "stubborn", "old")
        runner.start("east", "stubborn", "other")
        runner.cut_off([TASKS])
        runner.start("west", "stubborn", "new")
        eventually(lambda: [held(runner, name) for name in ("old", "new", "other")] == [True, True, False], LIMIT_S)
        runner.cut_off([])
        eventually(lambda: not any(held(runner, name) for name in ("old", "new", "other")), LIMIT_S)
        runner.cut_off([TASKS])
        pids = [runner.pid(name) for name in ("old", "new", "other")]
    finally:
        runner.close()
    eventually(lambda: not any(map(psutil.pid_exists, filter(None, pids))), LIMIT_S)


def held(runner: Tasks, name: str) -> bool:
    pid = runner.pid(name)
    assert pid is not None
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED
