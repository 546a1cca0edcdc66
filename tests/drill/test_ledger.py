"""The ledger's file: what is told is what is read, what is torn is cut, and what is wrong is named."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drill.child import REPOSITORY
from drill.clock import FakeClock
from drill.ledger import ROOM, LedgerWriter, Result, Write, ledger_path, read_ledger, torn_ledgers
from drill.ledger_file import BODY, CELL, MAX_TEXT, SEALED, text_bodies
from drill.ledger_read import checksums

RESULTS: tuple[Result, ...] = ("acked", "refused", "indeterminate")


def told(folder: Path, writes: int = 3, writer: str = "a", plain: bool = False) -> Path:
    """A ledger of some acknowledged writes, of which the last has no outcome.

    plain: in the first version's cells, for digests that are texts and ids that are long take these.
    """
    path = ledger_path(folder, writer)
    ledger = LedgerWriter(path, FakeClock())
    for n in range(1, writes + 1):
        digest = f"{n:064x}" if plain else bytes.fromhex(f"{n:064x}")
        assert ledger.intent(n, "deposit", "drill-1", 10.0 * n, store="main,stock", digest=digest) == n
        if n < writes:
            ledger.outcome(n, n + 0.5, "acked", id=named(n, plain), status=200, peer="127.100.1.1")
    ledger.close()
    return path


def cells(path: Path) -> list[bytes]:
    """The cells of a file."""
    data = path.read_bytes()
    return [data[at : at + CELL] for at in range(0, len(data), CELL)]


def named(n: int, plain: bool) -> str:
    """The system's id of a write."""
    return f"id-{n}".ljust(40 if plain else 0, "x")


@pytest.mark.parametrize("plain", [False, True])
def test_what_is_told_is_what_is_read(tmp_path: Path, plain: bool) -> None:
    """Every field of a write survives the file, and its wall time is that of the writer's clock."""
    path = told(tmp_path, plain=plain)
    assert {data[0] for data in cells(path)[1:]} - {3} == ({1, 2} if plain else {4, 5})
    first, _, last = read_ledger([path])
    offset_s = FakeClock().date.timestamp() - 1000.0
    assert first == Write(
        "a-1", "deposit", "drill-1", 10.0, 1.0, 1.5, "acked", named(1, plain), 200, "127.100.1.1", "main,stock",
        f"{1:064x}", offset_s,
    )  # fmt: skip
    assert first.stores == ("main", "stock")
    assert (last.result, last.result_s, last.known_s, last.id) == ("indeterminate", None, 3.0, None)


def as_version(data: bytes, version: int) -> bytes:
    """The same cells under a header that names that version of the format."""
    body = data[:1] + bytes([version]) + data[2:BODY]
    return SEALED.pack(body, zlib.crc32(body)) + data[CELL:]


def test_a_ledger_of_the_first_version_is_read(tmp_path: Path) -> None:
    """Its writes are other cells, with references to what the later version says at once, and read the same."""
    path = told(tmp_path, plain=True)
    now = read_ledger([path])
    path.write_bytes(as_version(path.read_bytes(), 1))
    assert path.read_bytes()[1] == 1
    assert read_ledger([path]) == now
    path.write_bytes(as_version(path.read_bytes(), 3))
    with pytest.raises(ValueError, match=r"^ledger-a.bin: version 3 of the ledger, this version reads 1 and 2"):
        read_ledger([path])


