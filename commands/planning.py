"""Starting dry sessions (`pytest --drill-dry-run`) and finding the scenarios to plan.

In a process of their own: a session has its own signals, fixtures and lab, and ends them itself, exactly as when a
person types it; it is told to end when we die. The plans come back in a file that has no name: whoever is killed, and
when, nothing of it stays.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from drill.child import REPOSITORY
from drill.errors import Invalid, UsageError
from drill.plan import Plan, plan_from

LIMIT_S = 900.0
"""Wall seconds for one dry session."""
COLLECT_LIMIT_S = 120.0
MARK = "failover"
SCENARIOS = "scenarios"


@dataclass(frozen=True)
class DrySession:
    """How a dry session ended. output: what pytest printed."""

    code: int
    plans: tuple[Plan, ...]
    output: str


@functools.cache
def scenario_ids(where: str = SCENARIOS) -> tuple[str, ...]:
    """The node ids of the scenarios in a folder or file. UsageError when pytest cannot collect them."""
    command = ["-m", MARK, "--collect-only", "-q", where]
    done = _pytest(command, COLLECT_LIMIT_S)
    found = tuple(line for line in done.stdout.splitlines() if "::" in line and " " not in line.partition("[")[0])
    if not found:
        raise UsageError(f"no scenario could be collected from {where}:\n{_tail(done)}")
    return found


def scenario_id(name: str) -> str:
    """The node id that a test's name, with or without test_, a scenario's name or a node id means. UsageError names
    the known ones."""
    where = name.partition("::")[0] if "::" in name else SCENARIOS
    known = scenario_ids(where) if (REPOSITORY / where).exists() else ()
    matches = [node for node in known if name in _names_of(node)]
    if len(matches) == 1:
        return matches[0]
    everything = known or scenario_ids()
    shown = ", ".join(sorted(_names_of(node)[1] for node in everything))
    what = "no scenario" if not matches else "several scenarios"
    raise UsageError(f"{name!r} is {what}; known: {shown} (or a node id, as {everything[0]})")


def plan_scenarios(nodes: Sequence[str], options: Sequence[str]) -> DrySession:
    """Walk through scenarios in a pytest session of its own. options: --target and the lab's, in pytest's words."""
    with os.fdopen(os.memfd_create("plans"), encoding="utf-8") as plans:
        to = f"/dev/fd/{plans.fileno()}"
        dry = ["-m", MARK, "--drill-dry-run", f"--drill-plan-to={to}", *options, *nodes]
        done = _pytest(dry, LIMIT_S, plans.fileno())
        records = json.loads(plans.read() or "[]")
    return DrySession(done.returncode, tuple(plan_from(record) for record in records), _tail(done))


def _names_of(node: str) -> tuple[str, str, str, str]:
    test = node.rpartition("::")[2]
    bare = test.removeprefix("test_")
    return node, test, bare, bare.replace("_", "-").lower()


def _pytest(arguments: Sequence[str], limit_s: float, *keeps: int) -> subprocess.CompletedProcess[str]:
    """keeps: file descriptors that it gets from us."""
    command = [sys.executable, "-m", "commands.leashed", str(os.getpid()), *arguments]
    with subprocess.Popen(
        command,
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        pass_fds=keeps,
    ) as process:
        try:
            output, _ = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            process.terminate()  # an orderly end: the session stops its lab
            raise Invalid(f"pytest did not end within {limit_s:g} s: {' '.join(arguments)}") from None
        except KeyboardInterrupt:
            process.terminate()
            raise Invalid("interrupted") from None
    return subprocess.CompletedProcess(command, process.returncode, output)


def _tail(done: subprocess.CompletedProcess[str]) -> str:
    return "\n".join(done.stdout.strip().splitlines()[-30:])
