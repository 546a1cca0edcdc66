"""The write ledger: every write is on disk before it is sent, and its outcome after.

One file per writer process in the run folder (`ledger-<writer>.jsonl`), one JSON line and one write(2) per record:
the kernel keeps written pages of a killed process, so a SIGKILL loses nothing that was acknowledged. Records:

    {"k":"intent","n":7,"t_s":..,"write":"deposit","account":"drill-..","amount":1000}
    {"k":"outcome","n":7,"t_s":..,"result":"acked","id":"..","status":200,"peer":"127.100.5.165"}

t_s: monotonic wall seconds (intent: just before the send; outcome: when the result was known).
result: acked (accepted, id known), refused (the system said no), indeterminate (timeout or reset after the send).
A write whose outcome line is missing is indeterminate.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

INTENT = {"n", "t_s", "write", "account", "amount"}
OUTCOME = {"n", "t_s", "result", "id", "status", "peer"}
Result = Literal["acked", "refused", "indeterminate"]


@dataclass(frozen=True)
class Write:
    """One write as the client saw it.

    key: "<writer>-<n>", unique in the run; amount: signed effect on the account's balance if it settles;
    sent_s, result_s: monotonic wall seconds (result_s None while unknown); id: the system's own id, None unless
    acknowledged; status: HTTP status or 0; peer: address that answered, "" when none did.
    """

    key: str
    write: str
    account: str
    amount: float
    sent_s: float
    result_s: float | None
    result: Result
    id: str | None
    status: int
    peer: str


class LedgerWriter:
    """Appends to one ledger file; safe from several threads of one process, one file per process.

    path: created if absent. OSError (a full disk) passes: a write must not be sent without its intent on disk.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._n = 0
        self._lock = threading.Lock()

    def intent(self, t_s: float, write: str, account: str, amount: float) -> int:
        """Record that a write is about to be sent; returns its sequence number."""
        with self._lock:
            self._n += 1
            n = self._n
        self._append({"k": "intent", "n": n, "t_s": t_s, "write": write, "account": account, "amount": amount})
        return n

    def outcome(
        self, n: int, t_s: float, result: Result, *, id: str | None = None, status: int = 0, peer: str = ""
    ) -> None:
        """Record what became of write `n`."""
        self._append({"k": "outcome", "n": n, "t_s": t_s, "result": result, "id": id, "status": status, "peer": peer})

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _append(self, record: dict[str, object]) -> None:
        os.write(self._fd, (json.dumps(record) + "\n").encode())


def read_ledger(paths: Iterable[Path]) -> list[Write]:
    """All writes of the given ledger files, by send time.

    A torn last line (the writer was killed) is dropped; any other unreadable line raises ValueError naming file
    and line: bad evidence is never skipped silently.
    """
    writes: list[Write] = []
    for path in sorted(paths):
        writer = path.stem.removeprefix("ledger-")
        intents: dict[int, dict[str, object]] = {}
        outcomes: dict[int, dict[str, object]] = {}
        for line, record in enumerate(read_lines(path), start=1):
            _sort_in(record, intents, outcomes, f"{path.name}, line {line}")
        orphans = outcomes.keys() - intents.keys()
        if orphans:
            raise ValueError(f"{path.name}: outcome without intent for write {min(orphans)}")
        writes += [_joined(writer, n, intent, outcomes.get(n)) for n, intent in intents.items()]
    return sorted(writes, key=lambda w: w.sent_s)


def _sort_in(
    record: dict[str, object],
    intents: dict[int, dict[str, object]],
    outcomes: dict[int, dict[str, object]],
    where: str,
) -> None:
    n, kind = record.get("n"), record.get("k")
    needed = INTENT if kind == "intent" else OUTCOME
    if type(n) is not int or kind not in ("intent", "outcome") or needed - record.keys():
        raise ValueError(f"{where}: not a record of the ledger")
    known = intents if kind == "intent" else outcomes
    if known.setdefault(n, record) is not record and known[n] != record:
        raise ValueError(f"{where}: a second {kind} of write {n}: two writers used one file")


def _joined(writer: str, n: int, intent: dict[str, object], outcome: dict[str, object] | None) -> Write:
    found = outcome or {"t_s": None, "result": "indeterminate", "id": None, "status": 0, "peer": ""}
    return Write(
        key=f"{writer}-{n}",
        write=str(intent["write"]),
        account=str(intent["account"]),
        amount=float(str(intent["amount"])),
        sent_s=float(str(intent["t_s"])),
        result_s=None if found["t_s"] is None else float(str(found["t_s"])),
        result=found["result"],  # type: ignore[arg-type]
        id=None if found["id"] is None else str(found["id"]),
        status=int(str(found["status"])),
        peer=str(found["peer"]),
    )


def read_lines(path: Path) -> list[dict[str, object]]:
    """The JSON objects of a JSON-lines file; a torn last line (no newline) is dropped.

    Raises ValueError naming file and line for anything else that does not parse.
    """
    records: list[dict[str, object]] = []
    data = path.read_bytes()
    for number, line in enumerate(data[: data.rfind(b"\n") + 1].splitlines(), start=1):
        try:
            record = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{path.name}, line {number}: not JSON ({error})") from error
        if not isinstance(record, dict):
            raise ValueError(f"{path.name}, line {number}: not a JSON object")
        records.append(record)
    return records
