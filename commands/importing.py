"""From run folders to entries of the history: judged anew from their evidence, whatever was said of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from checks.judge import judge
from checks.seal import SEAL, broken_seals, seal_digest
from commands.folders import UNREADABLE
from drill.errors import Invalid
from drill.journal import Unreadable, outstanding
from drill.manifest import differing_files
from drill.timeline import History, load_history
from drill.verdict import Judgement
from reports.history import Entry, HistoryFile, Mixed
from reports.record import record_of
from reports.summary import VERDICT_FILE, read_judgement, summary_text

EVIDENCE = ("run.json", "events.jsonl", "journal.jsonl", "verdict.json", "drill.json")
"""Files by which a run folder is known, whatever of it is gone."""


def run_folders(paths: Sequence[Path]) -> tuple[Path, ...]:
    """The run folders that the paths mean, each once: a run folder itself, or a folder of them.

    One that has lost its header is one too: it may have been the drill that failed. Invalid for a path that is
    neither. Links (`latest`) are followed.
    """
    found: dict[Path, None] = {}
    for path in paths:
        folder = path.resolve()
        inner = sorted({p.parent.resolve() for name in EVIDENCE for p in folder.glob(f"*/{name}")})
        if not inner and not folder.is_dir():
            raise Invalid(f"{path}: no run folder, nor a folder of them; nothing was imported")
        found |= dict.fromkeys(inner if inner and not (folder / "run.json").exists() else [folder])
    return tuple(found)


def entry_of(folder: Path) -> Entry:
    """A run folder as an entry. Never raises for what it says: what cannot be read is an entry that says so."""
    try:
        history = load_history(folder)
        judged = judge(history)
        record = record_of(history, judged, seal_digest(history))
        wrong = "; ".join(_wrong(folder, history, judged))
    except UNREADABLE as error:
        return Entry(folder.name, folder.name, None, f"cannot be read: {_line(error)}", None)
    return Entry(record.run.id, folder.name, record, wrong, left_changed(folder))


def import_runs(file: HistoryFile, folders: Sequence[Path]) -> Iterator[tuple[Entry, str]]:
    """Import run folders, each by itself; (entry, "new" | "same" | "updated" | why it was refused).

    A second run under a known id with other evidence is kept as one that cannot be read: neither is to be believed
    until a person has looked.
    """
    for folder in folders:
        entry = entry_of(folder)
        try:
            yield entry, file.add(entry)
        except Mixed as error:
            mixed = Entry(folder.name, folder.name, None, str(error), None)
            file.add(mixed)
            yield mixed, str(error)


def _wrong(folder: Path, history: History, judged: Judgement) -> Iterator[str]:
    if history.named(SEAL):  # a killed drill has no seal; one whose seal does not fit was changed
        yield from broken_seals(history)
        yield from differing_files(folder)
    stored = read_judgement(folder)
    # The verdicts are held together, not the words: those may be of another version, and nothing rests on them.
    if stored is not None and verdicts_in(stored) != verdicts_in(summary_text(judged)):
        said, now = verdicts_in(stored).get("", "unreadable"), judged.verdict.value
        yield f"{VERDICT_FILE} ({said}) differs from what the evidence says ({now}): edited, or by another version"


def verdicts_in(text: str) -> dict[str, str]:
    """By a verdict.json, the drill's verdict ("") and that of every objective; empty when it cannot be read."""
    try:
        record = json.loads(text)
        of_objectives = {f["name"]: f["verdict"] for f in record["findings"] if f["limit_s"] is not None}
        return {"": record["verdict"], **of_objectives}
    except (ValueError, KeyError, TypeError):
        return {}


def left_changed(folder: Path) -> int | None:
    """How many changes the journal of a run does not know to be back; None when it cannot be read."""
    try:
        return len(outstanding(folder / "journal.jsonl"))
    except (OSError, Unreadable):
        return None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
