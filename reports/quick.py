"""The quick looks in columns: a million of them cost a report a tenth of a second, as objects 6 s.

Their checksums are not looked at here: whoever judged the run has (drill/observations.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drill.observations import HEADER_BYTES, OUTCOMES, WHOLE, Observation

LOOK = np.dtype(
    {
        "names": ["sent", "done", "probe", "vantage", "value", "detail", "outcome"],
        "formats": ["<f8", "<f8", "<u2", "<u2", "<u2", "<u2", "u1"],
        "offsets": [0, 8, 16, 18, 20, 22, 24],
        "itemsize": WHOLE.size,
    }
)
"""One record of an `obs-<witness>.bin`."""
Key = tuple[str, str]


@dataclass(frozen=True, eq=False)
class QuickLooks:
    """The looks of one probe and vantage, by the instant of their result.

    sent_s, done_s: monotonic wall seconds; outcome: indices into OUTCOMES.
    """

    sent_s: NDArray[np.float64]
    done_s: NDArray[np.float64]
    outcome: NDArray[np.int32]


def quick_of(observations: Iterable[Observation]) -> dict[Key, QuickLooks]:
    """The looks of observations in memory, by probe and vantage."""
    found: dict[Key, list[Observation]] = {}
    for look in observations:
        found.setdefault((look.probe, look.vantage), []).append(look)
    return {key: _sorted(*_columns(looks)) for key, looks in sorted(found.items())}


def read_quick(folder: Path, probe: str) -> tuple[dict[Key, QuickLooks], list[Observation]]:
    """The looks of a run folder's `obs-*.bin`: those of `probe` in columns, all others as they are.

    ValueError for a file that cannot be read.
    """
    parts: dict[Key, list[NDArray[np.void]]] = {}
    others: list[Observation] = []
    for path in sorted(folder.glob("obs-*.bin")):
        names = _names(path.with_suffix(".names"))
        records = _records(path)
        try:
            others += _others(records, names, probe)
            for vantage in np.unique(records["vantage"][_is(records, names, probe)]).tolist():
                wanted = _is(records, names, probe) & (records["vantage"] == vantage)
                parts.setdefault((probe, names[vantage]), []).append(records[wanted])
        except IndexError as error:
            raise ValueError(f"{path.name}: a word that is not in its .names") from error
    return {key: _joined(found) for key, found in sorted(parts.items())}, others


def _records(path: Path) -> NDArray[np.void]:
    data = path.read_bytes()[HEADER_BYTES:]
    if len(data) % WHOLE.size:
        raise ValueError(f"{path.name}: the last record is cut off")
    return np.frombuffer(data, LOOK)


def _names(path: Path) -> list[str]:
    try:
        return [str(json.loads(line)) for line in path.read_bytes().splitlines()]
    except FileNotFoundError as error:
        raise ValueError(f"{path.name} is missing: the looks beside it cannot be read") from error


def _is(records: NDArray[np.void], names: Sequence[str], probe: str) -> NDArray[np.bool_]:
    number = names.index(probe) if probe in names else -1
    found: NDArray[np.bool_] = records["probe"] == number
    return found


def _others(records: NDArray[np.void], names: Sequence[str], probe: str) -> Iterator[Observation]:
    for sent, done, of, vantage, value, detail, outcome in records[~_is(records, names, probe)].tolist():
        yield Observation(sent, done, names[of], names[vantage], OUTCOMES[outcome], names[value], names[detail])


def _joined(parts: Sequence[NDArray[np.void]]) -> QuickLooks:
    whole = np.concatenate(parts)
    return _sorted(whole["sent"], whole["done"], whole["outcome"].astype(np.int32))


def _columns(looks: Sequence[Observation]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int32]]:
    sent = np.array([o.sent_s for o in looks])
    outcome = np.array([OUTCOMES.index(o.outcome) for o in looks], dtype=np.int32)
    return sent, np.array([o.done_s for o in looks]), outcome


def _sorted(sent: NDArray[np.float64], done: NDArray[np.float64], outcome: NDArray[np.int32]) -> QuickLooks:
    order = np.argsort(done, kind="stable")
    return QuickLooks(sent[order], done[order], outcome[order])
