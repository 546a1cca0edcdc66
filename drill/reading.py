"""What a client may do that must not write: read what is not there, and see that the system says so.

A target without a declared synthetic identity has nobody whose data may be changed, nor looked at. So one reads in
the name of an account that nobody has: a write that was never made must be answered "absent", by the part of the
system that takes writes, and a balance (where the target declares one) must be answered at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from drill.client import Reply
from drill.writing import WriteClient

NOBODY = "nobody-"
"""Begins the names of accounts and ids that nobody has."""


@dataclass(frozen=True)
class Answer:
    """One read. name: "read" or "balance"; good: the system answered as it does when it is well; said: in a word."""

    name: str
    good: bool
    reply: Reply
    said: str


def answers(client: WriteClient, who: str, *, fresh: bool = True) -> Iterator[Answer]:
    """Read as `who` (a name that nobody has), one read after the other; stop asking by not taking the next.

    fresh: whether each read goes over a connection of its own.
    """
    read = client.read(who, who, fresh=fresh)
    yield Answer("read", read.state == "absent", read.reply, read.state)
    if client.writes.balance_path is not None:
        balance = client.balance(who, fresh=fresh)
        yield Answer(
            "balance", balance.value is not None, balance.reply, "no balance" if balance.value is None else ""
        )
