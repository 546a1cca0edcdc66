"""Small real servers on loopback for the tests of the client side: DNS, HTTP, and a bank behind HTTP."""

from __future__ import annotations

import itertools
import json
import socketserver
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

SOA = "ns.example.com. host.example.com. 1 60 60 60 {minimum}"


@dataclass
class Zone:
    """What the DNS server answers; change it while it runs. `rcode` "DROP" = say nothing."""

    addresses: dict[str, list[str]] = field(default_factory=dict)
    ttl: int = 60
    minimum: int = 600
    rcode: str = ""
    truncate: bool = False
    delay_s: float = 0.0
    alias: dict[str, str] = field(default_factory=dict)
    queries: Counter[str] = field(default_factory=Counter)

    def answer(self, wire: bytes, transport: str) -> bytes | None:
        """The reply to one query."""
        query = dns.message.from_wire(wire)
        name = query.question[0].name.to_text(omit_final_dot=True)
        self.queries[transport] += 1
        time.sleep(self.delay_s)
        if self.rcode == "DROP":
            return None
        reply = dns.message.make_response(query)
        if self.truncate and transport == "udp":
            reply.flags |= dns.flags.TC
        elif self.rcode:
            reply.set_rcode(dns.rcode.from_text(self.rcode))
        else:
            self._fill(reply, name)
        return reply.to_wire()

    def _fill(self, reply: dns.message.Message, name: str) -> None:
        if name in self.alias:
            reply.answer.append(dns.rrset.from_text(f"{name}.", 5, "IN", "CNAME", f"{self.alias[name]}."))
            name = self.alias[name]
        if self.addresses.get(name):
            reply.answer.append(dns.rrset.from_text(f"{name}.", self.ttl, "IN", "A", *self.addresses[name]))
            return
        if name not in self.addresses:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        soa = SOA.format(minimum=self.minimum)
        reply.authority.append(dns.rrset.from_text("example.com.", self.minimum, "IN", "SOA", soa))


@contextmanager
def dns_server(zone: Zone) -> Iterator[str]:
    """A DNS server (UDP and TCP on one port); yields "host:port"."""

    class Udp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            data, sock = self.request
            reply = zone.answer(data, "udp")
            if reply:
                sock.sendto(reply, self.client_address)

    class Tcp(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            (length,) = struct.unpack("!H", self.rfile.read(2))
            reply = zone.answer(self.rfile.read(length), "tcp")
            if reply:
                self.wfile.write(struct.pack("!H", len(reply)) + reply)

    tcp = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tcp)
    udp = socketserver.ThreadingUDPServer(("127.0.0.1", tcp.server_address[1]), Udp)
    with serving(tcp), serving(udp):
        yield f"127.0.0.1:{tcp.server_address[1]}"


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    """Run a socketserver in a thread until the block ends."""
    if isinstance(server, socketserver.ThreadingMixIn):
        server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


Handle = Callable[[BaseHTTPRequestHandler, bytes], None]


@contextmanager
def http_server(handle: Handle, host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """An HTTP/1.1 server that gives every request and its body to `handle`; yields its port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            handle(self, self.rfile.read(int(self.headers.get("Content-Length", "0"))))

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 128

        def handle_error(self, *_: Any) -> None:
            """A client that goes away is no news."""

    server = Server((host, port), Handler)
    with serving(server):
        yield server.server_address[1]


def answer(
    request: BaseHTTPRequestHandler, status: int, value: object = None, headers: dict[str, str] | None = None
) -> None:
    """Send a JSON reply."""
    body = json.dumps(value).encode()
    request.send_response(status)
    for name, text in {"Content-Length": str(len(body)), **(headers or {})}.items():
        request.send_header(name, text)
    request.end_headers()
    request.wfile.write(body)


@dataclass
class Bank:
    """The API of the sample system in small: a write is settled at its second read.

    acked: ids in the order of acceptance; accounts: who made them; peers: addresses that were connected to;
    reads: reads per id; fail_every: each n-th request is answered 500; closing: the requests that asked to close.
    """

    acked: dict[str, str] = field(default_factory=dict)
    reads: Counter[str] = field(default_factory=Counter)
    seen: list[tuple[str, str, str]] = field(default_factory=list)
    closing: list[bool] = field(default_factory=list)
    fail_every: int = 0
    reads_to_settle: int = 2
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        """Handle one request."""
        account = request.headers.get("X_ACCOUNT_ID", "")
        with self._lock:
            self.seen.append((request.command, request.path, account))
            self.closing.append(request.headers.get("Connection") == "close")
            status, value = self._reply(request.command, request.path, account, len(self.seen))
        answer(request, status, value)

    def _reply(self, method: str, path: str, account: str, count: int) -> tuple[int, dict[str, object]]:
        if self.fail_every and count % self.fail_every == 0:
            return 500, {"message": "planted"}
        if method == "POST":
            id = f"t-{next(self._ids)}"
            self.acked[id] = account
            return 200, {"transactionId": id}
        if path == "/balance":
            return 200, {"balance": 850.5}
        id = path.rpartition("/")[2]
        if self.acked.get(id) != account:
            return 404, {"message": "no such transaction"}
        self.reads[id] += 1
        settled = self.reads[id] >= self.reads_to_settle
        return 200, {"status": "status#success" if settled else "status#pending"}
