"""`drill verify RUN`: judge a run folder (or a bundle of one) again from its evidence alone and compare."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from checks.seal import broken_seals
from commands.bundle import verify_bundle
from commands.folders import add_run_argument, as_evidence, judged_of, run_folder
from commands.importing import verdicts_in
from commands.publish import edited
from commands.say import say
from drill.errors import UsageError
from drill.harness import made_by_another
from drill.manifest import differing_files, restored_since
from drill.timeline import History
from drill.verdict import Judgement, Verdict
from reports.page import REPORT_FILE, page
from reports.run import load_run
from reports.stamp import by_this_version
from reports.summary import VERDICT_FILE, differing_missing, read_judgement, summary_text
from reports.table import closing_table


def register(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser("verify", help="recompute a run's numbers and verdict from its evidence, offline")
    add_run_argument(parser)
    parser.add_argument(
        "--key", type=Path, metavar="PUB", help="for a bundle: PEM file of the key it must be signed by"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 when evidence and stored verdict agree, whatever the verdict says; 11 when they do not."""
    if args.run_folder.is_file():
        return verify_bundle(args.run_folder, args.key)
    if args.key:
        raise UsageError(f"--key: {args.run_folder} is no bundle, so nothing is signed; leave --key out")
    folder = run_folder(args.run_folder)
    changed = differing_files(folder)
    for sentence in changed:
        say(f"{folder}: {sentence}")
    history, judgement = judged_of(folder)
    with as_evidence(folder):
        return _compared(folder, history, judgement, changed)


def _compared(folder: Path, history: History, judgement: Judgement, changed: Sequence[str]) -> int:
    """changed: what of the evidence files is not as it was."""
    say(closing_table(history, judgement, folder))
    stored = read_judgement(folder)
    if stored is None:
        say(f"{folder}: no verdict.json to compare with; the drill ended before it was judged: drill report RUN")
        return Verdict.INVALID.exit_code
    wrong: tuple[str, ...] = (VERDICT_FILE,) if stored != summary_text(judgement) else ()
    wrong = wrong or (*edited(folder, history, judgement), *differing_missing(folder, judgement))
    if wrong:
        say(_differing(folder, history, judgement, wrong, stored))
        return Verdict.INVALID.exit_code
    if changed:
        say(f"{folder}: verdict.json agrees with the evidence, which is not what it was: {'; '.join(changed)}")
        return Verdict.INVALID.exit_code
    say(f"{folder}: verdict.json agrees with the evidence, byte for byte")
    return _page_told(folder)


def _page_told(folder: Path) -> int:
    """What report.html is, if there is one: what this version renders, another's, older than a restore, or edited.

    Only the last is no agreement.
    """
    path = folder / REPORT_FILE
    if not path.exists():
        return 0
    found, anew = path.read_bytes(), f"to render it anew, type: drill report {folder}"
    if found == page(load_run(folder)).encode():
        say(f"{path}: what this version renders of the folder, byte for byte")
    elif not by_this_version(found.decode(errors="replace")):
        say(f"{path}: NOT COMPARED: another version has rendered it; {anew}")
    elif restored_since(folder):
        say(f"{path}: NOT COMPARED: the journal was written on when the drill had ended; {anew}")
    else:
        say(f"{path}: not what this version renders of the folder, and says that it is: edited; {anew}")
        return Verdict.INVALID.exit_code
    return 0


def _differing(folder: Path, history: History, judgement: Judgement, wrong: Sequence[str], stored: str) -> str:
    """What to make of files that are not what this version makes of the evidence.

    Another version words and measures otherwise: that is no sign of tampering, and the verdicts tell whether it
    matters. With evidence that is not as it was sealed, who made it says nothing.
    """
    names, broken = ", ".join(wrong), next(broken_seals(history), "")
    if broken:
        return f"{folder}: {names} differ from what the evidence says, which is not what it was: {broken}"
    other = made_by_another(history.header)
    if not other:
        return f"{folder}: {names} differ from what the evidence says: edited"
    what = (
        f"Its verdicts are not those of this version ({judgement.verdict.value}): believe neither until you know why"
    )
    if verdicts_in(stored) == verdicts_in(summary_text(judgement)):
        what = "Every verdict is the same; words or figures differ, by the version or by an edit"
    return f"{folder}: {names} differ from what this version makes of the evidence: it was {other}. {what}"
