"""Whatever is done to a run folder: every verb ends in a sentence and one of our codes, and none calls it a pass."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from checks.judge import judge
from commands.main import main
from commands.publish import publish
from tests.reports.records import run_folder, whole

ODD: tuple[Any, ...] = (None, 5, -1, "x", "PASS", [], {}, 1e308, True, [1], {"a": 1}, 10**30)
CODES = {4, 11, 12, 20}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder that passes, with all that a drill leaves."""
    folder = run_folder(tmp_path_factory.mktemp("good") / "run")
    publish(folder, judge(whole()))
    assert main(["verify", str(folder)]) == 0
    return folder


def _removed(path: Path, _: random.Random) -> None:
    path.unlink()


def _cut(path: Path, dice: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: dice.randrange(len(data))])


def _flipped(path: Path, dice: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    path.write_bytes(bytes(data))


def _line_gone(path: Path, dice: random.Random) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    del lines[dice.randrange(len(lines))]
    path.write_bytes(b"".join(lines))


def _odd_value(path: Path, dice: random.Random) -> None:
    """One value of one record is of another kind, or not there."""
    whole_file = path.suffix == ".json"
    lines = [path.read_text()] if whole_file else path.read_text().splitlines()
    number = dice.randrange(len(lines))
    record = json.loads(lines[number])
    inside, key = _somewhere(record, dice)
    if isinstance(inside, dict) and dice.random() < 0.3:
        del inside[key]
    else:
        inside[key] = dice.choice([odd for odd in ODD if odd != inside[key]])
    lines[number] = json.dumps(record)
    path.write_text("\n".join(lines) + "\n")


def _somewhere(record: Any, dice: random.Random) -> tuple[Any, Any]:
    """A table or list of a record, and one of its keys."""
    found: list[tuple[Any, Any]] = []
    here = record
    for _ in range(4):
        keys = list(here) if isinstance(here, dict) else list(range(len(here))) if isinstance(here, list) else []
        if not keys:
            break
        found.append((here, dice.choice(keys)))
        here = here[found[-1][1]]
    return dice.choice(found)


WAYS: tuple[tuple[Callable[[Path, random.Random], None], tuple[str, ...]], ...] = (
    (_removed, ("*.jsonl", "*.bin", "run.json")),
    (_cut, ("*.jsonl", "*.bin", "*.json", "*.csv")),
    (_flipped, ("*",)),
    (_line_gone, ("*.jsonl",)),
    (_odd_value, ("*.jsonl", "*.json")),
    (_odd_value, ("run.json", "events.jsonl")),
)


@pytest.mark.parametrize("way", range(len(WAYS)))
def test_no_verb_breaks_on_a_mangled_run_or_takes_it_for_a_pass(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], way: int
) -> None:
    """Files gone, cut short, with a bit flipped, a record missing or a value of another kind; by fixed dice."""
    mangle, patterns = WAYS[way]
    for seed in range(8):
        dice = random.Random(f"{way} {seed}")
        folder, packed = tmp_path / "run", tmp_path / "b.tgz"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(good, folder)
        path = dice.choice(sorted({p for pattern in patterns for p in folder.glob(pattern)}))
        mangle(path, dice)
        assert main(["verify", str(folder)]) in CODES, (path.name, seed)
        for verb in (["report"], ["bundle", "-o", str(packed)]):
            code = main([verb[0], str(folder), *verb[1:]])
            told = capsys.readouterr()
            assert code in CODES or "INVALID" in told.out or _only_said(path), (verb, path.name, seed, told)
        packed.unlink(missing_ok=True)


def _only_said(path: Path) -> bool:
    """Whether only what was made of the evidence is mangled, not the evidence, nor the verdict that is shown."""
    return path.name in ("drill.json", "summary.md") or path.name.startswith("missing-transactions")
