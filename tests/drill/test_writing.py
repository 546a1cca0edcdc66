"""The write path through a real HTTP server: what is acknowledged, refused, or cannot be known."""

from __future__ import annotations

import json
import resource
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import psutil
import pytest

from drill.client import HttpClient
from drill.doors import HttpDoor
from drill.ledger import ROOM, LedgerWriter, Write, read_ledger
from drill.ledger_file import CELL
from drill.resolver import CachingClient
from drill.target import WritePath, load_target
from drill.writing import WriteClient, error_named
from tests.loadgen.loopback import Bank, Handle, answer, http_server

CORE_BANKING = Path(__file__).parents[2] / "targets" / "core-banking.toml"


@pytest.fixture
def writes() -> WritePath:
    """A real target's write path."""
    return load_target(CORE_BANKING).writes


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[LedgerWriter]:
    """A ledger on disk."""
    made = LedgerWriter(tmp_path / "ledger-p.bin")
    yield made
    made.close()


def writer(writes: WritePath, ledger: LedgerWriter | None, port: int, timeout_s: float = 1.0) -> WriteClient:
    """A client of a server on loopback."""
    door = HttpDoor(writes, HttpClient(CachingClient([])), f"http://127.0.0.1:{port}", timeout_s)
    return WriteClient(writes, door, ledger)


def only_write(tmp_path: Path) -> Write:
    """The one write of the ledger."""
    (found,) = read_ledger(tmp_path.glob("ledger-*.bin"))
    return found


def test_an_acknowledged_write_is_in_the_ledger_and_settles(
    writes: WritePath, ledger: LedgerWriter, tmp_path: Path
) -> None:
    """200 with an id is an acknowledgement; the write is then read back pending, and settled."""
    bank = Bank()
    with http_server(bank) as port:
        client = writer(writes, ledger, port)
        done = client.submit("deposit", "drill-1")
        states = [client.read(done.id or "", "drill-1").state for _ in range(2)]
    kept = only_write(tmp_path)
    assert (done.acked, done.id, states) == (True, "t-1", ["pending", "settled"])
    assert (kept.key, kept.result, kept.id, kept.amount) == (f"p-{done.n}", "acked", "t-1", 1000.0)
    assert (kept.status, kept.peer, kept.result_s) == (200, "127.0.0.1", done.reply.done_s)
    assert kept.sent_s <= done.reply.sent_s
    assert bank.seen[0] == ("POST", "/transaction/deposit", "drill-1")


def test_the_intent_is_on_disk_before_the_request_leaves(
    writes: WritePath, ledger: LedgerWriter, tmp_path: Path
) -> None:
    """The server, when it sees a write, finds it in the client's ledger."""
    found: list[list[Write]] = []

    def look(request: BaseHTTPRequestHandler, body: bytes) -> None:
        found.append(read_ledger(tmp_path.glob("ledger-*.bin")))
        assert json.loads(body) == {"quantity": 50}
        answer(request, 200, {"transactionId": "t-1"})

    with http_server(look) as port:
        writer(writes, ledger, port).submit("withdraw", "drill-7")
    ((intent,),) = found
    assert (intent.account, intent.write, intent.amount) == ("drill-7", "withdraw", -50.0)
    assert (intent.result, intent.result_s) == ("indeterminate", None)


@pytest.mark.parametrize(
    ("status", "body", "result"),
    [
        (200, {"transactionId": "t-1"}, "acked"),
        (200, {"transactionId": 17}, "acked"),
        (200, {"transactionId": ""}, "indeterminate"),
        (200, {"transactionId": None}, "indeterminate"),
        (200, {}, "indeterminate"),
        (200, ["t-1"], "indeterminate"),
        (202, {"transactionId": "t-1"}, "indeterminate"),
        (302, {}, "refused"),
        (400, {}, "refused"),
        (429, {"transactionId": "t-1"}, "refused"),
        (500, {}, "indeterminate"),
        (502, {}, "indeterminate"),
        (503, {"message": "transaction service is temporarily stopped"}, "refused"),
        (504, {}, "indeterminate"),
    ],
)
def test_what_the_reply_says_decides_the_result(
    writes: WritePath, ledger: LedgerWriter, tmp_path: Path, status: int, body: object, result: str
) -> None:
    """Only 200 with an id acknowledges, only a clear no refuses, and a gateway's error says nothing."""
    with http_server(lambda request, _: answer(request, status, body)) as port:
        done = writer(writes, ledger, port).submit("deposit", "drill-1")
    assert (done.result, only_write(tmp_path).result, only_write(tmp_path).status) == (result, result, status)
    assert (done.id is not None) == (result == "acked")


