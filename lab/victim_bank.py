"""A bank whose writes have planted fates, to calibrate the ledger and the read-back by.

`python -m lab.victim_bank CONFIG.json` (keys: host, seed, truth) speaks the write path of targets/core-banking.toml:
POST /transaction/deposit, GET /transaction/{id}. Each write gets a fate by the seed, and a line in `truth`:
{"account", "id" or null, "fate"}.

    kept         accepted, and there whenever it is read
    late         accepted, absent when it is read first, and there from LATE_S after that on
    lost         accepted, and never there
    compensated  accepted, and refused afterwards
    refused      answered 503
    cut-kept     the connection ends without an answer; the write is there
    cut-lost     the same, and it is not

It says {"port"} on stdout when it serves, and ends when its stdin closes.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

FATES = ("kept", "late", "lost", "compensated", "refused", "cut-kept", "cut-lost")
WEIGHTS = (4, 1, 1, 1, 1, 1, 1)
LATE_S = 0.5


class Bank:
    """The writes and their fates."""

    def __init__(self, seed: int, truth: Path) -> None:
        self._rng = random.Random(seed)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._fates: dict[str, str] = {}
        self._first_read_s: dict[str, float] = {}
        self._truth = os.open(truth, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def write(self, account: str) -> tuple[str, str]:
        """A new write: (id, fate)."""
        with self._lock:
            id, (fate,) = f"w-{next(self._numbers)}", self._rng.choices(FATES, WEIGHTS)
            self._fates[id] = fate
        line = {"account": account, "id": None if fate.startswith(("refused", "cut")) else id, "fate": fate}
        os.write(self._truth, json.dumps(line).encode() + b"\n")
        return id, fate

    def read(self, id: str) -> str | None:
        """The state of a write, None when it is not there."""
        fate = self._fates.get(id, "lost")
        first_s = self._first_read_s.setdefault(id, time.monotonic())
        if fate in ("lost", "cut-lost", "refused") or (fate == "late" and time.monotonic() - first_s < LATE_S):
            return None
        return "status#success_rollback" if fate == "compensated" else "status#success"


class Handler(BaseHTTPRequestHandler):
    """The write path over HTTP."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    bank: Bank

    def do_POST(self) -> None:
        """A write."""
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        id, fate = self.bank.write(self.headers.get("X_ACCOUNT_ID", ""))
        if fate.startswith("cut"):
            self.close_connection = True
        elif fate == "refused":
            self._answer(503, {})
        else:
            self._answer(200, {"transactionId": id})

    def do_GET(self) -> None:
        """A read."""
        state = self.bank.read(self.path.rpartition("/")[2])
        self._answer(404 if state is None else 200, {"status": state})

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def _answer(self, status: int, value: dict[str, Any]) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A client that goes away is no news."""


def main() -> int:
    """Serve until stdin closes."""
    config = json.loads(Path(sys.argv[1]).read_text())
    Handler.bank = Bank(int(config["seed"]), Path(config["truth"]))
    server = _Server((config["host"], 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
    os.write(1, json.dumps({"port": server.server_address[1]}).encode() + b"\n")
    while os.read(0, 4096):
        pass
    server.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
