"""The pair of real MariaDB servers, and replicas outside that follow it through a balancer."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pymysql
import pytest

from lab import mariadb_server
from lab.clock import LabClock
from lab.mariadb_server import MariadbServer, Seed
from lab.nlb import NetworkBalancer, NlbConfig
from lab.plan import WorldError
from lab.ports import free_port_on
from lab.private_link import engines
from lab.private_link.on_mariadb import MARKERS, MariadbReplica, MariadbSource, Outside
from tests.mariadb import needs_mariadb

HOSTS = {"one": "127.105.9.20", "two": "127.105.9.10"}
BALANCER, BY_GTID, BY_FILE = "127.105.9.30", "127.106.9.10", "127.106.9.11"
DEAD_PORT = 40000
LIMIT_S = 30.0


@dataclass
class World:
    """A cluster, its balancer, and two replicas that follow through it."""

    source: MariadbSource
    balancer: NetworkBalancer
    by_gtid: MariadbReplica
    by_file: MariadbReplica
    port: int

    def turn(self, old: str, new: str) -> None:
        """Let the balancer lead to the other instance."""
        self.balancer.deregister((HOSTS[old], self.port))
        self.balancer.register((HOSTS[new], self.port))

    def mark(self, instance: str) -> str:
        """Commit a marker there."""
        made = str(uuid.uuid4())
        self.source.mark(instance, made)
        return made


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One for this file, which fails over once."""
    folder = tmp_path_factory.mktemp("mariadb")
    port, seed = free_port_on([*HOSTS.values(), BALANCER, BY_GTID, BY_FILE]), Seed(folder / "seed")
    source = MariadbSource(folder / "source", HOSTS, port, seed, MARKERS)
    replicas = [
        MariadbReplica(folder / host, Outside((host, port), 1.0, gtid=host == BY_GTID), seed)
        for host in (BY_GTID, BY_FILE)
    ]
    config = NlbConfig(BALANCER, port, LabClock.starting_now(100.0), DEAD_PORT)
    balancer = NetworkBalancer(config, lambda states: None)
    made = World(source, balancer, *replicas, port)
    try:
        source.start()
        balancer.start()
        balancer.register((HOSTS["one"], port), at_once=True)
        assert until(lambda: "unhealthy" in balancer.states().values())
        for number, replica in enumerate(replicas):
            replica.start(number)
            replica.subscribe(BALANCER, port)
        yield made
    finally:
        balancer.stop()
        for server in (source, *replicas):
            server.stop()


def until(condition: Callable[[], bool]) -> bool:
    """Poll every 50 ms; what the condition says at the end."""
    deadline = time.monotonic() + LIMIT_S
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


@needs_mariadb
def test_one_writes_the_other_has_it_and_refuses_writes_and_followers(world: World) -> None:
    """What the writer acknowledged is at the reader, in its log at least; nobody outside follows a reader."""
    one, two = world.source.servers.values()
    marker = world.mark("one")
    assert one.value("gtid_binlog_pos") == two.following()["Gtid_IO_Pos"]
    assert (world.source.writer(), world.source.ready("two")) == ("one", True)
    with pytest.raises(pymysql.err.OperationalError, match="read-only"):
        world.mark("two")
    with pytest.raises(pymysql.err.OperationalError, match="locked"):
        pymysql.connect(host=two.host, port=two.port, user="replicator")
    assert until(lambda: world.by_gtid.has(marker) and world.by_file.has(marker))


@needs_mariadb
def test_after_a_failover_gtid_goes_on_and_a_file_and_a_position_do_not(world: World) -> None:
    """The new writer knows each transaction by its GTID; of the old one's log it knows nothing."""
    one, two = world.source.servers.values()
    before = world.mark("one")
    assert until(lambda: world.by_gtid.has(before) and world.by_file.has(before))
    world.source.crash("one")
    world.turn("one", "two")
    world.source.promote("two")
    after = world.mark("two")
    assert until(lambda: world.by_gtid.has(after))
    assert until(lambda: world.by_file.server.following()["Last_IO_Errno"] == 1236)
    assert not world.by_file.has(after)
    world.source.follow("one")
    assert world.source.writer() == "two"
    with pytest.raises(pymysql.err.OperationalError, match="read-only"):
        world.mark("one")
    late = world.mark("two")
    assert one.value("gtid_binlog_pos").rpartition("-")[2] <= two.value("gtid_binlog_pos").rpartition("-")[2]
    assert until(lambda: world.source.ready("one") and world.by_gtid.has(late))


def test_a_machine_without_mariadb_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the setting that asked for it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(mariadb_server, "PLACES", str(tmp_path))
    with pytest.raises(WorldError, match=r"engine=mariadb: no MariaDB here.*apt-get install"):
        engines.databases("mariadb", tmp_path, 1, 1.0)


@needs_mariadb
def test_a_server_that_does_not_come_up_says_why(tmp_path: Path) -> None:
    """The end of its log."""
    server = MariadbServer(tmp_path / "one", HOSTS["one"], 1, Seed(tmp_path / "seed"), {"no-such-option": "1"})
    try:
        with pytest.raises(mariadb_server.MariadbError, match=r"did not come up: .*no-such-option"):
            server.start(1, ())
    finally:
        server.stop()
