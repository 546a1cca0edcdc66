"""Composition root for pytest: options -> target, lab, run folder, signals; verdicts -> exit code.

Plain `pytest` runs the harness's own tests and injects nothing. `pytest -m failover` runs drills.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from commands.again import protocol, status, told
from commands.asked import NoSkips, check_markers, check_no_drill_options, check_nothing_repeats, drilling
from commands.drill_session import NO_DRILL, Session
from commands.outstanding import require_nothing_outstanding
from commands.run_folder import Scenario
from commands.safeguards import Safeguards, hide_environment, require_named, show_in_plan
from commands.safety import armed_world
from commands.scenario_names import scenario_name
from commands.walking import hide_secrets, walk
from commands.world import RUNS, World
from drill.child import REPOSITORY
from drill.drill import Drill
from drill.errors import DrillError, Refused, UsageError
from drill.target import Target
from drill.verdict import REFUSED_EXIT_CODE, USAGE_EXIT_CODE, Verdict

# What runs, judges and reports a drill is imported where one runs (commands.running, commands.showing): a session
# that plans, that collects, or whose options are wrong needs none of it, and starts a fifth sooner.
if TYPE_CHECKING:
    from commands.running import Run


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of a drill."""
    group = parser.getgroup("failover-drill", "drills (pytest -m failover)")
    group.addoption(
        "--target",
        action="append",
        default=[],
        metavar="NAME",
        help="a file of targets/ by its name, or a path to a TOML file (default: every system that has a lab)",
    )
    group.addoption(
        "--production", default=None, metavar="NAME", help="the target's name once more: it is production, and meant"
    )
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
    group.addoption(
        "--release",
        default=None,
        metavar="ID",
        help="the build or commit that is drilled, for the gate (default: the environment's DRILL_RELEASE)",
    )
    group.addoption("--runs", type=Path, default=RUNS, help="where run folders land (default: reports/runs)")
    group.addoption(
        "--drill-dry-run", action="store_true", help="show what the drills would do; nothing is touched or kept"
    )
    group.addoption("--drill-plan-to", type=Path, default=None, help="with --drill-dry-run: the plans as JSON, here")
    group.addoption("--twin", action="store_true", help="let unmarked twins of scenarios drill (the lab only)")


KEY = pytest.StashKey[Session]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Check every option before anything starts; a drill session gets its pytest-html page by itself."""
    gc.freeze()  # what was imported stays: to look through it at each collection is a tenth of a short session
    hide_environment()
    config.addinivalue_line("markers", "system(name): the system that a scenario drills")
    config.addinivalue_line("markers", "windows(name, ...): the windows that a twin promises (else: failover)")
    config.addinivalue_line("markers", "needs(key, why): a resource without which a scenario is not applicable")
    check_markers(config)
    if config.option.drill_dry_run and not drilling(config):
        config.option.markexpr = "failover"  # a dry run is of drills, whether or not -m says so
    if not drilling(config):
        check_no_drill_options(config)
        if os.environ.get("DRILL_CI_NO_SKIPS") == "1":
            config.pluginmanager.register(NoSkips(), "drill-no-skips")
        return
    check_nothing_repeats(config)
    # At the end of a session its plugin loads all of Hypothesis, of which no drill has use: a quarter of a start.
    config.pluginmanager.unregister(name="hypothesispytest")
    try:
        session = Session(config)
        if session.plans is None:
            session.options.runs.mkdir(parents=True, exist_ok=True)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from error
    except OSError as error:
        raise pytest.UsageError(f"--runs {config.option.runs}: run folders cannot be kept there ({error})") from error
    config.stash[KEY] = session
    if config.args_source == pytest.Config.ArgsSource.TESTPATHS:
        config.args = [str(REPOSITORY / "scenarios")]  # the harness's own tests have no drill among them
    if session.plans is not None:
        config.pluginmanager.register(session.plans, "drill-plans")
        return
    if not getattr(config.option, "htmlpath", None):
        config.option.htmlpath = str(session.options.runs / "session.html")
    config.option.self_contained_html = True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without -m failover no drill is ever selected, whatever else was asked for."""
    if drilling(config):
        return
    drills = [item for item in items if item.get_closest_marker("failover")]
    if drills:
        config.hook.pytest_deselected(items=drills)
        items[:] = [item for item in items if item not in drills]


def pytest_collection_finish() -> None:
    """What collecting has imported stays too."""
    gc.freeze()


@pytest.fixture
def drill(request: pytest.FixtureRequest) -> Iterator[Drill]:
    """A drill against a fresh world: its own lab, run folder, witnesses."""
    session = request.config.stash.get(KEY, None)
    if session is None:
        pytest.skip("drills run only with -m failover")
    target = session.applies(request.node)
    if isinstance(target, str):
        session.not_applicable.append(f"{_scenario(request.node).name}: {target}")
        pytest.skip(f"not applicable: {target}")
    session.interrupts.install()
    try:
        if session.plans is None:
            require_named(target, session.options)
        world = session.world(target)
        require_nothing_outstanding(session.options.runs, world)
        run = None if session.plans else _begin(request.node, session, world)
    except (UsageError, Refused) as error:
        session.refusals.append(REFUSED_EXIT_CODE if isinstance(error, Refused) else USAGE_EXIT_CODE)
        pytest.exit(str(error), returncode=session.refusals[-1])
    except OSError as error:
        session.problems.append(f"the drill could not begin, and nothing was broken: {error}; is the disk full?")
        pytest.exit(session.problems[-1], returncode=Verdict.INVALID.exit_code)
    if session.plans is not None:
        planned = session.plans.begin(_scenario(request.node), world)
        with planned.ending():
            show_in_plan(planned.drill, session.options)
        yield cast(Drill, planned.drill)
        session.interrupts.uninstall()
        return
    assert run is not None
    from commands.showing import live_line

    line = live_line(request.config, run)
    run.after_measuring = lambda: session.begin_next(request.node)
    yield run.drill
    line.close()
    run.finish()
    session.close_worlds()
    session.interrupts.uninstall()


