"""Mutants that are asked in forks: each has the fate that it would have if mutmut asked it."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.mutants import ROOT, forget_survivors, noted, run_forked

pytestmark = pytest.mark.long  # 7 s of CPU, and nothing of a drill in it
CONFIG = """
[tool.mutmut]
source_paths = ["part"]
only_mutate = ["part/sums.py"]
pytest_add_cli_args = ["--noconftest", "-p", "no:cacheprovider"]
pytest_add_cli_args_test_selection = ["tests/test_sums.py"]
"""
SUMS = """
def added(one, other):
    return one + other


def told(number):
    if number > 0:
        return "some"
    return "none"


def unasked(number):
    return number - 1
"""
TESTS = """
from part.sums import added, told


def test_it_adds():
    assert added(2, 2) == 4


def test_some_are_told():
    assert told(5) == "some"
"""


def planted(folder: Path, tests: str) -> None:
    """A tree as small as can be, with these tests."""
    for name, text in {"pyproject.toml": CONFIG, "part/sums.py": SUMS, "tests/test_sums.py": tests}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    (folder / "benchmarks").mkdir()
    shutil.copy(ROOT / "benchmarks" / "forked.py", folder / "benchmarks")


def test_mutants_that_are_asked_in_forks_have_their_fates(tmp_path: Path) -> None:
    """Killed by the tests that reach them, survived, or without a test; what survived is asked again on demand."""
    planted(tmp_path, TESTS)
    assert run_forked(tmp_path, ["part.sums"], quick=False) == 0
    fates = noted(tmp_path)["part.sums"]
    by_function = {name: Counter(f for m, f in fates.items() if f"x_{name}__" in m) for name in ("added", "unasked")}
    assert by_function == {"added": Counter(killed=1), "unasked": Counter({"no tests": 2})}
    of_told = {f for m, f in fates.items() if "x_told__" in m}
    assert of_told == {"killed", "survived"}

    (tmp_path / "tests" / "test_sums.py").write_text(TESTS + '    assert (told(0), told(1)) == ("none", "some")\n')
    forget_survivors(tmp_path)
    assert run_forked(tmp_path, ["part.sums"], quick=False) == 0
    assert {f for m, f in noted(tmp_path)["part.sums"].items() if "x_told__" in m} == {"killed"}


def test_nothing_is_asked_where_a_test_fails_without_a_mutant(tmp_path: Path) -> None:
    """Every mutant would be killed by it."""
    planted(tmp_path, TESTS.replace("== 4", "== 5"))
    assert run_forked(tmp_path, ["part.sums"], quick=False) == 1
    assert set(noted(tmp_path)["part.sums"].values()) == {"not checked"}
