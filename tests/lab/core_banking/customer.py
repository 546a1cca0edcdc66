"""What the tests use to reach a lab: only its real seams."""

from __future__ import annotations

import http.client
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3
import dns.resolver
from botocore.config import Config

from lab.launch import LabInfo

TOKYO, OSAKA, OREGON = "ap-northeast-1", "ap-northeast-3", "us-west-2"
BALANCER = {TOKYO: "127.100.5.165", OSAKA: "127.101.5.165"}
SETTLE_WALL_S = 10.0


def aws(info: LabInfo, service: str, region: str, read_timeout_s: float = 60.0) -> Any:
    """A boto3 client of the lab that tries once."""
    return boto3.client(
        service,
        region_name=region,
        endpoint_url=info.aws_endpoint,
        aws_access_key_id="lab",
        aws_secret_access_key="lab",
        config=Config(read_timeout=read_timeout_s, retries={"total_max_attempts": 1}, proxies={}),
    )


def addresses(info: LabInfo, name: str = "api.example.com", region: str = TOKYO) -> set[str]:
    """What the Region's resolver answers."""
    resolver = dns.resolver.Resolver(configure=False)
    host, resolver.port = info.resolvers[region]
    resolver.nameservers = [host]
    return {str(record) for record in resolver.resolve(name, "A", lifetime=5)}


def until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Poll every 50 ms; what the condition says at the end."""
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


@dataclass(frozen=True)
class Customer:
    """One account, spoken for at one load balancer address."""

    info: LabInfo
    address: str
    account: str

    @classmethod
    def new(cls, info: LabInfo, region: str = TOKYO) -> Customer:
        return cls(info, BALANCER[region], f"test-{uuid.uuid4()}")

    def ask(self, method: str, path: str, body: object | None = None) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection(self.address, self.info.http_port, timeout=10)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"X_ACCOUNT_ID": self.account})
            response = connection.getresponse()
            content = response.read()
            return response.status, json.loads(content) if content[:1] == b"{" else {}
        finally:
            connection.close()

    def begin(self, kind: str, quantity: int) -> str:
        status, answer = self.ask("POST", f"/transaction/{kind}", {"quantity": quantity})
        assert status == 200, (status, answer)
        return str(answer["transactionId"])

    def settled(self, transaction_id: str) -> str:
        """The final state of a transaction."""
        state = ""

        def final() -> bool:
            nonlocal state
            status, answer = self.ask("GET", f"/transaction/{transaction_id}")
            state = str(answer.get("status", status))
            return state not in ("status#pending", "503")

        until(final, SETTLE_WALL_S)
        return state

    def do(self, kind: str, quantity: int) -> str:
        return self.settled(self.begin(kind, quantity))

    def balance(self) -> int:
        return int(self.ask("GET", "/balance")[1]["balance"])
