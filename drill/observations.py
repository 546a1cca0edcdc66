"""Looks by witnesses, and the file that holds many of them cheaply.

`obs-<witness>.bin` is for a witness that looks often (1 kHz for minutes): a header, then records of 32 bytes, each
with a checksum, appended with write(2), so that a SIGKILL loses nothing that was written. The words of a look (probe,
vantage, value, detail) are numbers into `obs-<witness>.names`, one JSON string a line, appended before its first use.
One thread writes, nearly in the order of the results: one that came much before a predecessor's shows a clock that
was set back, or two runs in one file.
"""

from __future__ import annotations

import json
import math
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from drill.redact import redact

MAGIC = b"FDOBS\x00\x01\x00"
HEADER_BYTES = 16
RECORD = struct.Struct("<ddHHHHB3x")
WHOLE = struct.Struct("<ddHHHHB3xI")
MOST_NAMES = 65_000
DISORDER_S = 10.0
"""An answer is stamped when it came in, and written when its reader ran: no machine stalls longer than this."""
OVERFLOW = "(one of too many)"


class Outcome(Enum):
    """What an observation says; UNKNOWN is neither good nor bad (the witness could not look)."""

    OK = "OK"
    FAIL = "FAIL"
    UNKNOWN = "UNKNOWN"


OUTCOMES = (Outcome.OK, Outcome.FAIL, Outcome.UNKNOWN)
NUMBERS = {outcome: number for number, outcome in enumerate(OUTCOMES)}


@dataclass(frozen=True, slots=True)
class Observation:
    """One look by one witness.

    sent_s, done_s: monotonic wall seconds, sent before done; probe: what was looked at ("write.settle", "dns",
    "aws.writer"); vantage: from where ("client", "authoritative", "resolver:ap-northeast-1", a Region);
    value: what was seen (an address, a state), "" when nothing; detail: free text for people.
    """

    sent_s: float
    done_s: float
    probe: str
    vantage: str
    outcome: Outcome
    value: str = ""
    detail: str = ""


class ObservationLog:
    """Where one witness appends many looks. For one thread; folder: the run folder.

    OSError (a full disk) passes: a witness that cannot record must end, visibly.
    """

    def __init__(self, folder: Path, witness: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._names_fd = os.open(folder / f"obs-{witness}.names", flags, 0o644)
        self._fd = os.open(folder / f"obs-{witness}.bin", flags, 0o644)
        self._names: dict[str, int] = {}
        self._buffer = bytearray()
        os.write(self._fd, MAGIC.ljust(HEADER_BYTES, b"\0"))

    def add(self, observation: Observation) -> None:
        """Append one look."""
        o = observation
        self.put(o.sent_s, o.done_s, o.probe, o.vantage, NUMBERS[o.outcome], o.value, o.detail)
        self.flush()

    def put(
        self, sent_s: float, done_s: float, probe: str, vantage: str, outcome: int, value: str, detail: str
    ) -> None:
        """Append one look given as its parts, at the next `flush`; outcome: an index into OUTCOMES."""
        n = self._names
        try:
            words = n[probe], n[vantage], n[value], n[detail]
        except KeyError:  # its first use, or one of too many
            words = self._number(probe), self._number(vantage), self._number(value), self._number(detail)
        head = RECORD.pack(sent_s, done_s, *words, outcome)
        self._buffer += head + zlib.crc32(head).to_bytes(4, "little")

    def flush(self) -> None:
        """Hand everything to the kernel, which keeps it whatever becomes of this process."""
        if self._buffer:
            os.write(self._fd, self._buffer)
            self._buffer = bytearray()

    def close(self) -> None:
        """Close the files."""
        self.flush()
        os.close(self._fd)
        os.close(self._names_fd)

    def _number(self, name: str) -> int:
        found = self._names.get(name)
        if found is not None:
            return found
        if len(self._names) >= MOST_NAMES and name != OVERFLOW:
            return self._number(OVERFLOW)
        self._names[name] = number = len(self._names)
        os.write(self._names_fd, (json.dumps(redact(name)) + "\n").encode())
        return number


class ObservationTail:
    """Reads a growing `obs-<witness>.bin`, each call what was appended since the last.

    `new` raises ValueError naming file and record for what is no record: a wrong checksum, an unknown word, an
    instant that is none, a result far before a predecessor's. A torn last record is left for the next call.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names: list[str] = []
        self._names_offset = 0
        self._read = 0
        self._last_s = -math.inf

    def new(self) -> list[Observation]:
        """The looks that were appended since the last call."""
        with self._path.open("rb") as file:
            header = file.read(HEADER_BYTES)
            if not header:
                return []  # its writer has just created it
            self._check_header(header)
            file.seek(HEADER_BYTES + self._read * WHOLE.size)
            data = file.read()
        # After the records: a name is on disk before the first record that uses it.
        self._read_names()
        return list(self._records(data[: len(data) // WHOLE.size * WHOLE.size]))

    def _records(self, data: bytes) -> Iterator[Observation]:
        names, last_s, n = self._names, self._last_s, self._read
        for offset, record in enumerate(WHOLE.iter_unpack(data)):
            sent_s, done_s, probe, vantage, value, detail, outcome, crc = record
            at = offset * WHOLE.size
            n += 1
            if zlib.crc32(data[at : at + RECORD.size]) != crc:
                raise ValueError(f"{self._path.name}, record {n}: wrong checksum")
            if not (math.isfinite(sent_s) and math.isfinite(done_s) and sent_s <= done_s):
                raise ValueError(f"{self._path.name}, record {n}: done before it was sent")
            if done_s < last_s - DISORDER_S:
                back = f"its result lies {last_s - done_s:.1f} s before a predecessor's"
                why = f"{back}: the clock was set back, or two runs are mixed"
                raise ValueError(f"{self._path.name}, record {n}: {why}")
            try:
                words = names[probe], names[vantage], names[value], names[detail]
                yield Observation(sent_s, done_s, words[0], words[1], OUTCOMES[outcome], words[2], words[3])
            except IndexError as error:
                raise ValueError(f"{self._path.name}, record {n}: a word that is not in its .names") from error
            last_s = max(last_s, done_s)
        self._last_s, self._read = last_s, n

    def _check_header(self, header: bytes) -> None:
        if not header.startswith(MAGIC):
            raise ValueError(f"{self._path.name}: not a file of looks that this version reads")

    def _read_names(self) -> None:
        path = self._path.with_suffix(".names")
        try:
            with path.open("rb") as file:
                file.seek(self._names_offset)
                data = file.read()
        except FileNotFoundError as error:
            raise ValueError(f"{path.name} is missing: the looks of {self._path.name} cannot be read") from error
        whole = data[: data.rfind(b"\n") + 1]
        self._names_offset += len(whole)
        for line in whole.splitlines():
            name = json.loads(line)
            if not isinstance(name, str):
                raise ValueError(f"{path.name}: {line[:40]!r} is no word")
            self._names.append(name)


def read_logs(paths: Iterable[Path]) -> list[Observation]:
    """Every look of whole files. ValueError as `ObservationTail`, and for a record that was cut off."""
    found: list[Observation] = []
    for path in sorted(paths):
        left = (path.stat().st_size - HEADER_BYTES) % WHOLE.size if path.stat().st_size else 0
        if left:
            raise ValueError(f"{path.name}: the last record is cut off")
        found += ObservationTail(path).new()
    return found