def cut_short(request: BaseHTTPRequestHandler, _body: bytes) -> None:
    """Accept, begin to say so, and break."""
    answer(request, 200, {"transactionId": "t-1"}, {"Content-Length": "900"})
    request.close_connection = True


def hang_up(request: BaseHTTPRequestHandler, _body: bytes) -> None:
    """Take the request and close."""
    request.close_connection = True


def hang(request: BaseHTTPRequestHandler, _body: bytes) -> None:
    """Take the request and say nothing until the client goes."""
    request.connection.settimeout(3)
    request.rfile.read(1)
    request.close_connection = True


@pytest.mark.parametrize(("handle", "error"), [(cut_short, "reset"), (hang_up, "reset"), (hang, "timeout")])
def test_what_broke_after_the_send_is_indeterminate(
    writes: WritePath, ledger: LedgerWriter, tmp_path: Path, handle: Handle, error: str
) -> None:
    """The system may have accepted it, so it is neither acknowledged nor refused."""
    with http_server(handle) as port:
        done = writer(writes, ledger, port, timeout_s=0.3).submit("deposit", "drill-1")
    assert (done.reply.error, done.result, only_write(tmp_path).result) == (error, "indeterminate", "indeterminate")


def test_what_was_never_sent_is_refused(writes: WritePath, ledger: LedgerWriter, tmp_path: Path) -> None:
    """A refused connection cannot have written anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert writer(writes, ledger, port).submit("deposit", "drill-1").result == "refused"
    assert only_write(tmp_path).result == "refused"


def test_nothing_is_sent_when_the_ledger_cannot_be_written(
    writes: WritePath, ledger: LedgerWriter, tmp_path: Path
) -> None:
    """A write that could not be accounted for (the disk is full) is not made, nor any after it."""
    with pytest.raises(OSError, match="No space left"):
        LedgerWriter(Path("/dev/full"))
    for n in range(ROOM // CELL - 10):
        ledger.intent(n * 1e-6, "deposit", "drill-1", 1.0)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    bank = Bank()
    with http_server(bank) as port:
        client = writer(writes, ledger, port)
        assert client.submit("deposit", "drill-1").acked
        seen = len(bank.seen)
        resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, hard))  # the disk is full beyond the room that was taken
        try:
            for words in ("File too large", *["could not be written before"] * 3):
                with pytest.raises(OSError, match=words):
                    [client.submit("deposit", f"drill-{n}") for n in range(20)]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(bank.seen) - seen < 20
    assert len(bank.seen) == sum(w.status == 200 for w in read_ledger(tmp_path.glob("ledger-*.bin")))


@pytest.mark.parametrize(
    ("status", "body", "state"),
    [
        (200, {"status": "status#pending"}, "pending"),
        (200, {"status": "status#success"}, "settled"),
        (200, {"status": "status#success_rollback"}, "refused"),
        (200, {"status": "status#rollback"}, "unknown"),
        (200, {}, "unknown"),
        (200, "status#success", "unknown"),
        (404, {}, "absent"),
        (503, {"status": "status#success"}, "unknown"),
    ],
)
def test_a_read_back_has_one_of_five_states(writes: WritePath, status: int, body: object, state: str) -> None:
    """Only the target's own words are believed, and only from a 200; 404 is absence; the rest is unknown."""
    with http_server(lambda request, _: answer(request, status, body)) as port:
        found = writer(writes, None, port).read("t-1", "drill-1")
    assert (found.state, found.terminal) == (state, state in ("settled", "refused"))


