"""docs/scenarios.md names every scenario with a twin that ends otherwise, and each twin is really drilled."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import faults

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "scenarios.md").read_text()
ROW = re.compile(r"^\| `(\w+)` \| (.+) \| (PASS|FAIL|FAIL or PASS) \| (.+) \|$", re.MULTILINE)
TWIN = re.compile(r"[`_](\w+?)[`_] (PASS|FAIL|INVALID)|[`_](\w+?)[`_]:")
SYSTEM = re.compile(r"^## (.+)$", re.MULTILINE)
SHORTEST = 5
"""Letters of a word that picks a drill by a part of its name."""


def drills(folder: str) -> dict[str, ast.FunctionDef]:
    """Name without "test_" -> function, of the drills in a folder."""
    found = {}
    for path in sorted((ROOT / folder).glob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found[node.name.removeprefix("test_")] = node
    return found


def is_headline(drill: ast.FunctionDef) -> bool:
    """Whether it bears that marker."""
    return any(ast.unparse(decorator) == "pytest.mark.headline" for decorator in drill.decorator_list)


def words() -> Iterator[str]:
    """What tests/e2e pick drills by: every word in a string there."""
    for path in sorted((ROOT / "tests" / "e2e").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"\w+", node.value):
                yield node.value.removeprefix("test_")


def twins(row: str) -> dict[str, str]:
    """Twin -> how it ends, "" where the page says it in words."""
    return {named or alone: verdict for named, verdict, alone in TWIN.findall(row)}


SCENARIOS, TWINS = drills("scenarios"), drills("tests/twins")
ROWS = {name: (checks, ends, twins(others)) for name, checks, ends, others in ROW.findall(PAGE)}


def test_every_scenario_says_what_it_checks() -> None:
    """One row each, and none of a scenario that is gone."""
    assert sorted(name for name, *_ in ROW.findall(PAGE)) == sorted(SCENARIOS), "docs/scenarios.md is old"
    assert len(SYSTEM.findall(PAGE)) == 5


def test_every_scenario_has_a_twin_that_ends_otherwise() -> None:
    """A function that there is, and not the scenario itself; a scenario as twin ends as its own row says."""
    for name, (_, ends, others) in ROWS.items():
        assert others, f"{name} has no twin"
        for twin, verdict in others.items():
            assert twin != name
            assert twin in TWINS or twin in SCENARIOS, f"{name}: there is no {twin}"
            if twin in SCENARIOS and twin not in TWINS:
                assert verdict == ROWS[twin][1], f"{twin} ends with {ROWS[twin][1]}"
        assert any(verdict != ends for verdict in others.values()), f"every twin of {name} ends as it does"


def test_faults_that_no_drill_uses_are_named_with_the_reason() -> None:
    """Each kind of fault is in a scenario or a twin, or the page says why it is in none; no other is said to be."""
    drilled = "".join(path.read_text() for f in ("scenarios", "tests/twins") for path in (ROOT / f).glob("*.py"))
    unused = {kind.__name__ for kind in faults.kinds()} - set(re.findall(r"\w+", drilled))
    (said,) = re.findall(r"^Four of the \[faults\].+?^$", PAGE, re.MULTILINE | re.DOTALL)
    assert unused == set(re.findall(r"`([A-Z]\w+)`", said))
    assert len(unused) == 4


def test_every_scenario_and_twin_is_drilled_by_a_test() -> None:
    """By a part of its name, or as a headline."""
    picked = {word for word in words() if len(word) >= SHORTEST and word != "failover"}
    for name, drill in {**SCENARIOS, **TWINS}.items():
        assert is_headline(drill) or any(word in name for word in picked), f"no test of tests/e2e drills {name}"
