"""The one executor: the only place of the harness that makes mutating AWS calls, and it makes them from data."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

import boto3
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from drill.call import Call, Fact, Reading
from drill.errors import DrillError

CONNECT_TIMEOUT_S = 2.0
READ_TIMEOUT_S = 10.0
MAX_ATTEMPTS = 3


class AwsFailed(DrillError):
    """An AWS call failed: names operation, Region and AWS's own words."""


class Aws:
    """Per-Region clients with bounded retries and timeouts (wall seconds).

    endpoint_url: one URL for all services (a lab); None for AWS itself, with boto3's own credentials.
    """

    def __init__(self, endpoint_url: str | None = None) -> None:
        self.endpoint_url = endpoint_url
        self._clients: dict[tuple[str, str, str | None], Any] = {}
        self._lock = threading.Lock()
        # A lab accepts any credentials, and must never be shown real ones.
        keys = {"aws_access_key_id": "lab", "aws_secret_access_key": "lab"} if endpoint_url else {}
        self._session: Any = boto3.session.Session(**keys)

    def client(self, service: str, region: str, endpoint_url: str | None = None) -> Any:
        """A boto3 client; cached per service, Region and endpoint."""
        url = endpoint_url or self.endpoint_url
        with self._lock:
            key = (service, region, url)
            if key not in self._clients:
                self._clients[key] = self._session.client(service, region, endpoint_url=url, config=self._config())
            return self._clients[key]

    def run(self, call: Call) -> dict[str, Any]:
        """Make the call. AwsFailed carries what AWS said."""
        method = getattr(self.client(call.service, call.region), xform_name(call.operation))
        try:
            reply = method(**call.params)
        except (ClientError, BotoCoreError) as error:
            raise AwsFailed(f"{call.service}:{call.operation} in {call.region} failed: {error}") from error
        return {key: value for key, value in reply.items() if key != "ResponseMetadata"}

    def read(self, facts: Iterable[Fact]) -> list[Reading]:
        """Read each fact's live value. AwsFailed when one cannot be read."""
        return [Reading(fact, fact.extract(self.run(fact.call))) for fact in facts]

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

    def _config(self) -> Config:
        return Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            retries={"total_max_attempts": MAX_ATTEMPTS, "mode": "standard"},
            inject_host_prefix=self.endpoint_url is None,
        )
