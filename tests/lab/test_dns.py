"""The DNS servers over the wire, asked with dnspython as `dig` would."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import pytest

from lab.clock import LabClock
from lab.dns import Answer, Authoritative, CachingResolver, RRset

HOST = "127.0.0.1"
SOA = RRset("example.com.", "SOA", 900, ("ns.example.com. hm.example.com. 1 7200 900 1209600 20",))
CLOCK = LabClock.starting_now(100.0)


@dataclass
class Zone:
    """What the authority says; counts the questions it got."""

    addresses: tuple[str, ...] = ("127.100.5.165", "127.100.9.84")
    asked: list[str] = field(default_factory=list)

    def answer(self, name: str, rtype: str, client: str) -> Answer:
        self.asked.append(f"{name} {rtype} {client}")
        if not name.endswith("example.com."):
            return Answer("REFUSED")
        if name == "big.example.com.":
            texts = tuple(f'"{n:03}{"x" * 200}"' for n in range(20))
            return Answer("NOERROR", (RRset(name, "TXT", 60, texts),))
        if name != "api.example.com.":
            return Answer("NXDOMAIN", soa=SOA)
        if rtype != "A":
            return Answer("NOERROR", soa=SOA)
        return Answer("NOERROR", (RRset(name, "A", 60, self.addresses),))


@dataclass(frozen=True)
class Room:
    """An authority and a resolver in front of it, at speed 100."""

    zone: Zone
    authority: Authoritative
    resolver: CachingResolver

    def ask(
        self,
        server: Authoritative | CachingResolver,
        name: str = "api.example.com",
        rtype: str = "A",
        tcp: bool = False,
    ) -> dns.message.Message:
        """One question."""
        send = dns.query.tcp if tcp else dns.query.udp
        query = dns.message.make_query(name, rtype)
        return send(query, HOST, timeout=5, port=server.port)


@pytest.fixture
def room() -> Iterator[Room]:
    """On ephemeral ports."""
    zone = Zone()
    authority = Authoritative(HOST, 0, zone.answer)
    authority.start()
    resolver = CachingResolver(HOST, 0, authority.address, CLOCK)
    resolver.start()
    yield Room(zone, authority, resolver)
    resolver.stop()
    authority.stop()


def addresses(reply: dns.message.Message) -> list[str]:
    """The addresses in their order."""
    return [rdata.to_text() for rrset in reply.answer for rdata in rrset]


@pytest.mark.parametrize("tcp", [False, True])
def test_authority_answers(room: Room, tcp: bool) -> None:
    """By UDP and by TCP: both addresses, TTL 60, authoritative, no recursion."""
    reply = room.ask(room.authority, tcp=tcp)
    assert sorted(addresses(reply)) == ["127.100.5.165", "127.100.9.84"]
    assert reply.answer[0].ttl == 60
    assert reply.flags & dns.flags.AA
    assert not reply.flags & dns.flags.RA


def test_addresses_take_turns(room: Room) -> None:
    """The first address of one answer is not that of the next."""
    for server in (room.authority, room.resolver):
        firsts = {addresses(room.ask(server))[0] for _ in range(4)}
        assert firsts == {"127.100.5.165", "127.100.9.84"}


def test_negative_answers_carry_the_soa(room: Room) -> None:
    """NXDOMAIN and no data come with the SOA in the authority section; outside the zones is REFUSED."""
    for name, rtype, rcode in (("no.example.com", "A", "NXDOMAIN"), ("api.example.com", "AAAA", "NOERROR")):
        for server in (room.authority, room.resolver):
            reply = room.ask(server, name, rtype)
            assert (dns.rcode.to_text(reply.rcode()), len(reply.answer)) == (rcode, 0)
            assert reply.authority[0].rdtype == dns.rdatatype.SOA
    assert room.ask(room.authority, "example.org").rcode() == dns.rcode.REFUSED


def test_resolver_keeps_for_the_ttl_in_lab_time(room: Room) -> None:
    """For 60 lab seconds the old answer comes with a falling TTL, after that the new one."""
    room.ask(room.resolver)
    room.zone.addresses = ("127.101.5.165",)
    CLOCK.sleep(20)
    aged = room.ask(room.resolver)
    assert addresses(aged)[0].startswith("127.100.")
    assert 0 < aged.answer[0].ttl <= 40
    assert aged.flags & dns.flags.RA
    assert not aged.flags & dns.flags.AA
    assert len(room.zone.asked) == 1
    CLOCK.sleep(45)
    fresh = room.ask(room.resolver)
    assert addresses(fresh) == ["127.101.5.165"]
    assert len(room.zone.asked) == 2


def test_resolver_keeps_negative_answers_by_the_soa_minimum(room: Room) -> None:
    """A name that does not exist is asked for again after the SOA's 20 s minimum, in lab time."""
    for wait_s, asked in ((0, 1), (5, 1), (25, 2)):
        CLOCK.sleep(wait_s)
        assert room.ask(room.resolver, "no.example.com").rcode() == dns.rcode.NXDOMAIN
        assert len(room.zone.asked) == asked


def test_refused_upstream_is_servfail(room: Room) -> None:
    """A resolver whose only authority refuses answers SERVFAIL and keeps nothing."""
    for _ in range(2):
        assert room.ask(room.resolver, "example.org").rcode() == dns.rcode.SERVFAIL
    assert len(room.zone.asked) == 2


def test_dead_upstream_is_servfail(room: Room) -> None:
    """Without its authority the resolver answers SERVFAIL within its time-outs, and cached names go on."""
    room.ask(room.resolver)
    room.authority.stop()
    assert addresses(room.ask(room.resolver))
    assert room.ask(room.resolver, "other.example.com").rcode() == dns.rcode.SERVFAIL


def test_flush_forgets(room: Room) -> None:
    """After a flush the authority is asked again."""
    room.ask(room.resolver)
    room.resolver.flush()
    room.ask(room.resolver)
    assert len(room.zone.asked) == 2


def test_large_answer_is_truncated_then_whole_by_tcp(room: Room) -> None:
    """An answer too large for UDP is marked truncated, and TCP has all of it, from both servers."""
    for server in (room.authority, room.resolver):
        assert room.ask(server, "big.example.com", "TXT").flags & dns.flags.TC
        whole = room.ask(server, "big.example.com", "TXT", tcp=True)
        assert len(addresses(whole)) == 20


def test_garbage_is_ignored(room: Room) -> None:
    """What is no DNS message gets no answer and does no harm; two questions are a format error."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as raw:
        raw.sendto(b"\x00\x01hello", room.authority.address)
        raw.sendto(b"", room.authority.address)
    with socket.create_connection(room.authority.address, 5) as tcp:
        tcp.sendall(struct.pack("!H", 5) + b"hello")
        assert tcp.recv(10) == b""
    query = dns.message.make_query("api.example.com", "A")
    query.question.append(dns.message.make_query("example.com", "A").question[0])
    reply = dns.query.udp(query, HOST, timeout=5, port=room.authority.port)
    assert reply.rcode() == dns.rcode.FORMERR
    assert addresses(room.ask(room.authority))


def test_busy_port_is_an_error(room: Room) -> None:
    """A port in use is an OSError at start, and stop frees it."""
    with pytest.raises(OSError, match="in use"):
        Authoritative(HOST, room.authority.port, room.zone.answer).start()
    room.authority.stop()
    again = Authoritative(HOST, room.authority.port, room.zone.answer)
    again.start()
    again.stop()
