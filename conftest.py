"""Composition root for pytest: options -> target, lab, run folder, signals; verdicts -> exit code.

Plain `pytest` runs the harness's own tests and injects nothing. `pytest -m failover` runs drills.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from commands.running import Run, Scenario, require_nothing_outstanding, session_exit_code
from commands.world import RUNS, Options, open_world, resolve_target
from drill.child import REPOSITORY
from drill.drill import Drill
from drill.errors import DrillError, Refused, UsageError
from drill.interrupt import Interrupts
from drill.target import Target
from drill.timeline import load_history
from drill.verdict import Verdict
from reports.live import LiveLine, snapshot
from reports.page import extras, session_prefix
from reports.run import load_run
from reports.table import closing_table

MARK_WORDS = {"and", "or", "not", "True", "False", "None"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of a drill."""
    group = parser.getgroup("failover-drill", "drills (pytest -m failover)")
    group.addoption("--target", default="core-banking", help="name of a file in targets/, or a path to a TOML file")
    group.addoption(
        "--set",
        dest="drill_set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override an objective or a timing, e.g. objectives.rto_s=300 (recorded; never gate-eligible)",
    )
    group.addoption(
        "--lab-speed", type=float, default=None, help="lab seconds per wall second (default: the target's)"
    )
    group.addoption("--lab-port", type=int, default=None, help="first of the lab's fixed ports (default: free ports)")
    group.addoption(
        "--lab-set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the lab's world"
    )
    group.addoption("--lab-attach", type=Path, default=None, help="state file of a lab that `drill lab up` started")
    group.addoption("--runs", type=Path, default=RUNS, help="where run folders land (default: reports/runs)")
    group.addoption("--twin", action="store_true", help="let unmarked twins of scenarios drill (the lab only)")


class Session:
    """What the drills of one pytest session share."""

    def __init__(self, config: pytest.Config) -> None:
        option = config.option
        self.options = Options(
            target=option.target,
            settings=tuple(option.drill_set),
            lab_speed=option.lab_speed,
            lab_port=option.lab_port,
            lab_settings=tuple(option.lab_set),
            lab_attach=option.lab_attach,
            runs=option.runs.resolve(),
        )
        self.target = resolve_target(self.options)
        if option.twin and self.target.lab is None:
            raise UsageError(f"--twin is for a lab; target {self.target.name} is {self.target.kind}")
        self.runs: list[Run] = []
        self.refusals: list[str] = []
        self.interrupts = Interrupts()
        self.worlds = ExitStack()
        self.finished = False

    def finish(self) -> None:
        """Finish every run, then let the worlds go. Idempotent."""
        if self.finished:
            return
        self.finished = True
        for run in self.runs:
            run.finish()
        self.worlds.close()
        self.interrupts.uninstall()

    def exit_code(self) -> int:
        """The session's exit code from its drills."""
        verdicts = [r.judgement.verdict for r in self.runs if r.judgement is not None and r.refused is None]
        refused = bool(self.refusals) or any(r.refused for r in self.runs)
        return session_exit_code(verdicts, refused)


KEY = pytest.StashKey[Session]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Check every option before anything starts; a drill session gets its pytest-html page by itself."""
    config.addinivalue_line("markers", "system(name): the system that a scenario drills")
    _check_markers(config)
    if not _drilling(config):
        return
    try:
        session = Session(config)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from error
    config.stash[KEY] = session
    if config.args_source == pytest.Config.ArgsSource.TESTPATHS:
        config.args = [str(REPOSITORY / "scenarios")]  # the harness's own tests have no drill among them
    if not config.option.htmlpath:
        session.options.runs.mkdir(parents=True, exist_ok=True)
        config.option.htmlpath = str(session.options.runs / "session.html")
    config.option.self_contained_html = True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without -m failover no drill is ever selected, whatever else was asked for."""
    if _drilling(config):
        return
    drills = [item for item in items if item.get_closest_marker("failover")]
    if drills:
        config.hook.pytest_deselected(items=drills)
        items[:] = [item for item in items if item not in drills]


@pytest.fixture
def drill(request: pytest.FixtureRequest) -> Iterator[Drill]:
    """A drill against a fresh world: its own lab, run folder, witnesses."""
    session = request.config.stash.get(KEY, None)
    if session is None:
        pytest.skip("drills run only with -m failover")
    wanted = request.node.get_closest_marker("system")
    if wanted and wanted.args[0] != session.target.system:
        pytest.skip(f"not applicable: this scenario drills {wanted.args[0]}, the target is {session.target.system}")
    session.interrupts.install()
    try:
        world = session.worlds.enter_context(open_world(session.target, session.options))
        require_nothing_outstanding(session.options.runs, world)
    except (UsageError, Refused) as error:
        session.refusals.append(str(error))
        pytest.exit(str(error), returncode=12 if isinstance(error, Refused) else 4)
    run = Run(_scenario(request.node), world, session.options.runs, session.interrupts)
    session.runs.append(run)
    run.drill.on_tick = _live(request.config, run)
    yield run.drill
    run.finish()
    session.worlds.close()
    session.interrupts.uninstall()


