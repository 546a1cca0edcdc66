"""Net 5: no drill begins while a former one has left something changed."""

from __future__ import annotations

import json
from pathlib import Path

from commands.folders import UNREADABLE
from commands.world import RUNS, World
from drill.errors import Refused
from drill.journal import last_claim, outstanding


def require_nothing_outstanding(runs: Path, world: World) -> None:
    """Refused while a former run against the same world has changes that are not back.

    Looked for in `runs` and where runs land by default. A former run whose journal cannot be read is refused too,
    whatever its world: nobody knows what it left.
    """
    for path in sorted({*runs.glob("*/journal.jsonl"), *RUNS.glob("*/journal.jsonl")}):
        try:
            left = bool(outstanding(path)) and _same_world(path.parent / "run.json", world)
        except UNREADABLE as error:
            raise Refused(
                f"a former drill's record in {path.parent} cannot be read ({error}), so nobody knows what it left "
                "changed; look at it, put back what it changed, and move the folder away"
            ) from error
        if left:
            raise Refused(_outstanding_words(path, world.target.name))


def _outstanding_words(path: Path, target: str) -> str:
    holder = last_claim(path)
    if holder is not None and holder.here:
        return (
            f"{target} is changed right now (journal {path}): {holder} is at it; wait for it, or stop it and put "
            f"everything back: drill restore {path.parent}"
        )
    return f"a former drill left {target} changed (journal {path}); put it back first: drill restore {path.parent}"


def _same_world(header: Path, world: World) -> bool:
    target = json.loads(header.read_text())["target"]
    there = (target["account"], target["connection"]["aws_endpoint"])
    return there == (world.target.account, world.aws.endpoint_url)
