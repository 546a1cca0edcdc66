"""The names of the scenarios, as run folders carry them, read from the files without running anything."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from drill.child import REPOSITORY
from drill.errors import UsageError

DEFAULT = (REPOSITORY / "scenarios",)


def scenario_name(test: str) -> str:
    """A test's name as the run folder and header have it."""
    return re.sub(r"[^a-z0-9]+", "-", test.removeprefix("test_").lower()).strip("-")


def scenario_names(folders: Iterable[Path] | None) -> dict[str, bool]:
    """Name -> whether it has parameters, of every scenario in these folders or files. UsageError without any."""
    roots = list(folders or DEFAULT)
    files = [p for root in roots for p in ([root] if root.is_file() else sorted(root.rglob("*.py")))]
    found = {scenario_name(one.test): one.many for path in files for one in scenarios_in(path)}
    if not found:
        raise UsageError(f"no scenario in {', '.join(map(str, roots))}; give the folder with --scenarios")
    return found


def known(name: str, names: dict[str, bool]) -> bool:
    """Whether it is a scenario's name; that of one with parameters goes on with them."""
    return name in names or any(many and name.startswith(f"{base}-") for base, many in names.items())


@dataclass(frozen=True)
class ScenarioTest:
    """A scenario as its file has it. test: the function; marks: its markers and the file's, as they are written."""

    test: str
    marks: tuple[str, ...]

    @property
    def many(self) -> bool:
        """Whether it has parameters."""
        return any("parametrize" in mark for mark in self.marks)

    @property
    def system(self) -> str | None:
        """The system that it drills; None when it fits every one."""
        found = (re.search(r"mark\.system\('([^']*)'\)", mark) for mark in self.marks)
        return next((match[1] for match in found if match), None)


def scenarios_in(path: Path) -> Iterator[ScenarioTest]:
    """The scenarios of a file, read without running it. UsageError when it cannot be read."""
    try:
        tree = ast.parse(path.read_text())
    except (OSError, ValueError, SyntaxError) as error:
        raise UsageError(f"{path}: no scenarios can be read from it ({error})") from error
    of_all = [ast.unparse(node.value) for node in tree.body if isinstance(node, ast.Assign) and _is_pytestmark(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            marks = (*(ast.unparse(mark) for mark in node.decorator_list), *of_all)
            if any("mark.failover" in mark for mark in marks):
                yield ScenarioTest(node.name, marks)


def _is_pytestmark(node: ast.Assign) -> bool:
    return any(isinstance(name, ast.Name) and name.id == "pytestmark" for name in node.targets)
