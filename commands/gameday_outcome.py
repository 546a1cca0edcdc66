"""What a drill of a game day counts for: its exit code and its run folders, judged anew, the worst of all."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commands.exit_code import session_exit_code
from commands.importing import entry_of
from drill.gameday_state import State
from drill.verdict import REFUSED_EXIT_CODE, USAGE_EXIT_CODE, Verdict
from reports.history import Entry

WORDS = {v.exit_code: v.value for v in Verdict} | {USAGE_EXIT_CODE: "USAGE", REFUSED_EXIT_CODE: "REFUSED"}
"""Exit code -> what it says; every other code says nothing."""
LONGEST_WORDS = 600
JUDGED = {v.exit_code: v for v in Verdict}


@dataclass(frozen=True)
class Outcome:
    """What an attempt counts for. finished: whether it is never to be repeated."""

    verdict: str
    exit_code: int
    reason: str
    finished: bool


def run_folders(runs: Path, html: str, but: Collection[Path] = ()) -> tuple[Path, ...]:
    """The run folders of the session that wrote that page: each has its command line in its header."""
    folders = (p.parent for p in sorted(runs.glob("*/run.json")) if p.parent not in but)
    return tuple(f for f in folders if not f.is_symlink() and _made_by(f / "run.json", html))


def counted(folders: Sequence[Path]) -> tuple[Path, ...]:
    """Without the runs that another one of them repeats, because this machine did not hold the lab's speed.

    Only INVALID ones, judged anew: no header takes a FAIL out of the count.
    """
    repeated = {str(_header(folder / "run.json").get("instead_of")) for folder in folders}
    return tuple(f for f in folders if f.name not in repeated or _verdict(entry_of(f)) is not Verdict.INVALID)


def outcome_of(code: int | None, folders: Sequence[Path], stopped: str, said: str = "") -> Outcome:
    """What a session counts for: the worst of its exit code and of its runs, judged anew from their evidence.

    code: None when nobody saw its end; stopped: why it was stopped, "" when it was not; said: its last words.
    """
    entries = [entry_of(folder) for folder in folders]
    exit_code = session_exit_code(
        [*([] if code is None or code not in JUDGED else [JUDGED[code]]), *(_verdict(e) for e in entries)],
        [c for c in (code,) if c in (USAGE_EXIT_CODE, REFUSED_EXIT_CODE)],
        0 if code in WORDS and (entries or code) else 1,
    )
    cut_short = bool(stopped) or code is None
    bad = exit_code in (Verdict.FAIL.exit_code, Verdict.DIRTY.exit_code)
    proven = exit_code in (Verdict.PASS.exit_code, Verdict.INCONCLUSIVE.exit_code) and code is not None
    reason = _reason(exit_code, code, entries, stopped, said)
    return Outcome(WORDS[exit_code], exit_code, reason, bad or proven or not cut_short)


def _verdict(entry: Entry) -> Verdict:
    """Of one run; evidence that cannot be believed proves nothing, changes that are not back are DIRTY."""
    found = Verdict.INVALID if entry.record is None else entry.record.verdict
    if entry.left_changed:
        return Verdict.DIRTY
    return max(found, Verdict.INVALID, key=lambda v: v.rank) if entry.problem else found


def _reason(exit_code: int, code: int | None, entries: Sequence[Entry], stopped: str, said: str) -> str:
    """In one sentence, for a person; "" for a PASS."""
    guilty = next((_worst_words(e) for e in entries if exit_code and _verdict(e).exit_code == exit_code), "")
    if stopped and exit_code == Verdict.INVALID.exit_code:
        return f"stopped: {stopped}"
    if guilty or not exit_code:
        return guilty
    if code is None:
        return "nobody saw its end: the game day was killed meanwhile"
    what = "" if entries else "no run folder, so nothing was drilled; "
    return f"{what}its session ended with code {code}{': ' * bool(said)}{said}"


def last_words(log: Path) -> str:
    """Why pytest says that a session ended early, or its last line; "" when it has none."""
    try:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    why = [line.strip("! ") for line in lines if line.startswith(("! ", "ERROR: "))]
    return (why or lines or [""])[-1][:LONGEST_WORDS]


def _worst_words(entry: Entry) -> str:
    if entry.record is None or entry.problem:
        return entry.problem
    judged = entry.record.judgement
    worst = next(f for f in judged.findings if f.verdict == judged.verdict)
    if worst.verdict != _verdict(entry).value:
        return f"{entry.left_changed} changes are not back; type: drill restore {entry.folder}"
    return f"{worst.name}: {worst.reason.partition(chr(10))[0]}"


def _made_by(header: Path, html: str) -> bool:
    words = _header(header).get("command_line")
    return isinstance(words, list) and f"--html={html}" in words


def _header(path: Path) -> dict[str, Any]:
    """What run.json says; {} when it cannot be read."""
    try:
        said = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def exit_code(state: State) -> int:
    """The worst of all drills, by the design's ranks; a plan that was not carried through is INVALID at best.

    What an attempt showed is never made good by a later one: a DIRTY or FAIL of any attempt stays.
    """
    ends = [a.end for a in state.attempts if a.end is not None and (a.end.finished or a is state.of(a.drill)[-1])]
    verdicts = [Verdict(e.verdict) for e in ends if e.verdict in Verdict.__members__]
    refusals = [e.exit_code for e in ends if e.exit_code in (USAGE_EXIT_CODE, REFUSED_EXIT_CODE)]
    undone = [None for d in state.plan.drills if not state.done(d.id)]
    return session_exit_code([*verdicts, *undone], refusals, 1 if state.ahead() else 0)
