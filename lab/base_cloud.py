"""What the AWS side of every system has in common: the API server, DNS, how it is reached, and waiting for it."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from lab.aws.server import AwsServer
from lab.clock import LabClock
from lab.dns import Authoritative, Authority, CachingResolver
from lab.launch import LabInfo
from lab.plan import Plan, WorldError
from lab.truth import Truth

READY_TIMEOUT_S = 40.0
"""How long processes, DNS and the first answers may take to be there (wall seconds)."""
ENDED = "the owner of the lab ended while it was starting"


class BaseCloud:
    """Everything that lives in the world process. over: set when the lab's owner ended.

    account: twelve digits; aws_host, dns_host: where the API and the authoritative DNS server listen; scheme: as in
    LabInfo.
    """

    account, aws_host, dns_host, scheme = "", "", "", ""

    def __init__(
        self, plan: Plan, settings: Mapping[str, Any], clock: LabClock, truth: Truth, over: threading.Event
    ) -> None:
        self._plan, self._settings, self._clock, self._truth, self._over = plan, settings, clock, truth, over
        self._closers = contextlib.ExitStack()
        self._server = AwsServer(self.aws_host, plan.port(0), clock, self.account)
        self._server.describes({"system": plan.system, "speed": clock.speed, "settings": list(plan.settings)})
        self._resolvers: dict[str, tuple[str, int]] = {}
        self._http_port = 0

    @property
    def aws_port(self) -> int:
        """The API's port."""
        return int(self._server.url.rpartition(":")[2])

    def close(self) -> None:
        """Stop everything, newest first."""
        self._closers.close()

    def info(self) -> LabInfo:
        """How to reach this lab."""
        folder = self._plan.state_dir
        return LabInfo(
            system=self._plan.system,
            speed=self._clock.speed,
            origin_monotonic_s=self._clock.origin_monotonic_s,
            origin_epoch_s=self._clock.origin_epoch_s,
            account=self.account,
            aws_endpoint=self._server.url,
            dns_authoritative=(self.dns_host, self._dns_port),
            resolvers=dict(self._resolvers),
            http_port=self._http_port,
            state_dir=folder,
            truth=folder / "truth.jsonl",
            overruns=folder / "overruns.jsonl",
            pid=os.getpid(),
            scheme=self.scheme,
            settings=tuple(self._plan.settings),
        )

    def _start_server(self) -> None:
        self._server.start()
        self._closers.callback(self._server.stop)

    def _start_names(self, authority: Authority, resolvers: Mapping[str, str]) -> None:
        """The authoritative server and each Region's resolver; resolvers: Region -> address."""
        authoritative = Authoritative(self.dns_host, self._plan.port(1), authority)
        authoritative.start()
        self._closers.callback(authoritative.stop)
        self._dns_port = authoritative.port
        for region, address in resolvers.items():
            upstream = (self.dns_host, self._dns_port)
            resolver = CachingResolver(address, self._plan.port(1), upstream, self._clock)
            resolver.start()
            self._closers.callback(resolver.stop)
            self._resolvers[region] = (address, resolver.port)

    def _await(self, what: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not condition():
            if self._over.wait(0.1):
                raise WorldError(ENDED)
            if time.monotonic() > deadline:
                raise WorldError(f"the lab is not ready after {READY_TIMEOUT_S:g} s: not yet true that {what}")