def test_an_unreachable_system_tells_no_state(writes: WritePath) -> None:
    """A failed read is unknown, not absent."""
    with http_server(hang_up) as port:
        found = writer(writes, None, port).read("t-1", "drill-1")
    assert (found.state, found.reply.error) == ("unknown", "reset")


def test_an_id_is_quoted_in_the_path(writes: WritePath) -> None:
    """An id never changes which path is asked."""
    bank = Bank()
    with http_server(bank) as port:
        writer(writes, None, port).read("../balance?x", "drill-1")
    assert bank.seen[0][1] == "/transaction/..%2Fbalance%3Fx"


def test_the_balance_is_a_number_or_unknown(writes: WritePath) -> None:
    """A balance that is no number is not zero."""
    with http_server(Bank()) as port:
        assert writer(writes, None, port).balance("drill-1").value == 850.5
    with http_server(lambda request, _: answer(request, 200, {"balance": "much"})) as port:
        assert writer(writes, None, port).balance("drill-1").value is None


def test_a_client_without_a_ledger_may_only_read(writes: WritePath) -> None:
    """It refuses to write instead of writing unaccounted."""
    with pytest.raises(ValueError, match="ledger"):
        writer(writes, None, 1).submit("deposit", "drill-1")


def test_threads_that_share_a_writer_keep_a_readable_ledger(
    writes: WritePath, ledger: LedgerWriter, tmp_path: Path
) -> None:
    """Every write of eight threads has its own number and its own outcome."""
    bank = Bank()
    with http_server(bank) as port, ThreadPoolExecutor(8) as pool:
        client = writer(writes, ledger, port, timeout_s=5)
        list(pool.map(lambda i: client.submit("deposit", f"drill-{i}"), range(60)))
    kept = read_ledger(tmp_path.glob("ledger-*.bin"))
    assert {(w.id, w.account) for w in kept} == set(bank.acked.items())
    assert len({w.key for w in kept}) == 60


def test_the_tests_leave_no_descriptor_behind(writes: WritePath) -> None:
    """Fresh requests close what they open."""
    with http_server(Bank()) as port:
        client = writer(writes, None, port)
        client.balance("drill-1")
        before = psutil.Process().num_fds()
        for _ in range(20):
            client.balance("drill-1")
        after = psutil.Process().num_fds()
    assert after <= before + 4


def test_a_system_that_tells_no_id_accepts_with_a_whole_200(ledger: LedgerWriter, tmp_path: Path) -> None:
    """The client's own name of the write is its id then, and finds it again; any other status accepts nothing."""
    writes = load_target(CORE_BANKING.with_name("remittance.toml")).writes
    stored: list[str] = []

    def handle(request: BaseHTTPRequestHandler, body: bytes) -> None:
        if request.command == "POST" and len(stored) < 1:
            stored.append(json.loads(body)["senderAccount"])
            answer(request, 200, "")
        elif request.command == "POST":
            answer(request, 500, "cannot execute INSERT in a read-only transaction\n")
        elif request.path == f"/get-remittance/{stored[0]}":
            answer(request, 200, {"status": "STORED", "copies": 1})
        else:
            answer(request, 404, {})

    with http_server(handle) as port:
        client = writer(writes, ledger, port)
        first, second = (client.submit("remittance", "drill-1") for _ in range(2))
        found = client.read(first.id or "", "drill-1")
        lost = client.read("", "drill-1", key="drill-1-9")
    assert (first.acked, first.id, second.acked, second.id) == (True, stored[0], False, None)
    assert (found.state, found.copies, lost.state) == ("settled", 1, "absent")
    assert [w.result for w in read_ledger(tmp_path.glob("ledger-*.bin"))] == ["acked", "indeterminate"]
    assert error_named(writes, second.reply) == "read-only transaction"
    assert error_named(writes, first.reply) == ""
