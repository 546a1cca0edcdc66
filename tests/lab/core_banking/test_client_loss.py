"""The published packet-loss experiment in the running system: whom it concerns, and whom not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from lab.core_banking import bastion
from lab.core_banking.names import PLACES
from lab.launch import Lab
from lab.packet_loss import CLIENT
from tests.lab.core_banking.customer import OSAKA, TOKYO, Customer, aws, until
from tests.lab.test_packet_loss import SOON_S, retransmitted

LIMIT_S = 30.0
SERVICES = f"{PLACES[TOKYO].network}.2."


@contextmanager
def losing(lab: Lab) -> Iterator[None]:
    """The experiment runs."""
    fis = aws(lab.info, "fis", TOKYO)
    (template,) = [
        one["id"]
        for one in fis.list_experiment_templates()["experimentTemplates"]
        if one["tags"]["Name"] == bastion.TEMPLATE
    ]
    experiment = fis.start_experiment(experimentTemplateId=template)["experiment"]["id"]
    try:
        yield
    finally:
        fis.stop_experiment(id=experiment)


def lost(lab: Lab, region: str, sender: str, limit_s: float = LIMIT_S) -> list[bool]:
    """Whether packets from there had to be sent again, for each address of the Region's load balancer."""
    port = lab.info.http_port
    return [retransmitted(address, port, sender, limit_s) > 0 for address in PLACES[region].balancers]


def test_only_clients_lose_packets_and_only_from_tokyo(lab: Lab) -> None:
    """Canaries and services, which have addresses of their own, and clients of Osaka notice nothing; when the
    experiment was stopped nobody does. A deposit settles all the while: the worker reaches its services."""
    with losing(lab):
        assert until(lambda: all(lost(lab, TOKYO, CLIENT, SOON_S)), LIMIT_S)
        for sender in (PLACES[TOKYO].canary, PLACES[OSAKA].canary, f"{SERVICES}10"):
            assert not any(lost(lab, TOKYO, sender))
        assert not any(lost(lab, OSAKA, CLIENT))
        customer = Customer.new(lab.info)
        assert customer.settled(customer.begin("deposit", 7)) == "status#success"
    assert until(lambda: not any(lost(lab, TOKYO, CLIENT)), LIMIT_S)
    assert "worker round" not in lab.info.overruns.read_text()


def test_canaries_and_the_worker_connect_from_addresses_of_their_own(lab: Lab) -> None:
    """So that a loss of clients is none of theirs: while no client is there, nobody connects from its address."""
    seen: set[str] = set()

    def look() -> bool:
        for one in psutil.net_connections("tcp4"):
            to_us = one.raddr and one.raddr == (PLACES[TOKYO].balancers[0], lab.info.http_port)
            if to_us and (one.laddr.ip != CLIENT or one.status == psutil.CONN_ESTABLISHED):
                seen.add(one.laddr.ip)
        return PLACES[OSAKA].canary in seen and any(host.startswith(SERVICES) for host in seen)

    Customer.new(lab.info).do("deposit", 7)
    assert until(look, LIMIT_S), seen
    assert CLIENT not in seen