@given(
    write=st.text(max_size=60),
    amount=st.floats(allow_nan=False, allow_infinity=False),
    store=st.text(max_size=60),
    digest=st.binary(max_size=40) | st.text(max_size=70),
    id=st.none() | st.text(max_size=40),
)
def test_whatever_is_said_of_a_write_survives(
    tmp_path_factory: pytest.TempPathFactory,
    write: str, amount: float, store: str, digest: bytes | str, id: str | None,
) -> None:  # fmt: skip
    """In whichever cells it fits; a digest in bytes is read as hex. Twice, as the second time it is referred to."""
    path = ledger_path(tmp_path_factory.mktemp("ledger"), "a")
    ledger = LedgerWriter(path)
    for n in (1, 2):
        ledger.intent(float(n), write, "drill-1", amount, store=store, digest=digest)
        ledger.outcome(n, 3.0, "acked", id=id)
    ledger.close()
    shown = digest.hex() if isinstance(digest, bytes) else digest
    found = {(w.write, w.amount, w.store, w.digest, w.id) for w in read_ledger([path])}
    assert found == {(write, amount, store, shown, id)}


def test_writes_of_a_thousand_amounts_are_each_read_as_themselves(tmp_path: Path) -> None:
    """More kinds, amounts and stores than are remembered."""
    path = ledger_path(tmp_path, "a")
    ledger = LedgerWriter(path)
    amounts = [float(n % 1500) for n in range(4000)]
    for n, amount in enumerate(amounts):
        ledger.intent(float(n), "deposit", "drill-1", amount)
    ledger.close()
    assert [w.amount for w in read_ledger([path])] == amounts


@pytest.mark.parametrize("of", ["an intent", "an outcome"])
def test_the_second_versions_cells_are_no_records_of_the_first(tmp_path: Path, of: str) -> None:
    """What a version does not know is named, not skipped."""
    path = ledger_path(tmp_path, "a")
    ledger = LedgerWriter(path)
    ledger.intent(1.0, "deposit", "drill-1", 1.0, digest=bytes(32) if of == "an intent" else "0")
    if of == "an outcome":
        ledger.outcome(1, 2.0, "acked", id="id-1")
    ledger.close()
    path.write_bytes(as_version(path.read_bytes(), 1))
    with pytest.raises(ValueError, match="it is no record of the ledger"):
        read_ledger([path])


@pytest.mark.parametrize("amount", [float("nan"), float("inf")])
@pytest.mark.parametrize("digest", ["text", b"bytes"])
def test_an_amount_that_is_no_number_is_named(tmp_path: Path, amount: float, digest: str | bytes) -> None:
    """In either kind of cell."""
    path = ledger_path(tmp_path, "a")
    ledger = LedgerWriter(path)
    ledger.intent(1.0, "deposit", "drill-1", amount, digest=digest)
    ledger.close()
    with pytest.raises(ValueError, match=r"^ledger-a.bin: .*(no number|not what a write is)"):
        read_ledger([path])


def test_two_clients_of_one_ledger_give_no_number_twice(tmp_path: Path) -> None:
    """Who holds the lock knows the number that its intent will have, however many threads write."""
    path = ledger_path(tmp_path, "a")
    ledger = LedgerWriter(path)

    def some(client: int) -> None:
        for _ in range(200):
            with ledger.lock:
                number = ledger.next_number
                assert ledger.add_intent(1.0, "deposit", f"drill-{client}-{number}", 1.0, "main", b"") == number

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(some, client) for client in range(4)]:
            done.result()
    ledger.close()
    writes = read_ledger([path])
    assert [w.account.rpartition("-")[2] for w in writes] == [w.key.removeprefix("a-") for w in writes]
    assert len(writes) == 800


@given(text=st.text(max_size=300), id=st.text(max_size=200), result=st.sampled_from(RESULTS))
def test_any_text_survives(tmp_path_factory: pytest.TempPathFactory, text: str, id: str, result: Result) -> None:
    """Whatever a system calls its ids, in whatever script, at whatever length."""
    path = ledger_path(tmp_path_factory.mktemp("ledger"), "a")
    ledger = LedgerWriter(path)
    ledger.intent(5.0, text, text, -1.0)
    ledger.outcome(1, 6.0, result, id=id, peer=text)
    ledger.close()
    (found,) = read_ledger([path])
    assert (found.write, found.account, found.peer, found.id, found.result) == (text, text, text, id, result)


