"""Where a game day's board is, who may open it, and what stands behind it."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commands.gameday_report import shown
from commands.gameday_run import Runner
from drill.clock import SystemClock
from drill.errors import Refused, UsageError
from drill.redact import keep_secret
from reports.board import board_status
from reports.board_server import BoardServer, serving

SHORTEST_TOKEN = 16
VIA = "board"


@dataclass(frozen=True)
class BoardPlace:
    """address: (host, port), port 0 for any free one; token: None on loopback without one."""

    address: tuple[str, int]
    token: str | None


@dataclass(frozen=True)
class GameDayBoard:
    """The board of a running game day (reports.board_server.Board)."""

    runner: Runner

    @property
    def title(self) -> str:
        """See Board."""
        return f"Game day {self.runner.plan.name}"

    def status(self) -> dict[str, Any]:
        """See Board."""
        runner, live = self.runner, self.runner.live
        day = shown(runner.log.folder, runner.state, runner.lab)
        now = SystemClock().wall()
        return board_status(day, live.now if live else None, now, runner.hard_stop, runner.stopping)

    def release(self, step: str, role: str, who: str) -> None:
        """See Board."""
        self.runner.release(step or "unnamed", role, who, VIA)

    def observe(self, text: str, who: str) -> None:
        """See Board."""
        self.runner.observe(text, who, VIA)


def board_place(where: str | None, token_file: Path | None) -> BoardPlace | None:
    """Where a person wants the board; None for nowhere. UsageError for what is no place or token, Refused beyond
    loopback without a token."""
    if where is None:
        if token_file is not None:
            raise UsageError("--token-file is for the board; add --board HOST:PORT, or leave it out")
        return None
    host, colon, port = where.rpartition(":")
    name = host.removeprefix("[").removesuffix("]")
    if not colon or not name or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"--board {where!r}: HOST:PORT is needed, as 127.0.0.1:8080 (port 0: any free one)")
    if token_file is None and not _loopback(name):
        raise Refused(
            f"--board {where}: anybody who reaches {name} could release holds; give a secret with --token-file FILE, "
            "or bind 127.0.0.1"
        )
    return BoardPlace((name, int(port)), None if token_file is None else _token(token_file))


@contextlib.contextmanager
def bound(place: BoardPlace | None) -> Iterator[BoardServer | None]:
    """The server at that place, not yet serving; None without one. UsageError when it cannot be bound."""
    if place is None:
        yield None
        return
    try:
        server = BoardServer(place.address, place.token)
    except OSError as error:
        raise UsageError(f"--board {place.address[0]}:{place.address[1]} cannot be bound: {error}") from error
    with server:
        yield server


@contextlib.contextmanager
def served(runner: Runner, server: BoardServer | None) -> Iterator[None]:
    """Serve the board in this block, if there is one."""
    if server is None:
        yield
        return
    with serving(server, GameDayBoard(runner)) as url:
        runner.board = url
        yield


def _loopback(name: str) -> bool:
    if name == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(name).is_loopback
    return False


def _token(path: Path) -> str:
    """The secret in a file. UsageError when it cannot be read or is too short; Refused when others may read it."""
    try:
        mode, token = path.stat().st_mode, path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--token-file {path}: cannot be read: {error}") from error
    if mode & 0o077:
        raise Refused(f"--token-file {path}: others may read it (mode {mode & 0o777:o}); type: chmod 600 {path}")
    if len(token) < SHORTEST_TOKEN:
        raise UsageError(
            f"--token-file {path}: {len(token)} characters; at least {SHORTEST_TOKEN}, as from: openssl rand -hex 32"
        )
    keep_secret(token)
    return token
