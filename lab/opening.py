"""What opening a room has in common, whatever the system."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Protocol, TypeVar

from lab import ports
from lab.plan import Plan, Room, WorldError
from lab.postgres_programs import PostgresError
from lab.processes import ChildError


class Opens(Room, Protocol):
    """A room that is not open yet."""

    def open(self) -> None:
        """Start everything; returns when it serves."""


R = TypeVar("R", bound=Opens)
TCP, BOTH = (socket.SOCK_STREAM,), (socket.SOCK_STREAM, socket.SOCK_DGRAM)


def opened(room: R) -> R:
    """The room, open; WorldError or OSError, and nothing left open, when it cannot be."""
    try:
        room.open()
    except (PostgresError, ChildError) as error:
        room.close()
        raise WorldError(f"the lab did not come up: {error}") from error
    except BaseException:
        room.close()
        raise
    return room


def require_loopback(
    plan: Plan, addresses: Sequence[str], aws: str, dns: Sequence[str], http: Sequence[str], databases: Sequence[str]
) -> None:
    """WorldError when the machine lacks an address, or a fixed port is taken, before anything is started."""
    ports.require_addresses(addresses)
    if plan.port_base is None:
        return
    for offset, (hosts, kinds) in enumerate((([aws], TCP), (dns, BOTH), (http, TCP), (databases, TCP))):
        ports.require_free(plan.port(offset), hosts, plan.port_base, kinds)