@pytest.fixture
def target(drill: Drill) -> Target:
    """The target of this drill, with its connection."""
    return drill.target


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """A scenario passes only if its drill's verdict is PASS."""
    runs = _runs_of(item)
    try:
        yield
    except BaseException as error:
        for run in runs:
            run.blame(error)
            run.finish()
        if runs and isinstance(error, DrillError):
            pytest.fail(_sentence(runs), pytrace=False)
        raise
    for run in runs:
        run.finish()
    if any(run.judgement is None or run.judgement.verdict is not Verdict.PASS for run in runs):
        pytest.fail(_sentence(runs), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """The row of a drill on the pytest-html page carries its details and a link to its own report."""
    report = yield
    if call.when == "call":
        beside = Path(item.config.option.htmlpath).resolve().parent if item.config.option.htmlpath else None
        shown = [extra for run in _runs_of(item) if run.judgement for extra in extras(load_run(run.folder), beside)]
        report.extras = getattr(report, "extras", []) + shown
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """After all fixtures: sweep what is outstanding, judge, and set the exit code of the worst verdict."""
    shared = session.config.stash.get(KEY, None)
    if shared is None:
        return
    shared.finish()
    if shared.runs or shared.refusals:
        session.exitstatus = shared.exit_code()
    elif session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = Verdict.INVALID.exit_code  # every scenario skipped: nothing was proven


def pytest_html_results_summary(prefix: list[str], session: pytest.Session) -> None:
    """The verdict, the table and the picture of every drill at the top of the pytest-html page."""
    shared = session.config.stash.get(KEY, None)
    if shared is not None:
        prefix.extend(session_prefix([load_run(run.folder) for run in shared.runs if run.judgement]))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """The closing table of every drill."""
    shared = config.stash.get(KEY, None)
    for run in shared.runs if shared else ():
        if run.judgement is not None:
            terminalreporter.write_line(closing_table(load_history(run.folder), run.judgement, run.folder))


def _drilling(config: pytest.Config) -> bool:
    expression = config.option.markexpr or ""
    selected = re.search(r"\bfailover\b", re.sub(r"\bnot\s+failover\b", "", expression))
    return bool(selected) or bool(config.option.twin)


def _check_markers(config: pytest.Config) -> None:
    known = {line.split(":")[0].split("(")[0].strip() for line in config.getini("markers")}
    unknown = set(re.findall(r"[A-Za-z_]\w*", config.option.markexpr or "")) - known - MARK_WORDS
    if unknown:
        raise pytest.UsageError(
            f"-m {config.option.markexpr!r}: unknown marker {', '.join(sorted(unknown))}; "
            f"known: {', '.join(sorted(known))}"
        )


def _runs_of(item: pytest.Item) -> list[Run]:
    session = item.config.stash.get(KEY, None)
    drill = getattr(item, "funcargs", {}).get("drill")
    return [run for run in session.runs if run.drill is drill] if session and drill is not None else []


def _sentence(runs: list[Run]) -> str:
    """Why it did not pass, in one line per run."""
    lines = []
    for run in runs:
        judged = run.finish()
        if run.refused:
            lines.append(f"REFUSED: {run.refused}")
            continue
        worst = next(f for f in judged.findings if f.verdict is judged.verdict)
        lines.append(f"{judged.verdict.value}: {worst.name}: {worst.reason}")
    return "\n".join(lines)


def _scenario(node: pytest.Item) -> Scenario:
    marker = node.get_closest_marker("failover")
    windows = marker.kwargs.get("windows", ("failover",)) if marker else ("failover",)
    name = re.sub(r"[^a-z0-9]+", "-", node.name.removeprefix("test_").lower()).strip("-")
    words = " ".join((getattr(node, "function", None).__doc__ or "").split())
    return Scenario(name, words, tuple(windows))


def _live(config: pytest.Config, run: Run) -> Any:
    capture = config.pluginmanager.getplugin("capturemanager")
    line = LiveLine(sys.__stdout__, isatty=sys.__stdout__.isatty(), quiet=bool(os.environ.get("CI")))

    def tick() -> None:
        with capture.global_and_fixture_disabled():
            line.update(snapshot(run.timeline, run.world.target))

    return tick
