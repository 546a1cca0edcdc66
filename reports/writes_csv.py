"""Every write of a run as CSV, for people and spreadsheets: the ledger, and what was read back of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from drill.ledger import Write
from drill.timeline import History
from reports.summary import cell

COLUMNS = (
    "key",
    "id",
    "write",
    "account",
    "amount",
    "store",
    "result",
    "status",
    "peer",
    "sent_at",
    "known_at",
    "sent_monotonic_s",
    "known_monotonic_s",
    "payload_sha256",
)


def writes_csv(history: History) -> Iterator[str]:
    """Lines of CSV: a header, then one per write by send time.

    After COLUMNS comes one column for each read-back, "<window> <pass> <store>", with the state that was seen there;
    empty where nobody looked. Times: ISO 8601 by the writer's clock, and monotonic wall seconds.
    """
    seen = {(f"{r.window} {r.pass_} {r.store}".strip(), r.key): r.state for r in history.readbacks}
    looks = list(dict.fromkeys(look for look, _ in seen))
    yield _line([*COLUMNS, *looks])
    for write in history.writes:
        yield _line([*_cells(write), *(seen.get((look, write.key), "") for look in looks)])


def _cells(write: Write) -> tuple[object, ...]:
    return (
        write.key,
        write.id or "",
        write.write,
        write.account,
        write.amount,
        write.store,
        write.result,
        write.status,
        write.peer,
        _wall(write, write.sent_s),
        "" if write.result_s is None else _wall(write, write.result_s),
        write.sent_s,
        "" if write.result_s is None else write.result_s,
        write.digest,
    )


def _wall(write: Write, at_s: float) -> str:
    return datetime.fromtimestamp(at_s + write.wall_offset_s, UTC).isoformat(timespec="milliseconds")


def _line(values: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([cell(value) for value in values])
    return text.getvalue()
