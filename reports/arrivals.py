"""The load's requests in columns: a million of them cost a report 2 s and 100 MB, as objects 10 s and 2 GB.

What does not differ from request to request (operation, outcome, address, cohort ...) is kept once per kind.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from drill.timeline import Request, request_from

K = TypeVar("K", bound=Hashable)
Numbers = NDArray[np.float64]
Codes = NDArray[np.int32]
START = b'{"sent_s":'
DONE = b'"done_s":'
PLANNED = b'"planned_s":'


@dataclass(frozen=True, eq=False)
class Arrivals:
    """Requests in columns of equal length, in no order.

    sent_s, done_s, due_s: monotonic wall seconds, as in Request; kind: index into `kinds`, each of which is a
    request whose own stamps mean nothing.
    """

    sent_s: Numbers
    done_s: Numbers
    due_s: Numbers
    kind: Codes
    kinds: tuple[Request, ...]

    def __len__(self) -> int:
        return len(self.sent_s)

    def coded(self, values: Sequence[K]) -> tuple[Codes, tuple[K, ...]]:
        """One value per request as codes, and what they stand for, sorted. values: of each kind."""
        names = tuple(sorted(set(values), key=repr))
        number = {name: n for n, name in enumerate(names)}
        return np.array([number[v] for v in values], dtype=np.int32)[self.kind], names

    def where(self, wanted: Iterable[bool]) -> NDArray[np.bool_]:
        """Whether each request is of a wanted kind. wanted: for each kind."""
        return np.array([*wanted], dtype=np.bool_)[self.kind]

    @cached_property
    def taken_ms(self) -> Numbers:
        """Wall milliseconds from when each was due to its end."""
        found: Numbers = (self.done_s - self.due_s) * 1000.0
        return found


class _Columns:
    """Columns that grow by one request at a time."""

    def __init__(self) -> None:
        self.sent, self.done, self.due = array("d"), array("d"), array("d")
        self.kind = array("i")
        self.kinds: list[Request] = []
        self._by_text: dict[Any, int] = {}

    def add(self, sent_s: float, done_s: float, due_s: float, kind: int) -> None:
        self.sent.append(sent_s)
        self.done.append(done_s)
        self.due.append(due_s)
        self.kind.append(kind)

    def request(self, r: Request) -> None:
        key = (r.name, r.outcome, r.status, r.peer, r.reused, r.pinned, r.detail, r.cohort)
        kind = self._by_text.get(key)
        if kind is None:
            kind = self._by_text[key] = len(self.kinds)
            self.kinds.append(r)
        self.add(r.sent_s, r.done_s, _finite(r.due_s), kind)

    def line(self, line: bytes) -> None:
        """One line of a request file. As the load writes them, only what has not been seen yet is parsed as JSON."""
        sent, _, rest = line.partition(b",")
        done, _, rest = rest.partition(b",")
        middle, _, planned = rest.rpartition(b",")
        kind = self._by_text.get(middle)
        if kind is None or not (sent.startswith(START) and done.startswith(DONE) and planned.startswith(PLANNED)):
            self._whole(line, middle)
            return
        sent_s, planned = float(sent[len(START) :]), planned[len(PLANNED) :].rstrip(b"}\n")
        done_s = float(done[len(DONE) :])
        if not -math.inf < sent_s <= done_s < math.inf:
            raise ValueError("done before it was sent")
        self.add(sent_s, done_s, sent_s if planned == b"null" else _finite(float(planned)), kind)

    def _whole(self, line: bytes, middle: bytes) -> None:
        self.request(request_from(json.loads(line)))
        self._by_text[middle] = self.kind[-1]

    def arrivals(self) -> Arrivals:
        sent, done, due = (np.array(column, dtype=np.float64) for column in (self.sent, self.done, self.due))
        return Arrivals(sent, done, due, np.array(self.kind, dtype=np.int32), tuple(self.kinds))


def _finite(due_s: float) -> float:
    if not math.isfinite(due_s):
        raise ValueError(f"{due_s!r} is no instant")
    return due_s


def arrivals_of(requests: Iterable[Request]) -> Arrivals:
    """The columns of requests in memory."""
    columns = _Columns()
    for request in requests:
        columns.request(request)
    return columns.arrivals()


def read_arrivals(folder: Path) -> Arrivals:
    """The columns of a run folder's request files; a last line without its end is left out.

    ValueError names file and line of what is no request.
    """
    columns = _Columns()
    for path in sorted(folder.glob("requests-*.jsonl")):
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    if line.endswith(b"\n"):
                        columns.line(line)
                except (KeyError, TypeError, ValueError) as error:
                    why = f"{type(error).__name__}: {error}"
                    raise ValueError(f"{path.name}, line {number}: not such a record ({why})") from error
    return columns.arrivals()
