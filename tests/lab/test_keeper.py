"""A lab leaves nothing behind, whoever of its processes dies and how."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from lab import processes
from lab.keeper import OWNER_CHECK_S
from lab.launch import Lab, LabError, LabInfo, launch

SYSTEM, SPEED = "core-banking", 20.0
GONE_S = 15.0


def below(pid: int) -> list[psutil.Process]:
    """The process and all that descend from it now."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def until(condition: Callable[[], bool], timeout_s: float = GONE_S) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    return condition()


def refused(host: str, port: int) -> bool:
    with socket.socket() as sock:
        sock.settimeout(1)
        return sock.connect_ex((host, port)) != 0


def assert_nothing_left(info: LabInfo, family: list[psutil.Process]) -> None:
    assert until(lambda: not [process for process in family if lives(process)]), [
        process.cmdline() for process in family if lives(process)
    ]
    assert until(lambda: not info.state_dir.exists())
    assert refused("127.100.5.165", info.http_port)
    assert refused(*info.dns_authoritative)


def test_a_stopped_lab_leaves_nothing() -> None:
    """An orderly stop ends every process, port and file within its bound."""
    with launch(SYSTEM, SPEED) as lab:
        family = below(lab.keeper_pid)
        assert len(family) > 10
        assert {p.name() for p in family} >= {"postgres"}
        started = time.monotonic()
    assert time.monotonic() - started < 2 * GONE_S
    assert_nothing_left(lab.info, family)


@pytest.mark.parametrize("victim", ["keeper", "world"])
def test_a_killed_keeper_or_world_takes_everything_along(victim: str) -> None:
    """kill -9 of the keeper ends the world, kill -9 of the world is cleaned up by the keeper."""
    with launch(SYSTEM, SPEED) as lab:
        family = below(lab.keeper_pid)
        os.kill(lab.keeper_pid if victim == "keeper" else lab.info.pid, signal.SIGKILL)
        assert_nothing_left(lab.info, [p for p in family if p.pid != lab.keeper_pid])
        assert until(lambda: not lab.alive())


def test_a_hanging_world_is_ended_too() -> None:
    """A world that is stopped (SIGSTOP) and cannot end orderly is killed after the bound."""
    with launch(SYSTEM, SPEED, stop_grace_s=1.0) as lab:
        family = below(lab.keeper_pid)
        os.kill(lab.info.pid, signal.SIGSTOP)
    assert_nothing_left(lab.info, family)


OWNER = """
import json, sys, time
from lab.launch import launch
lab = launch({system!r}, {speed})
print(json.dumps(lab.info.to_json()), flush=True)
print(lab.keeper_pid, flush=True)
time.sleep(600)
"""


def test_a_killed_owner_takes_its_lab_along() -> None:
    """kill -9 of the process that launched the lab leaves nothing of the lab."""
    code = OWNER.format(system=SYSTEM, speed=SPEED)
    owner = subprocess.Popen(
        [sys.executable, "-B", "-c", code], cwd=processes.ROOT, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    assert owner.stdout is not None
    try:
        info = LabInfo.from_json(json.loads(owner.stdout.readline()))
        family = below(int(owner.stdout.readline()))
    finally:
        owner.kill()
        owner.wait()
        owner.stdout.close()
    assert_nothing_left(info, family)


HEIR = """
import json, subprocess, sys, time
from lab.launch import launch
lab = launch({system!r}, {speed})
heir = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], pass_fds=[lab.life_line])
lab.bequeath(heir.pid)
for word in (json.dumps(lab.info.to_json()), lab.keeper_pid, heir.pid):
    print(word, flush=True)
time.sleep(600)
"""


def test_a_lab_outlives_its_owner_for_as_long_as_its_heir() -> None:
    """Whoever restores for a killed owner still finds the lab; when that one has ended too, nothing is left."""
    code = HEIR.format(system=SYSTEM, speed=SPEED)
    owner = subprocess.Popen(
        [sys.executable, "-B", "-c", code], cwd=processes.ROOT, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    assert owner.stdout is not None
    try:
        info = LabInfo.from_json(json.loads(owner.stdout.readline()))
        family = below(int(owner.stdout.readline()))
        heir = psutil.Process(int(owner.stdout.readline()))
    finally:
        owner.kill()
        owner.wait()
        owner.stdout.close()
    try:
        time.sleep(2 * OWNER_CHECK_S)
        assert lives(family[0])
        assert info.state_dir.exists()
    finally:
        heir.kill()
    assert_nothing_left(info, family)


@pytest.mark.long
def test_two_labs_run_side_by_side() -> None:
    """Labs on free ports do not disturb each other."""
    with launch(SYSTEM, SPEED) as one, launch(SYSTEM, SPEED) as two:
        assert one.info.http_port != two.info.http_port
        assert one.info.aws_endpoint != two.info.aws_endpoint
        assert (one.alive(), two.alive()) == (True, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"system": "space-banking"}, "there is one for: core-banking"),
        ({"speed": 0.0}, "--lab-speed 0: must be above 0"),
        ({"speed": float("nan")}, "--lab-speed nan: must be above 0"),
        ({"speed": -1.0}, "--lab-speed -1: must be above 0"),
        ({"settings": ["dynamodb.lag=3"]}, "the settings are: alarm.actions=, dynamodb.lag_s=1.0"),
        ({"settings": ["dynamodb.lag_s=soon"]}, "--lab-set dynamodb.lag_s: found 'soon'"),
        ({"settings": ["rds.switchover_s=-5"]}, "found '-5', expected seconds from 0 to 86400"),
        ({"settings": ["dynamodb.cut_from=nowhere"]}, "expected one of ap-northeast-1, ap-northeast-3"),
        ({"port_base": 80}, "--lab-port 80: must lie in 1024..65000"),
        ({"port_base": -1}, "--lab-port -1: must lie in 1024..65000"),
    ],
)
def test_a_wrong_wish_is_one_sentence(arguments: dict[str, object], said: str) -> None:
    """Unknown systems, speeds, settings and ports end at once with what to type instead."""
    wish: dict[str, object] = {"system": SYSTEM, "speed": SPEED, **arguments}
    with pytest.raises(LabError) as caught:
        launch(**wish)  # type: ignore[arg-type]
    assert said in str(caught.value)


STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM


@pytest.mark.parametrize(
    ("offset", "host", "kind"),
    [
        (0, "127.102.0.10", STREAM),
        (1, "127.100.0.2", STREAM),
        (1, "127.102.0.53", DATAGRAM),
        (2, "127.101.9.84", STREAM),
        (3, "127.101.1.5", STREAM),
    ],
)
def test_a_busy_port_is_named(offset: int, host: str, kind: socket.SocketKind) -> None:
    """A fixed port that is taken ends the start with its number, its address and what to type."""
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind((host, 0))
        if kind == STREAM:
            taken.listen()
        port = int(taken.getsockname()[1])
        with pytest.raises(LabError, match=f"port {port} on {host} is taken .*--lab-port"):
            launch(SYSTEM, SPEED, port_base=port - offset)


def test_nothing_is_printed_beside_the_sentence(tmp_path: Path) -> None:
    """A start that fails on a port leaves no traceback of the processes that had started already."""
    with socket.socket() as taken:
        taken.bind(("127.101.9.84", 0))
        taken.listen()
        argv = processes.python("-m", "lab", SYSTEM, f"--lab-port={taken.getsockname()[1] - 2}")
        with (tmp_path / "stderr").open("wb") as stderr:
            keeper = processes.spawn(argv, stderr=stderr)
        assert keeper.stdout is not None
        said = keeper.stdout.read()
        processes.stop(keeper, GONE_S)
    assert (keeper.returncode, b"is taken" in said) == (2, True)
    assert (tmp_path / "stderr").read_bytes() == b""


def test_a_lab_that_is_starting_ends_soon() -> None:
    """An owner who ends while the lab opens does not wait for the opening, and nothing is left."""
    argv = processes.python("-m", "lab", SYSTEM)
    keeper = processes.spawn(argv)
    time.sleep(1.5)
    family = below(keeper.pid)
    started = time.monotonic()
    processes.stop(keeper, GONE_S)
    assert time.monotonic() - started < GONE_S
    assert until(lambda: not [process for process in family if lives(process)])


@pytest.mark.long
def test_the_folder_of_a_lab_that_was_killed_at_once_is_swept_by_the_next() -> None:
    """kill -9 of keeper and world together leaves the folder to the next lab's start; the living keep theirs."""
    with launch(SYSTEM, SPEED) as dead, launch(SYSTEM, SPEED) as living:
        family = below(dead.keeper_pid)
        for pid in (dead.keeper_pid, dead.info.pid):
            os.kill(pid, signal.SIGKILL)
        assert until(lambda: not [p for p in family if p.pid != dead.keeper_pid and lives(p)])
        assert dead.info.state_dir.exists()
        with launch(SYSTEM, SPEED):
            assert (dead.info.state_dir.exists(), living.info.state_dir.exists()) == (False, True)


def test_an_existing_state_folder_is_refused(tmp_path: Path) -> None:
    """The keeper removes its folder at the end, so it takes none that is somebody's."""
    (tmp_path / "mine").mkdir()
    argv = processes.python("-m", "lab", SYSTEM, "--state-dir", str(tmp_path / "mine"))
    done = subprocess.run(
        argv, cwd=processes.ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "File exists" in done.stdout) == (2, True)
    assert (tmp_path / "mine").exists()


@pytest.mark.long
def test_a_lab_object_is_what_its_owner_holds() -> None:
    """The info survives a trip through JSON."""
    with launch(SYSTEM, SPEED) as lab:
        assert isinstance(lab, Lab)
        assert LabInfo.from_json(lab.info.to_json()) == lab.info
