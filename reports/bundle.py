"""The evidence bundle: one archive of a run folder, its report and field list, and a statement over every file.

    statement.dsse.json    in-toto Statement v1 (test-result/v0.1) in a DSSE envelope; without signatures if unsigned
    evidence/              the field list of a DR test report (reports/evidence.py), and what a person supplied
    run/                   the run folder

The same folder gives the same bytes with the same zlib; the digests of the statement do not depend on it.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey

from drill.errors import Invalid
from drill.whole_file import whole_file
from reports.record import DrillRecord

STATEMENT = "statement.dsse.json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://in-toto.io/attestation/test-result/v0.1"
MOST_FILES = 10_000
MOST_BYTES = 8 << 30
COMMIT = re.compile(r"[0-9a-f]{40}")
CHUNK = 1 << 20


@dataclass(frozen=True)
class Opened:
    """A bundle that was unpacked, whole. result, tests: what its statement claims (test-result's own names).

    envelope: its signatures are there and not checked yet.
    """

    folder: Path
    result: str
    tests: dict[str, list[Any]]
    envelope: Envelope

    @property
    def signed_by(self) -> tuple[str, ...]:
        """The key ids of its signatures, none of them checked."""
        return tuple(self.envelope.signatures)


def files_of(folder: Path) -> dict[str, Path]:
    """The files of a run folder as they are named in the bundle. Invalid for a link or a special file."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise Invalid(f"{path}: neither file nor folder; a bundle holds only files, so take it out")
        if path.is_file():
            found[f"run/{path.relative_to(folder).as_posix()}"] = path
    return found


def statement_of(record: DrillRecord, digests: Mapping[str, str]) -> dict[str, Any]:
    """The in-toto Statement. digests: name in the bundle -> sha256.

    Only PASS is PASSED: an INCONCLUSIVE drill has not shown what it set out to show, and is FAILED.
    """
    run, target, findings = record.run, record.target, record.judgement.findings
    commit = [{"name": "release", "digest": {"gitCommit": run.release}}] if COMMIT.fullmatch(run.release) else []
    told = {"run": run.id, "scenario": run.scenario, "release": run.release, "verdict": record.judgement.verdict}
    return {
        "_type": STATEMENT_TYPE,
        "subject": [*commit, *({"name": n, "digest": {"sha256": d}} for n, d in sorted(digests.items()))],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "result": "PASSED" if record.judgement.verdict == "PASS" else "FAILED",
            "configuration": [
                {"name": f"target {target.name}", "digest": {"sha256": target.digest}, "annotations": told},
            ],
            "passedTests": [f.name for f in findings if f.verdict == "PASS"],
            "warnedTests": [],
            "failedTests": [f.name for f in findings if f.verdict != "PASS"],
        },
    }


def envelope_of(statement: Mapping[str, Any], signer: CryptoSigner | None) -> str:
    """The statement in its DSSE envelope, signed if there is a signer."""
    envelope = Envelope(json.dumps(statement, sort_keys=True).encode(), PAYLOAD_TYPE, {})
    if signer is not None:
        envelope.sign(signer)
    return json.dumps(envelope.to_dict(), indent=2) + "\n"


def write_bundle(path: Path, texts: Mapping[str, str], files: Mapping[str, Path]) -> Path:
    """Write the archive, whole or not at all; names, dates and owners leave no trace in it.

    Invalid (with the former bundle still there) when it cannot be written.
    """
    try:
        with (
            whole_file(path) as raw,
            gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            for name in sorted({*texts, *files}):
                _add(tar, name, texts.get(name), files.get(name))
    except OSError as error:
        raise Invalid(f"{path}: the bundle could not be written ({error}); nothing was left of it") from error
    return path


def open_bundle(path: Path, into: Path) -> Opened:
    """Unpack a bundle into an empty folder and hold every file against the statement.

    Invalid says what is wrong: no archive, a strange member, a file too many, too few or changed, no statement.
    """
    try:
        digests = _unpacked(path, into)
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise Invalid(f"{path}: no bundle that can be read ({error})") from error
    if STATEMENT not in digests:
        raise Invalid(f"{path}: no {STATEMENT} in it: not a bundle of failover-drill")
    try:
        envelope = Envelope.from_dict(json.loads((into / STATEMENT).read_text()))
        statement = json.loads(envelope.payload)
        types = (envelope.payload_type, statement["_type"], statement["predicateType"])
        claimed = {str(s["name"]): s["digest"]["sha256"] for s in statement["subject"] if "sha256" in s["digest"]}
        predicate = {key: list(statement["predicate"][key]) for key in ("passedTests", "failedTests")}
        result = str(statement["predicate"]["result"])
    except Exception as error:
        raise Invalid(f"{path}: {STATEMENT} cannot be read ({type(error).__name__}: {error})") from error
    if types != (PAYLOAD_TYPE, STATEMENT_TYPE, PREDICATE_TYPE):
        raise Invalid(
            f"{path}: the statement is of other types than this version reads: {', '.join(map(str, types))}"
        )
    del digests[STATEMENT]
    wrong = sorted({n for n in {*digests, *claimed} if digests.get(n) != claimed.get(n)})
    if wrong:
        raise Invalid(f"{path}: {len(wrong)} files are not what the statement says (first: {wrong[0]})")
    return Opened(into, result, predicate, envelope)


def require_signed(opened: Opened, key: SSlibKey) -> None:
    """Invalid unless the statement is signed by that key."""
    try:
        opened.envelope.verify([key], 1)
    except VerificationError as error:
        by = ", ".join(opened.signed_by) or "nobody"
        raise Invalid(f"not signed by this key (id {key.keyid}); signed by: {by}") from error


def sha256_of(path: Path) -> str:
    """The digest of a file (hex)."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _add(tar: tarfile.TarFile, name: str, text: str | None, path: Path | None) -> None:
    info = tarfile.TarInfo(name)  # mtime 0, root, no names
    info.mode = 0o644
    if text is not None:
        data = text.encode()
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    elif path is not None:
        info.size = path.stat().st_size
        with path.open("rb") as file:
            tar.addfile(info, file)


def _unpacked(path: Path, into: Path) -> dict[str, str]:
    """Name -> sha256 of every file; ValueError for what no bundle of ours holds."""
    digests: dict[str, str] = {}
    left = MOST_BYTES
    with tarfile.open(path, "r:gz") as tar:
        for member in tar:
            _require_plain(member, digests)
            left -= member.size
            if left < 0 or len(digests) >= MOST_FILES:
                raise ValueError(f"more than {MOST_FILES} files or {MOST_BYTES >> 30} GiB")
            tar.extract(member, into, filter="data")
            digests[member.name] = sha256_of(into / member.name)
    return digests


def _require_plain(member: tarfile.TarInfo, known: Mapping[str, str]) -> None:
    parts = PurePosixPath(member.name).parts
    if not member.isreg() or member.name.startswith("/") or ".." in parts or member.name != "/".join(parts):
        raise ValueError(f"strange member {member.name!r}")
    if member.name in known:
        raise ValueError(f"{member.name!r} is in it twice")
