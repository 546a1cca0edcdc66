"""The witness of what survived: every acknowledged write is read back from the survivor, by its regional name.

The regional endpoint bypasses failover, so the answer is the survivor's own whatever DNS says. A read is repeated
when it was not answered (this is not evidence of availability, and a lost answer is not a lost write); what could
not be read in the end is "unknown", which is neither there nor lost.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeVar

from drill.client import Reply, wall_timeout_s
from drill.clock import Clock
from drill.doors import open_door
from drill.ledger import Write
from drill.target import Target
from drill.timeline import Readback
from drill.write_path import ReadPath
from drill.writing import TERMINAL, WriteClient, client_key_of

WORKERS = 8
READS_PER_S = 200.0
"""Wall seconds; all workers together. Reading back must not become a load of its own."""
ATTEMPTS = 3
RETRY_WALL_S = 0.2
LOOK_S = 0.1
"""Wall seconds between two looks at whether everything has been read."""
LIMIT_S = 180.0
"""Wall seconds for one pass; what is not read by then is unknown."""

T = TypeVar("T")
R = TypeVar("R")


def read_back(
    target: Target,
    clock: Clock,
    writes: Iterable[Write],
    region: str,
    window: str,
    pass_: str,
    already: Collection[Readback] = (),
    limit_s: float = LIMIT_S,
    meanwhile: Callable[[], None] = lambda: None,
) -> list[Readback]:
    """What `region` says of every acknowledged write in every store that is to hold it, in the ledger's order.

    Where a store is asked by the client's own key, refused and indeterminate writes are looked for too, in the
    settled pass. window: "failover" | "failback"; pass_: "recovery" | "settled"; already: results of an earlier
    pass of the same window: a write that was terminal there is not asked for again (nothing follows a terminal
    state) and gets no further record. limit_s: wall seconds for all; meanwhile: called every LOOK_S while it lasts.
    UsageError when the target has no regional endpoint for `region`.
    """
    done = {(r.key, r.store) for r in already if r.window == window and r.state in TERMINAL}
    every = ((write, store) for write in writes for store in write.stores if (write.key, store) not in done)
    asked = [(w, s) for w, s in every if _asks(w, target.writes.reader(s), pass_)]
    return read_units(target, clock, asked, region, window, pass_, limit_s, meanwhile)


def read_units(
    target: Target,
    clock: Clock,
    asked: list[tuple[Write, str]],
    region: str,
    window: str,
    pass_: str,
    limit_s: float,
    meanwhile: Callable[[], None],
) -> list[Readback]:
    """What `region` says of those writes, each in one store; as for `read_back`."""

    def read(client: WriteClient, one: tuple[Write, str]) -> Readback:
        return _read(client, clock, *one, window, pass_)

    answers = _each(target, clock, region, asked, read, limit_s, meanwhile)
    late_s = clock.monotonic_s()
    return [answers.get(n) or Readback(late_s, window, pass_, w.key, "unknown", s) for n, (w, s) in enumerate(asked)]


def _asks(write: Write, how: ReadPath, pass_: str) -> bool:
    if write.result == "acked":
        return write.id is not None
    return how.by_key and pass_ == "settled"


def read_balances(
    target: Target,
    clock: Clock,
    accounts: Iterable[str],
    region: str,
    window: str,
    limit_s: float = LIMIT_S,
    meanwhile: Callable[[], None] = lambda: None,
) -> list[dict[str, Any]]:
    """What `region` says of every account's balance: {window, account, balance, at_s}; balance None if unread.

    Nothing when the target declares no balance_path. limit_s, meanwhile: as for `read_back`.
    """
    if target.writes.balance_path is None:
        return []
    asked = list(accounts)

    def read(client: WriteClient, account: str) -> tuple[float | None, float]:
        balance = _attempts(clock, lambda: client.balance(account), lambda b: b.reply)
        return balance.value, balance.reply.done_s

    answers = _each(target, clock, region, asked, read, limit_s, meanwhile)
    unread = (None, clock.monotonic_s())
    return [
        {"window": window, "account": account, "balance": value, "at_s": at_s}
        for account, (value, at_s) in ((a, answers.get(n, unread)) for n, a in enumerate(asked))
    ]


def _read(client: WriteClient, clock: Clock, write: Write, store: str, window: str, pass_: str) -> Readback:
    key = client_key_of(write)
    seen = _attempts(
        clock, lambda: client.read(write.id or "", write.account, store=store, key=key), lambda r: r.reply
    )
    told = (seen.copies, seen.digest, seen.region) if seen.state == "settled" else ()
    return Readback(seen.reply.done_s, window, pass_, write.key, seen.state, store, *told)


def _attempts(clock: Clock, read: Callable[[], R], reply_of: Callable[[R], Reply]) -> R:
    seen = read()
    for _ in range(ATTEMPTS - 1):
        if not _unanswered(reply_of(seen)):
            break
        clock.sleep(RETRY_WALL_S * clock.speed)
        seen = read()
    return seen


def _unanswered(reply: Reply) -> bool:
    return bool(reply.error) or reply.status >= 500 or reply.status == 429


def _each(
    target: Target,
    clock: Clock,
    region: str,
    items: list[T],
    read: Callable[[WriteClient, T], R],
    limit_s: float,
    meanwhile: Callable[[], None],
) -> dict[int, R]:
    """Read every item with a bounded number of workers, rate and time; position -> result of those that were read.

    An interrupt ends it: what has not been asked for yet is left.
    """
    todo: queue.SimpleQueue[tuple[int, T]] = queue.SimpleQueue()
    for entry in enumerate(items):
        todo.put(entry)
    results: dict[int, R] = {}
    deadline_s = clock.monotonic_s() + limit_s

    def work() -> None:
        client = _client(target, clock, region)
        while clock.monotonic_s() < deadline_s:
            began_s = clock.monotonic_s()
            try:
                number, item = todo.get_nowait()
            except queue.Empty:
                return
            results[number] = read(client, item)
            clock.sleep((began_s + WORKERS / READS_PER_S - clock.monotonic_s()) * clock.speed)

    _client(target, clock, region)  # a target without that endpoint is told here, not in eight threads
    workers = [threading.Thread(target=work, name=f"read-back-{n}", daemon=True) for n in range(WORKERS)]
    for worker in workers[: len(items)]:
        worker.start()
    try:
        while any(worker.is_alive() for worker in workers) and clock.monotonic_s() < deadline_s + RETRY_WALL_S:
            meanwhile()
            clock.sleep(LOOK_S * clock.speed)
    finally:
        _drain(todo)
    return dict(results)


def _drain(todo: queue.SimpleQueue[tuple[int, T]]) -> None:
    with contextlib.suppress(queue.Empty):
        while True:
            todo.get_nowait()


def _client(target: Target, clock: Clock, region: str) -> WriteClient:
    door = open_door(target, clock, wall_timeout_s(target.load.timeout_s, clock.speed), region)
    return WriteClient(target.writes, door, None, clock=clock)
