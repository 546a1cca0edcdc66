"""Where a game day's board is, who may open it, and what stands behind it."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from commands.gameday_report import shown
from commands.gameday_run import CLAIMED, TOKEN, Runner
from drill.clock import SystemClock
from drill.errors import Refused, UsageError
from drill.redact import keep_secret
from reports.board import board_status
from reports.board_server import BoardServer, serving

SHORTEST_TOKEN = 16
VIA = "board"


@dataclass(frozen=True)
class BoardPlace:
    """address: (host, port), port 0 for any free one; token: None where none is needed; roles: role -> its token."""

    address: tuple[str, int]
    token: str | None
    roles: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class GameDayBoard:
    """The board of a running game day (reports.board_server.Board). by_role: whether roles have tokens."""

    runner: Runner
    by_role: bool = False

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

    def release(self, step: str, role: str, who: str, proven: str) -> None:
        """See Board. With tokens for roles, a role counts only with its own."""
        if proven and role not in ("", proven):
            raise UsageError(f"your token is that of {proven!r}, not of {role!r}")
        if self.by_role and not proven and (may := self._may_release(step)):
            raise UsageError(
                f"hold {step}: on this board it takes the token of {' or '.join(may)}; yours names no role"
            )
        self.runner.release(step or "unnamed", proven or role, who, VIA, TOKEN if proven else CLAIMED)

    def observe(self, text: str, who: str, proven: str) -> None:
        """See Board."""
        self.runner.observe(text, who, VIA, proven)

    def _may_release(self, step: str) -> tuple[str, ...]:
        return next((hold.release for hold in self.runner.plan.holds if hold.id == step), ())


def board_place(
    where: str | None, token_file: Path | None, role_tokens: Sequence[str] = (), roles: Sequence[str] = ()
) -> BoardPlace | None:
    """Where a person wants the board; None for nowhere. UsageError for what is no place or token, Refused beyond
    loopback without a token. role_tokens: "ROLE=FILE"; roles: those of the plan."""
    if where is None:
        for option, given in (("--token-file", token_file), ("--role-token", role_tokens)):
            if given:
                raise UsageError(f"{option} is for the board; add --board HOST:PORT, or leave it out")
        return None
    host, colon, port = where.rpartition(":")
    name = host.removeprefix("[").removesuffix("]")
    if not colon or not name or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"--board {where!r}: HOST:PORT is needed, as 127.0.0.1:8080 (port 0: any free one)")
    if token_file is None and not role_tokens and not _loopback(name):
        raise Refused(
            f"--board {where}: anybody who reaches {name} could release holds; give a secret with --token-file FILE, "
            "or bind 127.0.0.1"
        )
    token = None if token_file is None else _token("--token-file", token_file)
    return BoardPlace((name, int(port)), token, _of_roles(role_tokens, roles, token))


def _of_roles(given: Sequence[str], roles: Sequence[str], shared: str | None) -> dict[str, str]:
    """Role -> token. UsageError for a role that the plan has not, one that stands there twice, or a token of two."""
    found: dict[str, str] = {}
    for word in given:
        role, equals, file = word.partition("=")
        if not equals or not file or role not in roles:
            known = ", ".join(map(repr, roles)) or "none"
            raise UsageError(f"--role-token {word!r}: ROLE=FILE is needed, with a role of the plan: {known}")
        if role in found:
            raise UsageError(f"--role-token: {role!r} stands there twice")
        token = _token(f"--role-token {role}:", Path(file))
        if token in (shared, *found.values()):
            raise UsageError(f"--role-token {role}: {file}: that is another's token too; each role needs its own")
        found[role] = token
    return found


@contextlib.contextmanager
def bound(place: BoardPlace | None) -> Iterator[BoardServer | None]:
    """The server at that place, not yet serving; None without one. UsageError when it cannot be bound."""
    if place is None:
        yield None
        return
    try:
        server = BoardServer(place.address, place.token, place.roles)
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
    with serving(server, GameDayBoard(runner, server.access.by_role)) as url:
        runner.board = url
        yield


def _loopback(name: str) -> bool:
    if name == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(name).is_loopback
    return False


def _token(option: str, path: Path) -> str:
    """The secret in a file. UsageError when it cannot be read or is too short; Refused when others may read it."""
    try:
        mode, token = path.stat().st_mode, path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{option} {path}: cannot be read: {error}") from error
    if mode & 0o077:
        raise Refused(f"{option} {path}: others may read it (mode {mode & 0o777:o}); type: chmod 600 {path}")
    if len(token) < SHORTEST_TOKEN:
        raise UsageError(
            f"{option} {path}: {len(token)} characters; at least {SHORTEST_TOKEN}, as from: openssl rand -hex 32"
        )
    keep_secret(token)
    return token
