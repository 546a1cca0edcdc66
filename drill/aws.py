"""The one executor: the only place of the harness that makes mutating AWS calls, and it makes them from data."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError
from botocore.retries.standard import ThrottledRetryableChecker

from drill.call import Call, Fact, Reading
from drill.calls_made import Made, made_of
from drill.errors import DrillError
from drill.limits import Limits
from drill.reach import Reach
from drill.rights import Rights
from drill.session import failure, open_session

if TYPE_CHECKING:  # a restorer has no target, and starts sooner without it
    from drill.target import Target

Cause = Literal["refused", "busy", "unanswered"]
"""Why a call failed. refused: AWS said no and will say so again (a right is missing, credentials have expired, no
such thing); busy: AWS says to come again (throttled, 5xx); unanswered: nobody knows whether the call took effect."""
BUSY = frozenset(ThrottledRetryableChecker._THROTTLED_ERROR_CODES)
"""The error codes that botocore itself takes for throttling."""


ENDPOINT_READ_S = 6.0
"""Wall seconds for an answer of one of several endpoints, tried once each: five of them take no longer than one call
elsewhere with all its attempts."""
GLANCE = Limits(connect_s=1.0, read_s=2.0, attempts=1)
"""For looks whose failure means nothing by itself: they must not hold up what is waiting."""
BEFORE_SEND = "before-send"
"""Emitted by botocore when a request is signed and about to be sent: the last instant to hold it back."""


def anything(call: Call) -> None:
    """Admits every call: of a process that shares its world with nobody."""


class AwsFailed(DrillError):
    """An AWS call failed: names operation, Region and AWS's own words, without secrets.

    code: AWS's error code, "" without an answer; cause: see Cause.
    """

    def __init__(self, message: str, code: str = "", cause: Cause = "refused") -> None:
        super().__init__(message)
        self.code, self.cause = code, cause


class Aws:
    """Per-Region clients with bounded retries and timeouts (wall seconds).

    endpoint_url: one URL for all services (a lab); None for AWS itself. rights: whose credentials, see drill.session;
    region: where STS is asked for them.
    """

    def __init__(
        self,
        endpoint_url: str | None = None,
        limits: Limits | None = None,
        rights: Rights | None = None,
        region: str | None = None,
    ) -> None:
        self.endpoint_url, self.limits = endpoint_url, limits or Limits()
        self.admit: Callable[[Call], None] = anything
        """Asked just before each request of any client is sent, a retry too; what it raises is raised instead."""
        self.heard: list[Callable[[Made], None]] = []
        """Told what came of each call that may change something; shared with whatever `with_limits` made."""
        self._clients: dict[tuple[str, str, str | None], Any] = {}
        self._lock = threading.Lock()
        self._session: Any = open_session(endpoint_url, rights or Rights(), region)

    @classmethod
    def of(cls, target: Target) -> Self:
        """Clients that reach a target, with the rights that it names."""
        return cls(target.connection.aws_endpoint, rights=target.access.rights, region=target.regions.observer)

    @classmethod
    def reaching(cls, reach: Reach) -> Self:
        """Clients for who has only the journal."""
        return cls(reach.endpoint_url, rights=reach.rights, region=reach.region)

    @property
    def session(self) -> Any:
        """The boto3 session, whose credentials all clients use."""
        return self._session

    def client(self, service: str, region: str, endpoint_url: str | None = None) -> Any:
        """A boto3 client; cached per service, Region and endpoint.

        endpoint_url: of a data plane that has several, so it tries once: the next endpoint is the second attempt.
        """
        url = endpoint_url or self.endpoint_url
        with self._lock:
            key = (service, region, url)
            if key not in self._clients:
                config = _once(self._config()) if endpoint_url else self._config()
                client = self._session.client(service, region, endpoint_url=url, config=config)
                client.meta.events.register(BEFORE_SEND, self._gate(service, region))
                self._clients[key] = client
            return self._clients[key]

    def run(self, call: Call) -> dict[str, Any]:
        """Make the call. AwsFailed carries what AWS said; Fenced when this process may not change anything more.

        One with endpoints is made at each in turn until one answers, as AWS prescribes for ARC; what one refuses,
        all refuse.
        """
        *others, (region, url) = call.endpoints.items() or [(call.region, None)]
        for other, other_url in others:
            try:
                return self._made_at(call, other, other_url)
            except AwsFailed as error:
                if error.cause == "refused":
                    raise
        return self._made_at(call, region, url)

    def _made_at(self, call: Call, region: str, url: str | None) -> dict[str, Any]:
        method = getattr(self.client(call.service, region, url), xform_name(call.operation))
        try:
            reply = method(**call.params)
        except (ClientError, BotoCoreError) as error:
            failed = _failed(call, error)
            answer = error.response if isinstance(error, ClientError) else {}
            self._tell(call, region, answer, failed.code or "unanswered")
            raise failed from error
        self._tell(call, region, reply)
        return {key: value for key, value in reply.items() if key != "ResponseMetadata"}

    def _tell(self, call: Call, region: str, reply: Mapping[str, Any], error: str = "") -> None:
        if call.mutates:
            made = made_of(call, region, reply, error)
            for told in self.heard:
                told(made)

    def read(self, facts: Iterable[Fact]) -> list[Reading]:
        """Read each fact's live value. AwsFailed when one cannot be read.

        Facts with the same call are read from one reply: they are of one instant, even where AWS's replies waver.
        """
        replies: dict[str, dict[str, Any]] = {}
        return [Reading(fact, fact.extract(self._reply(fact, replies))) for fact in facts]

    def with_limits(self, limits: Limits) -> Aws:
        """The same world with the same credentials, asked with other limits."""
        other = copy.copy(self)
        other.limits, other._clients, other._lock = limits, {}, threading.Lock()
        return other

    def await_facts(
        self, facts: Iterable[Fact], timeout_s: float, sleep: Callable[[float], None], step_s: float
    ) -> list[Reading]:
        """Read until all facts hold or `timeout_s` has been slept; returns the last readings.

        sleep takes target seconds, `step_s` at a time: the number of looks is bounded by timeout_s / step_s + 1.
        """
        wanted = tuple(facts)
        readings = self.read(wanted)
        for _ in range(int(timeout_s / step_s)):
            if all(reading.holds for reading in readings):
                break
            sleep(step_s)
            readings = self.read(wanted)
        return readings

    def _reply(self, fact: Fact, replies: dict[str, dict[str, Any]]) -> dict[str, Any]:
        key = json.dumps([fact.call.service, fact.call.operation, fact.call.region, fact.call.params], sort_keys=True)
        if key not in replies:
            try:
                replies[key] = self.run(fact.call)
            except AwsFailed as error:
                if error.code not in fact.absent:
                    raise
                return {}
        return replies[key]

    def _gate(self, service: str, region: str) -> Callable[..., None]:
        """What asks `admit`, with the call's parameters left out: botocore has made bytes of them by now."""

        def gate(event_name: str, **_: Any) -> None:
            self.admit(Call(service, event_name.rpartition(".")[2], {}, region))

        return gate

    def _config(self) -> Config:
        return Config(
            connect_timeout=self.limits.connect_s,
            read_timeout=self.limits.read_s,
            retries={"total_max_attempts": self.limits.attempts, "mode": "standard"},
            inject_host_prefix=self.endpoint_url is None,
        )


def _once(config: Any) -> Config:
    read_s = min(config.read_timeout, ENDPOINT_READ_S)
    once: Config = config.merge(Config(read_timeout=read_s, retries={"total_max_attempts": 1, "mode": "standard"}))
    return once


def _failed(call: Call, error: ClientError | BotoCoreError) -> AwsFailed:
    response: Any = error.response if isinstance(error, ClientError) else {}
    code = str(response.get("Error", {}).get("Code", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    cause: Cause = "refused"
    if isinstance(error, ConnectionError | HTTPClientError):
        cause = "unanswered"
    elif code in BUSY or status in (500, 502, 503, 504):
        cause = "busy"
    return AwsFailed(f"{call.service}:{call.operation} in {call.region} failed: {failure(error)}", code, cause)
