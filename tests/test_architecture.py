"""The house keeps its rules: who imports whom, who reads a clock, who mutates AWS, and what is never committed."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeGuard

import pytest
from botocore import xform_name
from botocore.loaders import Loader

from drill.call import reads_only

ROOT = Path(__file__).resolve().parent.parent
OURS = ("drill", "faults", "checks", "loadgen", "reports", "lab", "scenarios", "commands")
ALLOWED = {
    "drill": {"drill"},
    "faults": {"faults", "drill"},
    "checks": {"checks", "drill"},
    "loadgen": {"loadgen", "drill"},
    "reports": {"reports", "drill"},
    "lab": {"lab"},
    "scenarios": {"scenarios", "drill", "faults", "checks"},
    "stack": set(),  # runs in AWS, by itself
}
CLOCK_READERS = {"drill/clock.py"}
WALL_CLOCK = re.compile(r"\btime\.(time|monotonic|perf_counter|sleep)(_ns)?\(|\bdatetime\.(now|utcnow|today)\(")
SERVICE = re.compile(r"\b(?:Call|client|Read|Need)\(\s*\"([a-z0-9-]+)\"")
SOCKETS = "create_connection"
"""Python's own word for opening a socket, and one of EventBridge's operations, which nothing here names."""


def sources(folder: str) -> Iterator[Path]:
    """The Python files of one of our folders."""
    return (path for path in sorted((ROOT / folder).rglob("*.py")))


def imported(path: Path) -> set[str]:
    """The top-level packages that a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("folder", sorted(ALLOWED))
def test_each_folder_imports_only_what_the_design_allows(folder: str) -> None:
    """drill imports nothing of ours, lab nothing but itself, and the witnesses never import the injectors."""
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(folder)
        for name in imported(path) & set(OURS) - ALLOWED[folder]
    }
    assert not wrong


def test_locust_is_imported_only_by_the_load_generator() -> None:
    """Locust patches the whole process, so it lives in its own."""
    wrong = [p for f in OURS if f != "loadgen" for p in sources(f) if imported(p) & {"locust", "gevent"}]
    assert not wrong


def called(node: ast.AST) -> TypeGuard[Any]:
    """Whether a node calls a method."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)


@cache
def mutating() -> frozenset[str]:
    """What boto3 calls the operations that may change something, of every service that our sources name."""
    texts = [path.read_text() for folder in ("drill", "faults", "checks", "commands") for path in sources(folder)]
    named = {name for text in texts for name in SERVICE.findall(text)}
    known = named & set(Loader().list_available_services("service-2"))
    models = (Loader().load_service_model(name, "service-2") for name in known)
    every = (operation for model in models for operation in model["operations"] if not reads_only(operation))
    return frozenset(xform_name(operation) for operation in every) - {SOCKETS}


@pytest.mark.parametrize("folder", ["drill", "faults", "checks", "reports", "loadgen", "scenarios", "commands"])
def test_only_one_module_reads_a_clock(folder: str) -> None:
    """All instants come from drill/clock.py, so that evidence has one clock and tests can move it."""
    wrong = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sources(folder)
        if str(path.relative_to(ROOT)) not in CLOCK_READERS
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if WALL_CLOCK.search(line)
    ]
    assert not wrong


@pytest.mark.parametrize("folder", ["drill", "faults", "checks", "reports", "loadgen", "scenarios", "commands"])
def test_nothing_but_the_executor_mutates_aws(folder: str) -> None:
    """No method is called that bears the name of an operation of boto3 which is no Describe, Get or List, of any
    service that we name: calls are data, made by drill/aws.py."""
    trees = {path: ast.parse(path.read_text()) for path in sources(folder)}
    calls = [(path, node.func.attr) for path, tree in trees.items() for node in ast.walk(tree) if called(node)]
    assert not [found for found in calls if found[1] in mutating()]
    assert {"update_service", "put_item", "start_execution", "stop_experiment"} <= mutating()


@pytest.mark.parametrize("folder", ["drill", "faults", "checks", "reports", "loadgen", "scenarios", "commands"])
def test_nobody_makes_a_temporary_folder_that_a_kill_would_leave(folder: str) -> None:
    """They come from commands/scratch.py; the lab's own lie in state folders, which a keeper removes."""
    assert not [path for path in sources(folder) if "tempfile" in imported(path)]


def test_the_drills_of_a_session_have_their_guards() -> None:
    """The one place where pytest makes a run hands it its safeguards: without them nothing would be refused."""
    tree = ast.parse((ROOT / "conftest.py").read_text())
    made = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "Run"]
    assert [[k.arg for k in call.keywords] for call in made] == [["safeguards", "instead_of"]]


def test_no_file_that_is_committed_records_where_packages_came_from() -> None:
    """The lock pins hashes, not addresses, and no tool's own lock file is committed."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert "uv.lock" not in listed
    assert not re.search(r"https?://|--index-url", (ROOT / "requirements.lock").read_text())


def test_what_must_run_alone_is_where_the_second_pass_looks() -> None:
    """`make test` collects its second pass below tests/e2e: what must be alone anywhere else would never run."""
    marked = {path for path in (ROOT / "tests").rglob("test_*.py") if re.search(r"\bmark\.alone\b", path.read_text())}
    marked.discard(Path(__file__))
    assert marked and {path.parent.name for path in marked} == {"e2e"}
    assert "pytest tests/e2e -m" in (ROOT / "Makefile").read_text()
