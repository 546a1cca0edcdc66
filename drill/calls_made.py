"""What was called, by AWS's own word: each call that may change something, with its request id, in the journal.

The journal says beforehand what a drill is going to call; this says afterwards what AWS answered, so that a line of
a drill can be found again in CloudTrail. A record of it carries no parameters: those of a Change are in its entry,
by the call's fingerprint. It is told after the fact, so it is never waited for and never stops anything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from drill.call import Call

if TYPE_CHECKING:  # the timeline reads the journal, which keeps what is made here
    from drill.timeline import History

CALLED = "called"
"""The journal's state of such a record; its number is 0, for it says nothing of how a Change stands."""
FINGERPRINT = 16
PURPOSES = {"inject": "inject", "restore": "restore", "calls": "action"}
"""Where a call stands in a Change or Action -> what it was made for. Besides "disarm" (of a dead-man) and BESIDE."""
BESIDE = "safety"
"""Of every other call: the lock, and arming the dead-man."""
FINISHED = "run.finished"
"""The last event of a run folder, the seal (checks/seal.py): it counts the calls of the drill."""


@dataclass(frozen=True)
class Made:
    """One call that AWS answered, or did not.

    region: whose endpoint it was; request_id: "" without an answer; status: HTTP's, 0 without an answer; attempts:
    how often it was sent, None when nobody knows; error: AWS's code, or "unanswered"; "" when it was done.
    """

    fingerprint: str
    service: str
    operation: str
    region: str
    request_id: str
    status: int
    attempts: int | None
    error: str

    @property
    def said(self) -> str:
        """For people."""
        answer = f"HTTP {self.status}, request id {self.request_id or 'none'}" if self.status else "no answer"
        tries = "" if self.attempts in (None, 1) else f", {self.attempts} attempts"
        return f"{self.service}:{self.operation} in {self.region}: {self.error or 'done'} ({answer}{tries})"


@dataclass(frozen=True)
class CallMade:
    """A call in its place. at: wall clock, ISO 8601; purpose: see PURPOSES; number, kind: of its Change or Action."""

    at: str
    purpose: str
    number: int
    kind: str
    made: Made


def made_of(call: Call, region: str, reply: Mapping[str, Any], error: str = "") -> Made:
    """What came of a call. reply: AWS's, or an error's response; empty without an answer."""
    told = reply.get("ResponseMetadata") or {}
    retries = told.get("RetryAttempts")
    return Made(
        fingerprint(call),
        call.service,
        call.operation,
        region,
        str(told.get("RequestId", "")),
        int(told.get("HTTPStatusCode", 0)),
        None if retries is None else int(retries) + 1,
        error,
    )


def fingerprint(call: Call) -> str:
    """Tells calls apart without saying what their parameters are."""
    return _fingerprint(call.service, call.operation, call.params, call.region)


def calls_made(journal: Sequence[Mapping[str, Any]]) -> tuple[CallMade, ...]:
    """Every call that the journal's records tell of, in order, each beside the Change or Action that it was for.

    One that several could have made is that one's whose state was the last to be recorded before it. ValueError for a
    record of another shape.
    """
    try:
        return tuple(_placed(journal))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"journal.jsonl: a call that makes no sense ({type(error).__name__}: {error})") from error


def calls_of(history: History) -> tuple[CallMade, ...]:
    """The calls of the drill itself, without those of a restore after its end. ValueError as `calls_made`."""
    made, seals = calls_made(history.journal or ()), history.named(FINISHED)
    if not seals:
        return made
    told = seals[-1].data.get("calls")  # nothing in a run of before there were any
    count = told.get("count") if isinstance(told, dict) else 0
    return made[:count] if type(count) is int else made


def call_records(journal: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The records that tell of calls."""
    return [record for record in journal if record.get("state") == CALLED]


def _placed(journal: Sequence[Mapping[str, Any]]) -> Iterator[CallMade]:
    owners: dict[str, list[tuple[int, str, str]]] = {}
    last: list[int] = []
    for record in journal:
        number = int(record["number"])
        for mark, purpose, kind in _owned(record):
            owners.setdefault(mark, []).append((number, purpose, kind))
        if record["state"] != CALLED:
            last += [number] if number else []
            continue
        made = Made(**record["call"])
        number, purpose, kind = max(
            owners.get(made.fingerprint, [(0, BESIDE, "")]), key=lambda o: max(_at(last, o[0]), default=-1)
        )
        yield CallMade(str(record["wall"]), purpose, number, kind, made)


def _at(last: Sequence[int], number: int) -> Iterator[int]:
    return (place for place, found in enumerate(last) if found == number)


def _owned(record: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(fingerprint, purpose, kind) of every call that a record announces."""
    yield from ((_of(call), "disarm", "") for call in record.get("disarm", ()))
    yield from ((_of(call), "restore", str(record.get("kind", ""))) for call in record.get("undo", ()))
    for subject in filter(None, (record.get("change"), record.get("action"))):
        for part, purpose in PURPOSES.items():
            yield from ((_of(call), purpose, str(subject["kind"])) for call in subject.get(part, ()))


def _of(call: Mapping[str, Any]) -> str:
    return _fingerprint(call["service"], call["operation"], call["params"], call["region"])


def _fingerprint(service: str, operation: str, params: Mapping[str, Any], region: str) -> str:
    text = json.dumps([service, operation, params, region], sort_keys=True, default=str)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:FINGERPRINT]
