"""What a pytest session was asked for: drills or tests, of which target; and what does not go together."""

from __future__ import annotations

import ast
import re
from typing import Any

import pytest

from drill.errors import UsageError

MARK_WORDS = {"and", "or", "not", "True", "False", "None"}


class NoSkips:
    """Where everything that a test needs is installed (CI), a test that did not run is a failure."""

    def __init__(self) -> None:
        self.skipped: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a skipped test; one that is expected to fail was run."""
        if report.skipped and not hasattr(report, "wasxfail"):
            self.skipped.append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a file that was skipped whole."""
        if report.skipped:
            self.skipped.append(report.nodeid)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A session that would have been good is not."""
        if self.skipped and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Name what did not run."""
        for name in self.skipped:
            terminalreporter.write_line(f"DRILL_CI_NO_SKIPS: did not run: {name}")


def drilling(config: pytest.Config) -> bool:
    """Whether this session is to drill."""
    return bool(config.option.twin) or wants_drills(config.option.markexpr or "")


def wants_drills(expression: str) -> bool:
    """Whether a -m expression asks for `failover`, however it is put; "not (failover or slow)" does not."""
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except (SyntaxError, ValueError):  # pytest says what is wrong with it
        return False
    return _asks(tree.body, True)


def _asks(node: ast.expr, positive: bool) -> bool:
    if isinstance(node, ast.UnaryOp):
        return _asks(node.operand, not positive)
    if isinstance(node, ast.BoolOp):
        return any(_asks(value, positive) for value in node.values)
    name = node.func if isinstance(node, ast.Call) else node
    return positive and isinstance(name, ast.Name) and name.id == "failover"


def check_no_drill_options(config: pytest.Config) -> None:
    """A drill's options in a session that does not drill: somebody has forgotten -m failover."""
    given = {
        "--target": bool(config.option.target),
        "--production": config.option.production is not None,
        "--set": config.option.drill_set,
        "--lab-speed": config.option.lab_speed is not None,
        "--lab-port": config.option.lab_port is not None,
        "--lab-set": config.option.lab_set,
        "--lab-attach": config.option.lab_attach is not None,
        "--release": config.option.release is not None,
    }
    named = [name for name, value in given.items() if value]
    if named:
        raise pytest.UsageError(f"{', '.join(named)}: for drills, and this session runs none; add -m failover")


def check_nothing_repeats(config: pytest.Config) -> None:
    """What would run a drill twice, two at once, or cut one off in the middle."""
    for option, words in {"numprocesses": "-n", "reruns": "--reruns", "timeout": "--timeout"}.items():
        if getattr(config.option, option, None):
            raise pytest.UsageError(f"{words}: a drill runs once, alone and to its end; leave it out")


def check_markers(config: pytest.Config) -> None:
    """pytest.UsageError for a -m that names a marker which nobody knows."""
    known = {line.split(":")[0].split("(")[0].strip() for line in config.getini("markers")}
    unknown = set(re.findall(r"[A-Za-z_]\w*", config.option.markexpr or "")) - known - MARK_WORDS
    if unknown:
        raise pytest.UsageError(
            f"-m {config.option.markexpr!r}: unknown marker {', '.join(sorted(unknown))}; "
            f"known: {', '.join(sorted(known))}"
        )


def one_target(named: list[str]) -> str | None:
    """One session drills one target, or, when nobody named one, every system that has a lab."""
    if len(set(named)) > 1:
        raise UsageError(f"--target {', '.join(named)}: one session drills one target; run them one after the other")
    return named[0] if named else None
