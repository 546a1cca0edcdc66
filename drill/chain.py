"""A file of JSON lines in which each line vouches for all before it.

Every line carries a link: a digest of the line itself and of the link before it, the first one of the run's id. So
a line that was changed, taken out of the middle, put in, or brought from another run breaks the chain there, also in
a run that was killed and never sealed. A chain that ends early is whole: that its end is missing is told by the seal
(checks/seal.py). Whoever can write the file can write the chain anew: only a signature stops that.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

LINK = "link"
DIGITS = 16


class ChainFile:
    """Appends records to one file, one write(2) a line; for one process, from any of its threads.

    seed: what the first link is made from.
    """

    def __init__(self, path: Path, seed: str) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._seed, self._lock = seed, threading.Lock()
        self._size, self._last = 0, seed

    def append(self, record: dict[str, Any], default: Callable[[object], object] = str) -> None:
        """Append one record; default: how json writes down what is no JSON. OSError (a full disk) passes."""
        with self._lock:
            line = json.dumps(record, default=default)
            link = _link(self._before(), line)
            told = f'{line[:-1]}, "{LINK}": "{link}"}}\n'.encode()
            os.write(self._fd, told)
            self._size, self._last = self._size + len(told), link

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _before(self) -> str:
        # An interrupt may have come between a write and our note of it: the file knows better.
        size = os.fstat(self._fd).st_size
        if size != self._size:
            data = os.pread(self._fd, size, 0)
            lines = data[: data.rfind(b"\n") + 1].splitlines()
            self._size, self._last = size, str(json.loads(lines[-1]).get(LINK, "")) if lines else self._seed
        return self._last


def _link(before: str, line: str) -> str:
    return hashlib.sha256(f"{before}\n{line}".encode()).hexdigest()[:DIGITS]


def broken(records: Iterable[dict[str, Any]], seed: str) -> str:
    """Where the chain of these records is broken, in a sentence; "" when it is whole.

    A file without any link was written before there were any.
    """
    before, chained = seed, None
    for number, record in enumerate(records, start=1):
        chained = LINK in record if chained is None else chained
        link = _link(before, json.dumps({key: value for key, value in record.items() if key != LINK}))
        if record.get(LINK) != (link if chained else None):
            after = f"line {number - 1}" if number > 1 else "the run's id"
            why = "it was changed or put in, lines before it were taken out, or it is another run's"
            return f"line {number} does not follow {after}: {why}"
        before = link
    return ""
