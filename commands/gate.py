"""`drill gate --policy gate.toml`: whether a release has the drills behind it that its policy requires."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from commands.history import HISTORY, add_db_option
from commands.importing import import_runs, run_folders
from commands.publish import STEP_SUMMARY
from commands.say import say
from commands.scenario_names import known, scenario_names
from commands.world import Options, release_of, resolve_target
from drill.clock import SystemClock
from drill.errors import Invalid, UsageError
from reports.gate import Expected, GateResult, gate
from reports.gate_policy import GatePolicy, load_policy
from reports.gate_text import gate_json, gate_markdown, gate_text
from reports.history import Entry, HistoryFile, history_in_memory, open_history


def register(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser("gate", help="whether a release has the drills behind it that a policy requires")
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN", help="run folders to import first")
    parser.add_argument("--policy", type=Path, required=True, help="the policy: a TOML file")
    parser.add_argument("--release", help="build or commit id (default: the policy's, or DRILL_RELEASE)")
    parser.add_argument("--scenarios", type=Path, action="append", help="folders of scenarios (default: scenarios)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", dest="form", action="store_const", const=gate_json, help="the answer as JSON")
    form.add_argument("--markdown", dest="form", action="store_const", const=gate_markdown, help="as Markdown")
    add_db_option(parser, HISTORY)
    parser.set_defaults(run=run, form=gate_text)


def run(args: argparse.Namespace) -> int:
    """0 when the gate passes; 1 when it does not, also for want of a history. UsageError (4) for a bad policy."""
    policy = load_policy(args.policy)
    release = release_of(args.release or policy.release or None, os.environ.get("DRILL_RELEASE"))
    if not release:
        raise UsageError("no release: give --release ID, or `release` in the policy, or DRILL_RELEASE")
    _check_scenarios(policy, scenario_names(args.scenarios))
    policy, expected = _resolved(policy)
    entries, why = _entries(args)
    now = SystemClock().wall()
    judged = gate(policy, release, expected, entries, now)
    result = judged if not why else GateResult(release, now, judged.rows, (why, *judged.blocks), judged.cleared)
    say(args.form(result).rstrip("\n"))
    _tell_job(result)
    return result.exit_code


def _entries(args: argparse.Namespace) -> tuple[tuple[Entry, ...], str]:
    """The history's entries, and why it could not be read ("" when it could)."""
    try:
        with _history(args) as file:
            list(import_runs(file, run_folders(args.runs)))
            return file.entries(), ""
    except Invalid as error:
        return (), " ".join(str(error).split())


@contextmanager
def _history(args: argparse.Namespace) -> Iterator[HistoryFile]:
    """The file; run folders alone, without a file there, are judged in memory."""
    if args.runs and not args.db.exists():
        with history_in_memory() as file:
            yield file
    else:
        with open_history(args.db) as file:
            yield file


def _check_scenarios(policy: GatePolicy, names: dict[str, bool]) -> None:
    unknown = sorted({r.scenario for r in policy.drill if not known(r.scenario, names)})
    if unknown:
        raise UsageError(
            f"the policy requires unknown drills: {', '.join(unknown)}; known: {', '.join(sorted(names))}"
        )


def _resolved(policy: GatePolicy) -> tuple[GatePolicy, dict[str, Expected]]:
    """The policy with its targets by the names that run folders carry, and what each is now.

    UsageError for a target that there is none of, or one that is required by two names.
    """
    targets = {name: resolve_target(Options(target=name)) for name in sorted({r.target for r in policy.drill})}
    named = [r.model_dump() | {"target": targets[r.target].name} for r in policy.drill]
    try:
        whole = GatePolicy.model_validate(policy.model_dump() | {"drill": named})
    except ValidationError as error:
        raise UsageError(f"the policy: {error.errors()[0]['msg']}") from None
    return whole, {t.name: Expected(t.kind, t.account, t.digest) for t in targets.values()}


def _tell_job(result: GateResult) -> None:
    path = os.environ.get(STEP_SUMMARY)
    if not path:
        return
    try:
        with Path(path).open("a") as file:
            file.write(gate_markdown(result) + "\n")
    except OSError as error:
        say(f"no job summary in {path}: {error}")
