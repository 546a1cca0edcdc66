"""The load's requests: what one is, and the file that each load worker appends its own to.

One JSON object a line, always with the same fields in the same order (drill/timeline.py and reports/arrivals.py read
them). All that does not differ from request to request is made into text once a flush: it is a handful of
combinations, while a load makes thousands of requests a second, and this is in their way.
"""

from __future__ import annotations

import errno
import json
import os
from dataclasses import dataclass
from pathlib import Path

from drill.observations import Outcome
from drill.redact import redact

Saw = tuple[str, str, int, str, bool, bool, str, str]
"""What a request saw: name, outcome's value, status, peer, reused, pinned, detail, cohort, each as in Request."""
OK, FAIL = Outcome.OK.value, Outcome.FAIL.value
_quoted = json.encoder.encode_basestring_ascii


@dataclass(frozen=True)
class Request:
    """One request of the load, as its client saw it.

    name: operation ("deposit", "read", ...); outcome OK or FAIL; status: HTTP status, 0 without an answer;
    peer: address connected to; reused: sent over a connection that was open already; pinned: that connection's
    address is no longer in the DNS answer the client would get now; cohort: how its user keeps connections (Load);
    planned_s: when it was due, for what an open loop had planned. One that no user was free for is a failure with the
    detail "unserved", sent at no time: its sent_s is its planned_s.
    """

    sent_s: float
    done_s: float
    name: str
    outcome: Outcome
    status: int = 0
    peer: str = ""
    reused: bool = False
    pinned: bool = False
    detail: str = ""
    cohort: str = ""
    planned_s: float | None = None

    @property
    def due_s(self) -> float:
        """When the client meant to send it: latency counts from here, and so does demand."""
        return self.sent_s if self.planned_s is None else self.planned_s


class RequestFile:
    """Where one load worker appends its requests, in pieces: what was not flushed is lost when it is killed.

    Who owns it flushes it at the pace that it states (the load: loadgen.session.FLUSH_S), and closes it.
    """

    def __init__(self, folder: Path, worker: str) -> None:
        self._added: list[tuple[float, float, float | None, Saw]] = []
        self._fd = os.open(
            folder / f"requests-{worker}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644
        )

    def add(self, request: Request) -> None:
        """Append one request, with the next flush."""
        r = request
        saw = (r.name, r.outcome.value, int(r.status), r.peer, r.reused, r.pinned, r.detail, r.cohort)
        self.put(float(r.sent_s), float(r.done_s), None if r.planned_s is None else float(r.planned_s), saw)

    def put(self, sent_s: float, done_s: float, planned_s: float | None, saw: Saw) -> None:
        """Append one request given as its parts, with the next flush.

        Its line is made there: what is done a thousand times in a row costs a quarter of what it costs among all else
        that a request does, where the processor has forgotten it each time.
        """
        self._added.append((sent_s, done_s, planned_s, saw))

    def flush(self) -> None:
        """Hand what was added to the kernel. OSError (a full disk) when it does not take it all."""
        added, self._added = self._added, []
        data = _lines(added)
        if data and os.write(self._fd, data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        """Flush and close the file."""
        self.flush()
        os.close(self._fd)


def _lines(added: list[tuple[float, float, float | None, Saw]]) -> bytes:
    # Not kept from flush to flush: what is a secret may be learnt in between (drill/redact.py).
    made: dict[Saw, str] = {}
    lines = []
    for sent_s, done_s, planned_s, saw in added:
        middle = made.get(saw)
        if middle is None:
            middle = made[saw] = _middle(*saw)
        planned = "null" if planned_s is None else repr(planned_s)
        lines.append(f'{{"sent_s":{sent_s!r},"done_s":{done_s!r},{middle},"planned_s":{planned}}}\n')
    return "".join(lines).encode()


def _middle(
    name: str, outcome: str, status: int, peer: str, reused: bool, pinned: bool, detail: str, cohort: str
) -> str:
    """The fields between the stamps, as JSON."""
    return (
        f'"name":{_quoted(name)},"outcome":"{outcome}","status":{status},"peer":{_quoted(peer)},'
        f'"reused":{"true" if reused else "false"},"pinned":{"true" if pinned else "false"},'
        f'"detail":{_quoted(redact(detail) if detail else "")},"cohort":{_quoted(cohort)}'
    )