@pytest.fixture
def target(drill: Drill) -> Target:
    """The target of this drill, with its connection."""
    return drill.target


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """A drill whose lab was too fast for this machine is drilled again in a slower one."""
    session = item.config.stash.get(KEY, None)
    if session is None or session.plans is not None:
        return None
    protocol(item, nextitem, session)
    return True


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """How a drill is called that was repeated."""
    return status(report)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """A scenario passes only if its drill's verdict is PASS."""
    runs = _runs_of(item)
    try:
        for run in runs:
            run.rehearse(partial(walk, item))
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
    """The row of a drill on the pytest-html page carries its details, its JUnit test case what was measured."""
    drilled = _runs_of(item) if call.when == "call" else []
    if drilled:
        from commands.showing import junit_properties, row_extras

        item.user_properties += junit_properties(drilled)
    report = yield
    hide_secrets(report)
    if drilled:
        shown = row_extras(drilled, getattr(item.config.option, "htmlpath", None))
        report.extras = getattr(report, "extras", []) + shown
    return report


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """After all fixtures: sweep what is outstanding, judge, and set the exit code of the worst verdict.

    Also when pytest-html could not write its page (a full disk, a folder that cannot be read): it would keep
    everything after it from being done.
    """
    shared = session.config.stash.get(KEY, None)
    try:
        yield
    except Exception as error:
        if shared is None:
            raise
        shared.problems.append(f"the session's page could not be written: {type(error).__name__}: {error}")
    if shared is None:
        return
    shared.finish()
    session.exitstatus = shared.exit_code(int(session.exitstatus))
    if shared.counted:
        from commands.showing import summarised

        shared.untold = summarised(shared.counted)


@pytest.hookimpl(optionalhook=True)
def pytest_html_report_title(report: Any) -> None:
    """What the page of a session is: the name of its file says nothing to whoever gets it by mail."""
    report.title = "failover-drill: one session"


@pytest.hookimpl(optionalhook=True)
def pytest_html_results_summary(prefix: list[str], session: pytest.Session) -> None:
    """The verdict, the table and the picture of every drill at the top of the pytest-html page."""
    shared = session.config.stash.get(KEY, None)
    if shared is not None:
        from commands.showing import page_prefix

        prefix.extend(page_prefix(shared.counted, shared.words))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """The closing table of every drill; a session without one says that it has proven nothing."""
    shared = config.stash.get(KEY, None)
    if shared is None:
        return
    if shared.runs:
        from commands.showing import closing

        for run in shared.counted:
            terminalreporter.write_line(closing(run))
    if not shared.runs and not shared.refusals and not (shared.plans and shared.plans.made):
        terminalreporter.write_line(NO_DRILL)
    for run in shared.repeated:
        terminalreporter.write_line(told(run))
    for left_out in shared.not_applicable:
        terminalreporter.write_line(f"not applicable: {left_out}")
    for problem in shared.problems:
        terminalreporter.write_line(f"INVALID: {problem}")
    if shared.untold:
        terminalreporter.write_line(shared.untold)


def _begin(node: pytest.Item, session: Session, world: World) -> Run:
    """A run that its guards have let in. Refused, and nothing begun, otherwise."""
    from commands.running import Run

    scenario, runs = _scenario(node), session.options.runs
    safeguards = Safeguards.of(world)
    safeguards.ask()
    dead_man = armed_world(world)
    with safeguards.kept():
        release = session.options.release
        run = Run(
            scenario,
            world,
            runs,
            session.interrupts,
            release,
            dead_man,
            safeguards=safeguards,
            instead_of=session.instead_of,
        )
        session.runs.append(run)
    return run


def _runs_of(item: pytest.Item) -> list[Run]:
    session = item.config.stash.get(KEY, None)
    drill = getattr(item, "funcargs", {}).get("drill")
    return [run for run in session.runs if run.drill is drill] if session and drill is not None else []


def _sentence(runs: list[Run]) -> str:
    """Why it did not pass, in one line per run."""
    lines = []
    for run in runs:
        judged = run.finish()
        if run.refused and judged.verdict.rank < Verdict.FAIL.rank:
            lines.append(f"REFUSED: {run.refused}")
            continue
        worst = next(f for f in judged.findings if f.verdict is judged.verdict)
        lines.append(f"{judged.verdict.value}: {worst.name}: {worst.reason}")
    return "\n".join(lines)


def _scenario(node: pytest.Item) -> Scenario:
    marker, promised = node.get_closest_marker("failover"), node.get_closest_marker("windows")
    windows = promised.args if promised else marker.kwargs.get("windows", ("failover",)) if marker else ("failover",)
    words = " ".join((getattr(node, "function", None).__doc__ or "").split())
    return Scenario(scenario_name(node.name), words, tuple(windows))
