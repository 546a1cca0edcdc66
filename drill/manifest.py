"""The list of a run folder's evidence files, made when the drill ends: `drill verify` says by it what was changed.

The seal (checks/seal.py) compares what the files say; this compares the files, so that the one that was changed, cut,
taken away or added is named, also where nothing can be read any more. The list stands in the last mark of the drill.
What a drill's end and later restores write on (its marks, its journal) is compared as far as it had come.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from drill.timeline import EVENTS

FILES = "files"
"""The key of the list in the data of the last mark."""
EVIDENCE = (
    "run.json",
    "obs-*",
    "requests-*",
    "ledger-*",
    "readback.jsonl",
    "balances.jsonl",
    "snapshot-*.json",
    "load-summary.json",
)
JOURNAL = "journal.jsonl"
GROW = (EVENTS, JOURNAL)
CHUNK = 1 << 20


def manifest_of(folder: Path) -> dict[str, dict[str, Any]]:
    """File name -> {"bytes", "sha256"} of every evidence file as it is now. JSON-able."""
    grown = [folder / name for name in GROW if (folder / name).exists()]
    return {path.name: _told(path, path.stat().st_size) for path in sorted([*_evidence(folder), *grown])}


def differing_files(folder: Path) -> list[str]:
    """What differs from the list, one sentence a file; nothing for a folder without one.

    A run that was killed, or made before there were lists, has none.
    """
    then = _listed(folder)
    if then is None:
        return []
    added = [path.name for path in _evidence(folder) if path.name not in then]
    return [*_changed(folder, then), *(f"{name}: added after the drill had ended" for name in sorted(added))]


def restored_since(folder: Path) -> bool:
    """Whether the journal says more than when the list was made: a restore wrote on."""
    told, path = (_listed(folder) or {}).get(JOURNAL), folder / JOURNAL
    return told is not None and path.is_file() and path.stat().st_size > told["bytes"]


def _changed(folder: Path, then: Mapping[str, Any]) -> Iterator[str]:
    for name, told in sorted(then.items()):
        path, size = folder / name, told.get("bytes")
        if not path.is_file():
            yield f"{name}: missing, {size} bytes when the drill ended"
        elif path.stat().st_size < size:
            yield f"{name}: cut, {path.stat().st_size} of {size} bytes are left"
        elif path.stat().st_size > size and name not in GROW:
            yield f"{name}: {path.stat().st_size - size} bytes were added to {size}"
        elif _told(path, size) != told:
            yield f"{name}: changed, its {size} bytes are not those of when the drill ended"


def _evidence(folder: Path) -> Iterator[Path]:
    return (path for pattern in EVIDENCE for path in folder.glob(pattern) if path.is_file())


def _told(path: Path, size: int) -> dict[str, Any]:
    """Of the first `size` bytes."""
    found, left = hashlib.sha256(), size
    with path.open("rb") as file:
        while left > 0 and (data := file.read(min(CHUNK, left))):
            found.update(data)
            left -= len(data)
    return {"bytes": size, "sha256": found.hexdigest()}


def _listed(folder: Path) -> Mapping[str, Any] | None:
    """The list in the newest mark that has one; None where none can be read."""
    try:
        lines = (folder / EVENTS).read_bytes().splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        try:
            listed = json.loads(line)["data"][FILES]
        except (ValueError, KeyError, TypeError):
            continue
        if isinstance(listed, dict) and all(_is_told(told) for told in listed.values()):
            return listed
    return None


def _is_told(told: Any) -> bool:
    return isinstance(told, dict) and type(told.get("bytes")) is int
