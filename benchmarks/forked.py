"""A pytest plugin that asks mutmut's mutants in forks of one process that has all tests ready, for mutants.py.

mutmut collects the tests anew for every mutant, which takes seconds; a fork that runs those that reach the mutated
function, the killers of its other mutants first, takes a hundredth of one. The mutants, how one is switched on and
where its fate is written down are mutmut's. Failing properties are not shrunk: that they fail is enough.

MUTANTS_ASKED: the modules, parted by spaces, none for all of them. Run in mutmut's folder, beside the mutated files.
"""

from __future__ import annotations

import collections
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase
from hypothesis import settings as hypothesis_settings
from mutmut.mutation import trampoline

SWITCH, STATS, NONE = "MUTANT_UNDER_TEST", "stats", ""
KILLED, SURVIVED, NO_TESTS, TIMED_OUT, BROKEN = 1, 0, 33, 24, 35
"""mutmut's own exit codes; BROKEN: a fork that came to another end (suspicious)."""
LEAST_CPU_S, TIMES_USUAL, WALL_TO_CPU = 20, 5, 12
"""A mutant hangs after so much CPU time, or so many times its tests' own; and by the wall clock where it sleeps."""
FIRST_KILLERS = 6

hypothesis_settings.register_profile("unshrunk", phases=[Phase.explicit, Phase.generate], database=None)
hypothesis_settings.load_profile("unshrunk")


class Asking:
    """The tests by the functions that they reach, and how long each takes (CPU seconds)."""

    def __init__(self, items: Sequence[pytest.Item]) -> None:
        self.items = items
        self.took: dict[str, float] = {}
        self.reaching: dict[str, list[pytest.Item]] = collections.defaultdict(list)

    def learn(self) -> None:
        """Run every test once as mutmut does for its statistics."""
        hits: set[str] = set()
        trampoline.record_trampoline_hit = lambda name, caller=None: hits.add(name)
        os.environ[SWITCH] = STATS
        for item, following in zip(self.items, [*self.items[1:], None], strict=True):
            hits.clear()
            began_s = time.process_time()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            self.took[item.nodeid] = time.process_time() - began_s
            for function in hits:
                self.reaching[function].append(item)
        os.environ[SWITCH] = NONE

    def ask(self, meta: Path, told: int) -> None:
        """Every mutant of a file that has no fate yet; told: a pipe's end on which a fork says which test failed."""
        kept: dict[str, Any] = json.loads(meta.read_text())
        fates: dict[str, int | None] = kept["exit_code_by_key"]
        killers: dict[str, list[str]] = collections.defaultdict(list)
        for mutant in [name for name, fate in fates.items() if fate is None]:
            function = mutant.rpartition("__mutmut_")[0]
            first = killers[function][-FIRST_KILLERS:]
            tests = sorted(self.reaching[function], key=lambda i: (-_place(first, i.nodeid), self.took[i.nodeid]))
            fates[mutant], killer = self.fate(mutant, tests, told) if tests else (NO_TESTS, "")
            if killer:
                killers[function] = [*(k for k in killers[function] if k != killer), killer]
            meta.write_text(json.dumps(kept, indent=4))

    def fate(self, mutant: str, tests: Sequence[pytest.Item], told: int) -> tuple[int, str]:
        """(exit code, the test that failed) of a fork in which the mutant is switched on."""
        limit_s = int(LEAST_CPU_S + TIMES_USUAL * sum(self.took[i.nodeid] for i in tests))
        child = os.fork()
        if not child:
            self._live_as(mutant, tests, limit_s)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said = os.read(told, 65536).decode() if code == KILLED else ""
        return (TIMED_OUT if code in (-signal.SIGXCPU, -signal.SIGALRM) else code), said

    def _live_as(self, mutant: str, tests: Sequence[pytest.Item], limit_s: int) -> None:
        try:
            os.environ[SWITCH] = mutant
            resource.setrlimit(resource.RLIMIT_CPU, (limit_s, limit_s + 5))
            signal.alarm(limit_s * WALL_TO_CPU)
            nowhere = os.open(os.devnull, os.O_RDWR)
            for number in range(3):
                os.dup2(nowhere, number)
            for item, following in zip(tests, [*tests[1:], None], strict=True):
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            os._exit(SURVIVED)
        finally:
            os._exit(BROKEN)


def _place(first: Sequence[str], test: str) -> int:
    return first.index(test) if test in first else -1


class Ears:
    """Ends a fork at its first failed test; notes one of the tests as they are."""

    def __init__(self, tell: int) -> None:
        self.tell, self.failed = tell, 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.failed:
            return
        self.failed += 1
        if os.environ[SWITCH] != STATS:
            os.write(self.tell, report.nodeid.encode()[:4096])
            os._exit(KILLED)


def _metas() -> Iterator[Path]:
    named = [Path(module.replace(".", "/") + ".py.meta") for module in os.environ["MUTANTS_ASKED"].split()]
    return iter(named or sorted(Path().rglob("*.py.meta")))


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool:
    """All mutants in place of one run of the tests. Nothing is asked when a test fails without any."""
    told, tell = os.pipe()
    ears = Ears(tell)
    session.config.pluginmanager.register(ears)
    asking = Asking(session.items)
    asking.learn()
    if ears.failed:
        sys.stderr.write(f"{ears.failed} tests fail without a mutant: nothing is asked\n")
        return True
    for meta in _metas():
        asking.ask(meta, told)
    session.testsfailed = 0
    return True
