"""The quick witness: `python -m checks.pulse CONFIG.json`, a process that does nothing else.

With `aims` in its config (calibration, benchmarks) it looks at those until it is told to end. With a `target` it
follows a drill: it asks the target's DNS servers, and looks at its quick path as two kinds of client, "new clients"
(a connection for each look) and "pinned clients" (connections kept since before the fault), gently while nothing is
expected and quickly while a window of the drill is open (it reads the drill's own marks), never faster than the
target allows.
"""

from __future__ import annotations

import gc
import json
import ssl
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from checks import dns_watch
from checks.dns_flights import DnsAim, DnsServer
from checks.flights import Aim, Loop
from checks.http_flights import HttpAim, Resolve
from checks.open_window import LOOK_S, OpenWindow
from drill.child import read_config, stop_event
from drill.client import wall_timeout_s
from drill.clock import SystemClock
from drill.observations import ObservationLog
from drill.probes import NEW, PINNED, PULSE
from drill.reading import NOBODY
from drill.resolver import CachingClient
from drill.sign_on import signed_on
from drill.target import Target

ABSENT = (404,)
"""What the read of a write that nobody made is answered when the system is well."""
REFRESH_S = 0.02
"""How often the background resolver looks whether the name's answer has expired (wall seconds)."""
GET = "GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n{headers}Connection: {connection}\r\n\r\n"


def http_request(path: str, host: str, headers: dict[str, str], kept: bool) -> bytes:
    """The bytes of a GET."""
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    words = {"path": path, "host": host, "headers": more, "connection": "keep-alive" if kept else "close"}
    return GET.format(**words).encode("latin-1")


def at(address: str) -> Resolve:
    """Always the same address."""
    return lambda: (address, "")


def planned_aims(plan: Sequence[dict[str, Any]]) -> list[Aim]:
    """Aims from their JSON form.

    Each: kind ("http" or "dns"), vantage, host, port, interval_s, deadline_s, and for dns: name, good (addresses).
    """
    servers: dict[tuple[str, int], DnsServer] = {}
    return [_planned(one, number, servers) for number, one in enumerate(plan)]


def _planned(one: dict[str, Any], number: int, servers: dict[tuple[str, int], DnsServer]) -> Aim:
    host, port, every_s = str(one["host"]), int(one["port"]), float(one["interval_s"])
    # To the millisecond, so that one turn of the loop serves several slots.
    offset_s = (number % max(1, round(every_s * 1000))) / 1000
    if one["kind"] == "dns":
        server = servers.setdefault((host, port), DnsServer(host, port))
        good = tuple(one.get("good", ()))
        deadline_s = float(one["deadline_s"])
        return DnsAim(
            PULSE,
            str(one["vantage"]),
            every_s,
            every_s,
            deadline_s,
            server,
            str(one["name"]),
            good=good,
            silence_fails=True,
            offset_s=offset_s,
        )
    kept = bool(one.get("kept", False))
    request = http_request("/", host, {}, kept)
    return HttpAim(
        PULSE,
        str(one["vantage"]),
        every_s,
        every_s,
        float(one["deadline_s"]),
        at(host),
        port,
        request,
        frozenset({200}),
        kept,
        offset_s,
        abrupt=True,
    )


def target_aims(target: Target, run_id: str, clock: SystemClock, stop: threading.Event) -> list[Aim]:
    """What a drill of `target` looks at: its DNS servers, and its quick path (if it speaks HTTP) as two kinds of
    client."""
    names: list[Aim] = list(dns_watch.aims(target, clock.speed))
    return names if target.writes.protocol == "sql" else [*names, *_quick_path(target, run_id, clock, stop)]


def _quick_path(target: Target, run_id: str, clock: SystemClock, stop: threading.Event) -> list[HttpAim]:
    probing, url = target.probing, urlsplit(target.endpoint)
    host = url.hostname or ""
    port = target.connection.http_port or url.port or (443 if url.scheme == "https" else 80)
    who = f"{target.load.synthetic_prefix or NOBODY}{run_id}-q"
    nobodys = quote(f"{NOBODY}{run_id}", safe="")
    path = probing.path or target.writes.read_path.replace("{id}", nobodys).replace("{key}", nobodys)
    headers = {**signed_on(target), target.writes.account_header: who}
    good = frozenset(probing.good or ABSENT)
    book = AddressBook(host, CachingClient.for_target(target, clock))
    book.start(clock, stop)
    tls = (ssl.create_default_context(), host) if url.scheme == "https" else None
    deadline_s = wall_timeout_s(target.load.timeout_s, clock.speed)
    return [
        HttpAim(
            PULSE,
            vantage,
            1 / probing.gentle_hz,
            1 / probing.quick_hz,
            deadline_s,
            book.resolve,
            port,
            http_request(path, f"{host}:{port}", headers, vantage == PINNED),
            good,
            kept=vantage == PINNED,
            offset_s=number * 0.5 / probing.quick_hz,
            tls=tls,
        )
        for number, vantage in enumerate((NEW, PINNED))
    ]


class AddressBook:
    """What a client's cache says of one name, kept fresh in the background: the loop that looks must never block.

    An answer is used for its TTL (in target seconds) and for the few milliseconds until the next one is there.
    """

    def __init__(self, name: str, cache: CachingClient) -> None:
        self._name, self._cache = name, cache
        self._addresses: tuple[str, ...] = ()
        self._why = "not asked yet"
        self._turn = 0

    def start(self, clock: SystemClock, stop: threading.Event) -> None:
        """Ask once, then keep asking until `stop`."""
        self._refresh()
        threading.Thread(target=self._keep_fresh, args=(stop,), name="addresses", daemon=True).start()

    def resolve(self) -> tuple[str, str]:
        """The next address in turn and "", or "" and why there is none."""
        addresses = self._addresses
        if not addresses:
            return "", self._why
        self._turn += 1
        return addresses[self._turn % len(addresses)], ""

    def _keep_fresh(self, stop: threading.Event) -> None:
        while not stop.wait(REFRESH_S):
            self._refresh()

    def _refresh(self) -> None:
        answer = self._cache.resolve(self._name)
        self._why = answer.rcode
        self._addresses = tuple(sorted(answer.addresses))


def follow(folder: Path, stop: threading.Event, loop: Loop) -> None:
    """Make the loop quick while a window of the drill in `folder` is open."""
    windows = OpenWindow(folder)

    def watch() -> None:
        while not stop.wait(LOOK_S):
            loop.quick = windows.open()

    threading.Thread(target=watch, name="marks", daemon=True).start()


def run(config: dict[str, Any], stop: threading.Event) -> None:
    """Look until `stop`."""
    folder, worker = Path(config["folder"]), str(config["worker"])
    log, clock = ObservationLog(folder, worker), SystemClock(float(config.get("speed", 1.0)))
    loop = Loop(clock, log)
    if config.get("lateness"):
        loop.lateness_s = []
    if "aims" in config:
        aims = planned_aims(config["aims"])
    else:
        aims = target_aims(Target.model_validate(config["target"]), str(config["run_id"]), clock, stop)
        follow(folder, stop, loop)
    # What is alive now lives for ever: a collection in the middle of an outage would be our own stall.
    gc.collect()
    gc.freeze()
    gc.disable()
    loop.run(aims, stop)
    log.close()
    if loop.lateness_s is not None:
        (folder / f"lateness-{worker}.json").write_text(json.dumps(loop.lateness_s))


def main() -> int:
    """The process: 0 when it was told to stop."""
    run(read_config(), stop_event())
    return 0


if __name__ == "__main__":
    sys.exit(main())
