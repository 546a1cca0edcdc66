"""`drill bundle RUN`: pack a run as evidence, signed if there is a key; `verify_bundle` checks one."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any

from checks.seal import seal_digest
from commands.folders import UNREADABLE, add_run_argument, as_evidence, judged_of, run_folder
from commands.importing import verdicts_in
from commands.keys import load_public_key, load_signer
from commands.rendering import render_again
from commands.say import say
from commands.scratch import scratch
from drill.errors import Invalid, UsageError
from drill.evidence import Evidence, load_evidence
from reports.bundle import (
    STATEMENT,
    envelope_of,
    files_of,
    open_bundle,
    require_signed,
    sha256_of,
    statement_of,
    write_bundle,
)
from reports.evidence import evidence_items, evidence_json, evidence_markdown, missing
from reports.page import REPORT_FILE
from reports.record import DrillRecord, record_of
from reports.run import Run, load_run
from reports.summary import VERDICT_FILE, summary_text

SUFFIX = ".bundle.tar.gz"


def register(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser("bundle", help="pack a run as evidence for an auditor, signed with a local key")
    add_run_argument(parser)
    parser.add_argument("--sign", type=Path, metavar="KEY", help="PEM file of a private key")
    parser.add_argument("--evidence", type=Path, metavar="FILE", help="TOML: what only people can say of this drill")
    parser.add_argument("--complete", action="store_true", help="refuse while something is missing")
    parser.add_argument("-o", "--output", type=Path, help=f"default: the run folder's name and {SUFFIX}, beside it")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 when the bundle is written, whatever the drill's verdict; 11 when something is missing with --complete."""
    folder = run_folder(args.run_folder)
    signer = load_signer(args.sign) if args.sign else None
    supplied = load_evidence(args.evidence) if args.evidence else Evidence()
    output = args.output or folder.with_name(folder.name + SUFFIX)
    _require_outside(output, folder)
    told, record = _judged(folder)
    with as_evidence(folder):
        items = evidence_items(told, record, supplied.over(told.evidence))
    lacking = ", ".join(missing(items))
    if lacking and args.complete:
        raise Invalid(f"{folder}: no bundle was written: missing {lacking}; docs/evidence.md says what each is")
    texts = {"evidence/evidence.json": evidence_json(items), "evidence/evidence.md": evidence_markdown(record, items)}
    if args.evidence:
        texts["evidence/supplied.toml"] = args.evidence.read_text()
    files = files_of(folder)
    texts[STATEMENT] = envelope_of(statement_of(record, _digests(texts, files)), signer)
    write_bundle(output, texts, files)
    say(f"{output}: {record.judgement.verdict}, {len(texts) + len(files)} files, {_signed(signer)}")
    say(f"missing: {lacking or 'nothing'}")
    return 0


def _digests(texts: dict[str, str], files: dict[str, Path]) -> dict[str, str]:
    hashed = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
    return hashed | {name: sha256_of(path) for name, path in files.items()}


def verify_bundle(path: Path, key_file: Path | None) -> int:
    """0 when the bundle is whole, its verdict is what its evidence says, and it is signed by the key if there is one.

    Invalid (11) otherwise; UsageError (4) for a key that is none.
    """
    key = load_public_key(key_file) if key_file else None
    with scratch("drill-bundle-") as made:
        place = made.folder / "bundle"
        place.mkdir()
        opened = open_bundle(path, place)
        if key is not None:
            require_signed(opened, key)
        _, record = _rejudged(place / "run")
        claimed = _claims(record, {"result": opened.result, **opened.tests})
        said = _claims(record, statement_of(record, {})["predicate"])
        if claimed != said:
            raise Invalid(f"{path}: the statement claims {claimed[0]}, the evidence says {said[0]}")
        signed = f"signed by {key.keyid}" if key else _unchecked(opened.signed_by)
        say(f"{path}: {record.judgement.verdict}: whole, and its verdict is what its evidence says; {signed}")
    return 0


def _judged(folder: Path) -> tuple[Run, DrillRecord]:
    """The run with all that is rendered from it; what a killed drill could not render is rendered now."""
    if not ((folder / VERDICT_FILE).exists() and (folder / REPORT_FILE).exists()):
        render_again(folder)
    return _rejudged(folder)


def _rejudged(folder: Path) -> tuple[Run, DrillRecord]:
    """Invalid unless the verdicts in verdict.json are those of the evidence."""
    try:
        history, judged = judged_of(folder)
        told = load_run(folder)
        record = record_of(history, judged, seal_digest(history))
        stored = (folder / VERDICT_FILE).read_text()
    except (UsageError, *UNREADABLE) as error:
        raise Invalid(f"the run in it cannot be read: {' '.join(str(error).split())}") from error
    if verdicts_in(stored) != verdicts_in(summary_text(judged)):
        raise Invalid(f"{VERDICT_FILE} differs from what the evidence says ({judged.verdict.value}): believe neither")
    return told, record


def _claims(record: DrillRecord, predicate: dict[str, Any]) -> tuple[str, list[str], list[str]]:
    """The result, and the objectives met and missed: what must not differ, whatever version of ours judges."""
    objectives = {f.name for f in record.measured}
    lists = (predicate[key] for key in ("passedTests", "failedTests"))
    passed, failed = (sorted(objectives.intersection(map(str, names))) for names in lists)
    return f"{predicate['result']} with {len(passed)} of {len(objectives)} objectives met", passed, failed


def _require_outside(output: Path, folder: Path) -> None:
    if output.resolve().is_relative_to(folder):
        raise UsageError(f"-o {output}: inside the run folder, which would be changed by it; choose another place")
    if not output.resolve().parent.is_dir():
        raise UsageError(f"-o {output}: no folder {output.parent}; make it first")


def _signed(signer: Any) -> str:
    return f"signed by key {signer.public_key.keyid}" if signer else "not signed (give --sign KEY)"


def _unchecked(signed_by: tuple[str, ...]) -> str:
    if not signed_by:
        return "NOT SIGNED: by whom it was made, nobody knows"
    return f"its signature by {', '.join(signed_by)} was NOT CHECKED: give --key PUBLIC_KEY"