def test_many_texts_are_written_once_while_they_are_remembered(tmp_path: Path) -> None:
    """A thousand and more accounts are each read as themselves."""
    path = ledger_path(tmp_path, "a")
    ledger = LedgerWriter(path)
    accounts = [f"drill-{n % 1500}" for n in range(4000)]
    for n, account in enumerate(accounts):
        ledger.intent(float(n), "deposit", account, 1.0)
    ledger.close()
    assert [w.account for w in read_ledger([path])] == accounts


def test_a_text_that_no_cell_count_can_hold_is_refused() -> None:
    """And named by its length."""
    with pytest.raises(ValueError, match=f"{MAX_TEXT + 1} bytes"):
        text_bodies(1, 1, b"x" * (MAX_TEXT + 1))


def test_checksums_are_those_of_zlib() -> None:
    """The table-driven sums of many cells at once are CRC-32."""
    cells = np.random.default_rng(1).integers(0, 256, (70, CELL)).astype(np.uint8)
    assert checksums(cells).tolist() == [zlib.crc32(c[:BODY].tobytes()) for c in cells]


@pytest.mark.parametrize("cut", [1, 30, CELL - 1])
def test_a_torn_tail_is_cut_and_counted(tmp_path: Path, cut: int) -> None:
    """A writer that was killed in the middle of a record: the writes before are all there."""
    path = told(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[CELL : CELL + cut])
    assert len(read_ledger([path])) == 3
    assert torn_ledgers([path]) == {path.name: cut}


def test_room_that_was_not_used_is_no_record(tmp_path: Path) -> None:
    """A writer at work has taken room ahead; what is in the middle of being written there is cut off."""
    path = ledger_path(tmp_path, "a")
    ledger = LedgerWriter(path)
    ledger.intent(1.0, "deposit", "drill-1", 1.0)
    assert path.stat().st_size == ROOM
    assert len(read_ledger([path])) == 1 and torn_ledgers([path]) == {}
    whole = path.read_bytes()
    path.write_bytes(whole.rstrip(bytes(1))[:-20] + bytes(ROOM))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // CELL * CELL])
    assert read_ledger([path]) == [] and torn_ledgers([path]) == {path.name: CELL}
    path.write_bytes(whole)
    ledger.close()
    assert path.stat().st_size % CELL == 0 and path.stat().st_size < 20 * CELL


def test_a_ledger_longer_than_its_room_is_whole(tmp_path: Path) -> None:
    """Room is taken as often as it is needed."""
    path = ledger_path(tmp_path, "a")
    ledger = LedgerWriter(path)
    count = 2 * ROOM // CELL
    for n in range(1, count + 1):
        ledger.intent(float(n), "deposit", f"drill-{n // 4}", 1.0)
    ledger.close()
    assert [w.key for w in read_ledger([path])] == [f"a-{n}" for n in range(1, count + 1)]


def test_a_writer_killed_before_its_header_has_no_writes(tmp_path: Path) -> None:
    """A file that is there and empty, or nearly."""
    path = tmp_path / "ledger-a.bin"
    path.write_bytes(b"H\x01")
    assert read_ledger([path]) == []
    assert torn_ledgers([path]) == {path.name: 2}


def _flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _cells(data: bytes, *numbers: int) -> bytes:
    return b"".join(data[n * CELL : (n + 1) * CELL] for n in numbers)


