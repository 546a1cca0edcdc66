"""The names of the scenarios, as run folders carry them, read from the files without running anything."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
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
    found = {name: many for path in files for name, many in _names(path)}
    if not found:
        raise UsageError(f"no scenario in {', '.join(map(str, roots))}; give the folder with --scenarios")
    return found


def known(name: str, names: dict[str, bool]) -> bool:
    """Whether it is a scenario's name; that of one with parameters goes on with them."""
    return name in names or any(many and name.startswith(f"{base}-") for base, many in names.items())


def _names(path: Path) -> Iterable[tuple[str, bool]]:
    try:
        tree = ast.parse(path.read_text())
    except (OSError, ValueError, SyntaxError) as error:
        raise UsageError(f"{path}: no scenarios can be read from it ({error})") from error
    of_all = [ast.unparse(node.value) for node in tree.body if isinstance(node, ast.Assign) and _is_pytestmark(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            marks = [*of_all, *(ast.unparse(mark) for mark in node.decorator_list)]
            if any("mark.failover" in mark for mark in marks):
                yield scenario_name(node.name), any("parametrize" in mark for mark in marks)


def _is_pytestmark(node: ast.Assign) -> bool:
    return any(isinstance(name, ast.Name) and name.id == "pytestmark" for name in node.targets)
