"""The table of faults in docs/faults.md, made from the faults themselves.

`python -m tests.faults.table` writes it; a test fails when it is old.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import faults
from drill.call import Call
from drill.change import Action, Change
from drill.iam import need_of
from drill.read_only import ReadOnlyAws
from tests.checks.cloud import Cloud, cloud
from tests.faults.bus import add_bus
from tests.faults.events_source import add_events_source
from tests.faults.experiments import experiments
from tests.faults.furniture import furnish
from tests.faults.samples import SAMPLES, Sample

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "faults.md"
DRILLS = ("scenarios", "tests/twins")
HEAD = """\
# Faults and actions

What a drill can break, and what it can only do. A fault is put back, verified; an action is not reversible: its end
is checked. This page is made from the faults themselves: `python -m tests.faults.table` writes it, a test holds it,
and `drill faults` prints it.

"""


def page(made: Cloud) -> str:
    """The whole page, from the samples in that account."""
    return HEAD + "\n".join(_section(made, kind) for kind in faults.kinds())


def _section(made: Cloud, kind: type[Any]) -> str:
    module = sys.modules[kind.__module__]
    samples = [sample for sample in SAMPLES if type(sample.fault) is kind]
    prepared, reads = zip(*(_prepared(made, sample) for sample in samples), strict=True)
    first, scenarios = prepared[0], _naming(kind, "scenarios")
    facts = [fact.call for p in prepared for fact in p.facts]
    rows = {
        "what it does": (module.__doc__ or "").split("\n\n")[0].replace("\n", " ").strip(),
        "parameters": ", ".join(f"`{name}`" for name in kind.__dataclass_fields__),
        "clients must see": ", ".join(sorted({_EFFECTS[p.effect] for p in prepared})),
        **_calls(prepared, getattr(module, "UNDONE", "nothing: it is undone only by failback")),
        "read back by": _operations(facts),
        "believed after": f"{first.settle_s:g} s of the same answer",
        "IAM actions": _actions([*(c for p in prepared for c in _all(p)), *facts, *(c for r in reads for c in r)]),
        "tested in": ", ".join(dict.fromkeys(["`tests/faults/test_contract.py`", *_naming(kind, "tests/faults")])),
        "drilled in": ", ".join(scenarios),
        "drilled by twins only": "" if scenarios else ", ".join(_naming(kind, "tests/twins")),
    }
    lines = [f"| {name} | {text} |" for name, text in rows.items() if text]
    head = f"## {first.kind}: `{kind.__name__}` ({'action' if isinstance(first, Action) else 'fault'})"
    return "\n".join([head, "", "| | |", "|---|---|", *lines, ""])


_EFFECTS = {
    "errors": "failed writes",
    "region_moved": "answers from another Region",
    "none": "nothing by itself (it only arms or disarms)",
}


def _prepared(made: Cloud, sample: Sample) -> tuple[Change | Action, list[Call]]:
    aws = ReadOnlyAws(made.aws)
    sample.ready(made)
    try:
        prepared: Change | Action = sample.fault.prepare(aws, "core-banking", "RUN-ID")
    finally:
        sample.undo(made)
    return prepared, aws.made


def _calls(prepared: Iterable[Change | Action], otherwise: str) -> dict[str, str]:
    changes = [p for p in prepared if isinstance(p, Change)]
    acts = [c for p in prepared if isinstance(p, Action) for c in p.calls]
    ends = _operations(p.undo.call for p in prepared if isinstance(p, Action) and p.undo)
    return {
        "calls": _operations([*(c for p in changes for c in p.inject), *acts]),
        "put back by": _operations(c for p in changes for c in p.restore) or ("" if ends else otherwise),
        "ended by": ends,
    }


def _all(prepared: Change | Action) -> tuple[Call, ...]:
    if isinstance(prepared, Change):
        return prepared.inject + prepared.restore
    return prepared.calls + ((prepared.undo.call,) if prepared.undo else ())


def _operations(calls: Iterable[Call]) -> str:
    return ", ".join(dict.fromkeys(f"`{call.service}:{call.operation}`" for call in calls))


def _actions(calls: Iterable[Call]) -> str:
    return ", ".join(f"`{action}`" for action in sorted({need_of(call).action for call in calls}))


def _naming(kind: type[Any], folder: str) -> list[str]:
    """The files of a folder that name the class: tests, and of drills what several of them share."""
    paths = sorted((ROOT / folder).glob("*.py" if folder in DRILLS else "test_*.py"))
    return [f"`{path.relative_to(ROOT)}`" for path in paths if kind.__name__ in path.read_text()]


def _main() -> None:
    with tempfile.TemporaryDirectory() as folder, cloud(Path(folder)) as made:
        add_bus(made)
        add_events_source(made)
        furnish(made)
        with experiments(made):
            PAGE.write_text(page(made))


if __name__ == "__main__":
    _main()