WRONG: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "no ledger": (lambda data: b"x" * 640, "not a ledger"),
    "header changed": (lambda data: _flip(data, 30), "not a ledger"),
    "one bit changed": (lambda data: _flip(data, 3 * CELL + 17), r"cell 3 \(byte 192\): its checksum is wrong"),
    "a piece cut out": (lambda data: data[: 4 * CELL - 9] + data[4 * CELL :], "its checksum is wrong"),
    "doubled": (lambda data: data + data, "doubled"),
    "its records doubled": (lambda data: data + data[CELL:], "used twice|not whole|two outcomes"),
    "an intent cut out": (lambda data: data.replace(_intents(data)[1], b""), "write 2 is missing"),
    "an intent twice": (lambda data: data + _intents(data)[-1], "missing or used twice"),
    "the first intent cut out": (lambda data: data.replace(_intents(data)[0], b""), "write 1 is missing"),
    "a text cut out": (lambda data: data[:CELL] + data[2 * CELL :], "text|not on record"),
}


def _intents(data: bytes) -> list[bytes]:
    return [c for n in range(len(data) // CELL) if (c := _cells(data, n))[0] in (1, 4)]


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("name", sorted(WRONG))
def test_bad_evidence_is_named(tmp_path: Path, name: str, plain: bool) -> None:
    """Changed, cut, doubled: a sentence with the file's name."""
    spoil, words = WRONG[name]
    path = told(tmp_path, plain=plain)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(ValueError, match=f"^ledger-a.bin.*({words})"):
        read_ledger([path])


def test_two_ledgers_in_one_file_are_named(tmp_path: Path) -> None:
    """Records of another writer, whole in themselves, are foreign."""
    path, other = told(tmp_path), told(tmp_path, writer="b")
    path.write_bytes(path.read_bytes() + other.read_bytes()[CELL:])
    with pytest.raises(ValueError, match="another writer: two ledgers are mixed"):
        read_ledger([path])


@pytest.mark.parametrize(
    ("stamps", "words"),
    [((100.0, 90.0, None), "clock stepped back"), ((100.0, 101.0, 99.0), "older than its send"),
     ((100.0, float("nan"), None), "no number")],
)  # fmt: skip
def test_a_clock_that_steps_back_is_named(
    tmp_path: Path, stamps: tuple[float, float, float | None], words: str
) -> None:
    """Two boots, two machines, or a changed file: nothing can be measured with such stamps."""
    path = ledger_path(tmp_path, "a")
    ledger = LedgerWriter(path)
    first, second, result = stamps
    ledger.intent(first, "deposit", "drill-1", 1.0)
    ledger.intent(second, "deposit", "drill-1", 1.0)
    if result is not None:
        ledger.outcome(1, result, "refused")
    ledger.close()
    with pytest.raises(ValueError, match=words):
        read_ledger([path])


def test_a_ledger_is_one_writers(tmp_path: Path) -> None:
    """A second writer would use its numbers again."""
    path = told(tmp_path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        LedgerWriter(path)
    assert path.read_bytes() == before


RECORDER = """
import os, sys
from pathlib import Path
from drill.ledger import LedgerWriter
ledger = LedgerWriter(Path(sys.argv[1]))
for n in range(1, 10**9):
    ledger.intent(float(n), "deposit", f"drill-{n // 4}", 1.0)
    ledger.outcome(n, n + 0.5, "acked", id=f"id-{n}", status=200)
    os.write(1, n.to_bytes(8, "little"))
"""


def test_what_a_killed_recorder_had_reported_is_on_disk(tmp_path: Path) -> None:
    """SIGKILL in full flight loses no write whose record the recorder had told of."""
    path = ledger_path(tmp_path, "a")
    command = [sys.executable, "-c", RECORDER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY) as process:
        assert process.stdout is not None
        reported = b""
        while len(reported) < 8 * 5000:
            reported += os.read(process.stdout.fileno(), 65536)
        process.send_signal(signal.SIGKILL)
        reported += process.stdout.read()
    last = int.from_bytes(reported[len(reported) // 8 * 8 - 8 : len(reported) // 8 * 8], "little")
    writes = read_ledger([path])
    assert [w.key for w in writes[:last]] == [f"a-{n}" for n in range(1, last + 1)]
    assert {w.result for w in writes[:last]} == {"acked"}
    assert len(writes) <= last + 1
