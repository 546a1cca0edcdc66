"""AWS for those who only look: every client refuses, before anything is sent, what is not a read.

Held at botocore's own seam, so that it does not matter whether a fault asks through `Aws.run` or through a client.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from drill.aws import Aws
from drill.call import Call, reads_only
from drill.errors import Refused

EVENT = "before-parameter-build"
"""Emitted by botocore for every call of every client, before the request exists."""


class MutationRefused(Refused):
    """Something that may only look was about to change AWS. Nothing was sent."""


@dataclass(frozen=True)
class OnlyReads:
    """A guard that declares: it changes nothing, in AWS or in the system. Only such guards run in a plan."""

    guard: Callable[[], Any]

    def __call__(self) -> Any:
        """What the guard returns or raises."""
        return self.guard()


class ReadOnlyAws(Aws):
    """The same world with the same credentials, read-only. `made`: every call so far, in order, with its Region.

    The given Aws keeps its own clients and its rights.
    """

    def __init__(self, aws: Aws) -> None:
        self.__dict__.update(vars(aws))
        self._clients: dict[tuple[str, str, str | None], Any] = {}
        self._lock = threading.Lock()
        self.made: list[Call] = []

    def client(self, service: str, region: str, endpoint_url: str | None = None) -> Any:
        """A client that raises MutationRefused for every operation that is not Describe*, Get* or List*."""
        client = super().client(service, region, endpoint_url)
        client.meta.events.register(EVENT, self._admit(service, region), unique_id=f"{EVENT}-read-only")
        return client

    def _admit(self, service: str, region: str) -> Callable[..., None]:
        def admit(params: dict[str, Any], model: Any, **_: Any) -> None:
            if not reads_only(model.name):
                raise MutationRefused(
                    f"{service}:{model.name} in {region} was about to be called, where only looking is allowed; "
                    "a prepare() or guard must not change anything"
                )
            self.made.append(Call(service, model.name, dict(params), region))

        return admit
