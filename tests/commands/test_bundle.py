"""An evidence bundle is whole, signed, the same every time, and honest about what nobody has said."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)

from commands.main import main
from drill.evidence import Evidence
from reports.bundle import STATEMENT, envelope_of, statement_of
from reports.evidence import evidence_items
from reports.run import load_run
from tests.commands.limited import limited
from tests.e2e.drilling import ROOT
from tests.reports.records import TARGET, record, run_folder

Members = dict[str, bytes]


def keys(folder: Path, name: str, password: bytes | None = None) -> Ed25519PrivateKey:
    """A key pair as PEM files NAME.pem and NAME.pub.pem."""
    key = Ed25519PrivateKey.generate()
    hidden = BestAvailableEncryption(password) if password else NoEncryption()
    (folder / f"{name}.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / f"{name}.pub.pem").write_bytes(public)
    return key


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run, two key pairs, and the run's signed bundle; nobody changes it."""
    folder = tmp_path_factory.mktemp("made")
    run_folder(folder / "run", release="a" * 40)
    keys(folder, "ours")
    keys(folder, "theirs")
    assert main(["bundle", str(folder / "run"), f"--sign={folder / 'ours.pem'}", "-o", str(folder / "b.tgz")]) == 0
    return folder


def members(path: Path) -> Members:
    """The files of an archive."""
    with tarfile.open(path) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]


def packed(path: Path, files: Members, *more: tarfile.TarInfo) -> Path:
    """An archive of these files, and members without content."""
    with tarfile.open(path, "w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for info in more:
            tar.addfile(info)
    return path


def test_a_signed_bundle_is_verified_by_its_key(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 with the right key; without one it says that nobody checked."""
    assert main(["verify", str(made / "b.tgz"), f"--key={made / 'ours.pub.pem'}"]) == 0
    assert "signed by" in capsys.readouterr().out
    assert main(["verify", str(made / "b.tgz")]) == 0
    assert "NOT CHECKED" in capsys.readouterr().out


def test_the_statement_is_in_totos_and_the_signature_dsses(made: Path) -> None:
    """Checked by hand against the two specifications, not by the library that made it."""
    files = members(made / "b.tgz")
    envelope = json.loads(files[STATEMENT])
    payload = base64.b64decode(envelope["payload"])
    kind = envelope["payloadType"].encode()
    signed = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    (signature,) = envelope["signatures"]
    public: Any = load_pem_public_key((made / "ours.pub.pem").read_bytes())
    public.verify(base64.b64decode(signature["sig"]), signed)
    statement = json.loads(payload)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    assert statement["predicate"]["result"] == "PASSED"
    assert "recovery time, failover" in statement["predicate"]["passedTests"]
    assert statement["subject"][0] == {"name": "release", "digest": {"gitCommit": "a" * 40}}
    assert {s["name"] for s in statement["subject"][1:]} == files.keys() - {STATEMENT}
    assert {"run/report.html", "run/run.json", "evidence/evidence.md"} <= files.keys()


def test_only_pass_is_passed() -> None:
    """A drill whose objective lies inside the bounds has not shown it."""
    judged = record().judgement
    for verdict in ("INCONCLUSIVE", "INVALID", "FAIL", "DIRTY"):
        other = record().model_copy(update={"judgement": judged.model_copy(update={"verdict": verdict})})
        assert statement_of(other, {})["predicate"]["result"] == "FAILED"


def test_the_same_run_gives_the_same_bytes(made: Path, tmp_path: Path) -> None:
    """Whoever packs it, wherever; so two people can compare."""
    assert main(["bundle", str(made / "run"), f"--sign={made / 'ours.pem'}", "-o", str(tmp_path / "again.tgz")]) == 0
    assert (tmp_path / "again.tgz").read_bytes() == (made / "b.tgz").read_bytes()


@pytest.mark.parametrize(
    ("key", "code", "words"),
    [("theirs.pub.pem", 11, "not signed by this key"), ("run", 4, "no public key"), ("ours.pem", 4, "no public key")],
)
def test_another_key_is_refused(
    made: Path, capsys: pytest.CaptureFixture[str], key: str, code: int, words: str
) -> None:
    """A stranger's is 11, a file that is no public key is bad usage."""
    assert main(["verify", str(made / "b.tgz"), f"--key={made / key}"]) == code
    assert words in capsys.readouterr().err


def test_an_unsigned_bundle_says_so_and_has_no_key(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whole all the same; with a key it is refused."""
    path = tmp_path / "b.tgz"
    assert main(["bundle", str(made / "run"), "-o", str(path)]) == 0
    assert "not signed" in capsys.readouterr().out
    assert main(["verify", str(path)]) == 0
    assert "NOT SIGNED" in capsys.readouterr().out
    assert main(["verify", str(path), f"--key={made / 'ours.pub.pem'}"]) == 11
    assert "signed by: nobody" in capsys.readouterr().err


def _claimed(files: Members, **predicate: Any) -> Members:
    statement = json.loads(base64.b64decode(json.loads(files[STATEMENT])["payload"]))
    statement["predicate"] |= predicate
    return files | {STATEMENT: envelope_of(statement, None).encode()}


def _typed(files: Members) -> Members:
    statement = json.loads(base64.b64decode(json.loads(files[STATEMENT])["payload"])) | {"predicateType": "other"}
    return files | {STATEMENT: envelope_of(statement, None).encode()}


SPOILED: dict[str, tuple[Callable[[Members], Members], str]] = {
    "a request less": (lambda f: f | {"run/requests-l.jsonl": b""}, "not what the statement says"),
    "another verdict": (
        lambda f: f | {"run/verdict.json": f["run/verdict.json"].replace(b"PASS", b"FAIL")},
        "not what the statement says (first: run/verdict.json)",
    ),
    "a person changed": (lambda f: f | {"evidence/evidence.md": b"x"}, "evidence/evidence.md"),
    "a file more": (lambda f: f | {"run/more.txt": b""}, "first: run/more.txt"),
    "a file less": (lambda f: {k: v for k, v in f.items() if k != "run/report.html"}, "first: run/report.html"),
    "no statement": (lambda f: {k: v for k, v in f.items() if k != STATEMENT}, "not a bundle of failover-drill"),
    "a statement of rubbish": (lambda f: f | {STATEMENT: b"{}"}, "cannot be read"),
    "another type of statement": (_typed, "of other types"),
    "another result": (
        lambda f: _claimed(f, result="FAILED"),
        "claims FAILED with 4 of 4 objectives met, the evidence says PASSED",
    ),
    "other tests": (lambda f: _claimed(f, passedTests=["everything"]), "with 0 of 4 objectives met, the evidence"),
    "tests that are no list": (lambda f: _claimed(f, passedTests=5), "cannot be read"),
    "a name that climbs": (lambda f: f | {"../run.json": b""}, "strange member '../run.json'"),
    "a name from the root": (lambda f: f | {"/run.json": b""}, "strange member '/run.json'"),
}


@pytest.mark.parametrize("name", sorted(SPOILED))
def test_a_bundle_that_was_changed_is_refused(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Exit 11 and the first thing that is wrong, also when nobody checks the signature."""
    spoil, words = SPOILED[name]
    path = packed(tmp_path / "b.tgz", spoil(members(made / "b.tgz")))
    assert main(["verify", str(path)]) == 11
    told = capsys.readouterr()
    assert words in told.err
    assert not (tmp_path / "run.json").exists()


def test_links_and_broken_archives_are_refused(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A link that points out of it, an archive cut short, a file that is none."""
    link = tarfile.TarInfo("run/link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    assert main(["verify", str(packed(tmp_path / "link.tgz", members(made / "b.tgz"), link))]) == 11
    (tmp_path / "cut.tgz").write_bytes((made / "b.tgz").read_bytes()[:-2000])
    assert main(["verify", str(tmp_path / "cut.tgz")]) == 11
    (tmp_path / "text.tgz").write_text("hello")
    assert main(["verify", str(tmp_path / "text.tgz")]) == 11
    assert capsys.readouterr().err.count("no bundle that can be read") == 3


def test_a_forged_verdict_is_found_by_judging_anew(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody dropped the requests and made all digests anew: the evidence no longer says PASS."""
    files = members(made / "b.tgz") | {"run/requests-l.jsonl": b""}
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items() if name != STATEMENT}
    forged = files | {STATEMENT: envelope_of(statement_of(record(), digests), None).encode()}
    assert main(["verify", str(packed(tmp_path / "b.tgz", forged))]) == 11
    assert "verdict.json differs from what the evidence says" in capsys.readouterr().err


def test_a_folder_that_was_changed_is_not_packed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody signs it by mistake."""
    folder = run_folder(tmp_path / "run")
    (folder / "requests-l.jsonl").write_text("")
    assert main(["bundle", str(folder), "-o", str(tmp_path / "b.tgz")]) == 11
    assert "verdict.json differs from what the evidence says" in capsys.readouterr().err
    assert not (tmp_path / "b.tgz").exists()


def test_a_killed_drill_has_a_bundle_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Judged and rendered when it is packed; FAILED, because nothing is proven."""
    folder = run_folder(tmp_path / "run")
    (folder / "verdict.json").unlink()
    events = (folder / "events.jsonl").read_text().splitlines(keepends=True)
    (folder / "events.jsonl").write_text("".join(events[:-1]))
    assert main(["bundle", str(folder)]) == 0
    path = tmp_path / "run.bundle.tar.gz"
    assert f"{path}: INVALID" in capsys.readouterr().out
    assert main(["verify", str(path)]) == 0
    assert "did not come to its end" in members(path)["evidence/evidence.md"].decode()


SUPPLIED = """
business_function = "Payments"
impact_analysis = "BIA 2026"
objectives_approved_by = "CIO"
objectives_approved_on = 2026-01-15
why_plausible = "seen in 2021"
participants = [{ name = "A. <b>Person</b>", role = "commander" }]
third_parties = "none"
deviations = "none"
data_reconciled_by = "Ledger team"
reported_to = "Board"
"""


def test_what_nobody_said_is_missing_and_what_somebody_said_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Named, shown in capitals, and refused with --complete; a file for the drill fills it."""
    folder = run_folder(tmp_path / "run")
    assert main(["bundle", str(folder), "--complete"]) == 11
    assert "missing business_function, impact_analysis" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.tar.gz"))
    (tmp_path / "e.toml").write_text(SUPPLIED)
    main(["bundle", str(folder), f"--evidence={tmp_path / 'e.toml'}"])
    assert "missing: restored\n" in capsys.readouterr().out  # this run has no audit of residue
    files = members(tmp_path / "run.bundle.tar.gz")
    shown = files["evidence/evidence.md"].decode()
    assert "LAB run" in shown and "**MISSING**" in shown
    assert "<b>" not in shown and "A. &lt;b&gt;Person" in shown
    fields = {f["key"]: f for f in json.loads(files["evidence/evidence.json"])["fields"]}
    assert fields["time_on_standby"]["value"]["low_s"] > 0
    assert fields["objectives_approved"]["value"] == {"by": "CIO", "on": "2026-01-15"}
    assert files["evidence/supplied.toml"].decode() == SUPPLIED


def test_a_finding_needs_owner_and_date_and_a_retest(tmp_path: Path) -> None:
    """Each one that is not PASS; half an answer is missing."""
    folder = run_folder(tmp_path / "run", objectives=record().target.objectives | {"rto_s": 60.0})
    run, told = load_run(folder), record(objectives=record().target.objectives | {"rto_s": 60.0})
    name = "recovery time, failover"

    def source(**follow: Any) -> tuple[str, str]:
        supplied = Evidence.model_validate({"follow_up": [{"finding": name} | follow]} if follow else {})
        items = {i.key: i for i in evidence_items(run, told, supplied)}
        return items["follow_up"].source, items["retest"].source

    assert told.judgement.verdict == "FAIL"
    assert source() == ("missing", "missing")
    assert source(owner="SRE") == ("missing", "missing")
    assert source(owner="SRE", due="2026-03-01") == ("supplied", "missing")
    assert source(owner="SRE", due="2026-03-01", retest="r2") == ("supplied", "supplied")


def test_the_targets_evidence_is_used_and_does_not_make_it_another_target(tmp_path: Path) -> None:
    """The file for one drill wins; the digest stays."""
    told = TARGET.model_copy(update={"evidence": Evidence(business_function="Payments", deviations="one")})
    assert told.digest == TARGET.digest
    folder = run_folder(tmp_path / "run", target=told.model_dump(mode="json"))
    both = Evidence(deviations="none").over(load_run(folder).evidence)
    assert (both.business_function, both.deviations) == ("Payments", "none")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--sign=e.toml",), "no private key that can sign"),
        (("--sign=locked.pem",), "no private key that can sign"),
        (("--evidence=none.toml",), "cannot be read as evidence"),
        (("--evidence=e.toml",), "whatever: Extra inputs"),
        (("-o", "run/b.tgz"), "inside the run folder"),
        (("-o", "none/b.tgz"), "no folder"),
    ],
)
def test_bad_options_are_named_and_nothing_is_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    words: str,
) -> None:
    """Exit 4."""
    monkeypatch.chdir(tmp_path)
    run_folder(Path("run"))
    Path("e.toml").write_text('whatever = "x"\n')
    keys(Path(), "locked", b"secret")
    assert main(["bundle", "run", *arguments]) == 4
    assert words in capsys.readouterr().err
    assert not list(tmp_path.glob("**/*gz"))


def test_an_encrypted_key_signs_with_its_password(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the environment."""
    keys(tmp_path, "locked", b"secret")
    monkeypatch.setenv("DRILL_KEY_PASSWORD", "secret")
    path = tmp_path / "b.tgz"
    assert main(["bundle", str(made / "run"), f"--sign={tmp_path / 'locked.pem'}", "-o", str(path)]) == 0
    assert main(["verify", str(path), f"--key={tmp_path / 'locked.pub.pem'}"]) == 0


def test_a_link_in_a_run_folder_and_a_key_for_a_folder_are_refused(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bundle holds files only; a folder has no signature."""
    folder = run_folder(tmp_path / "run")
    (folder / "link").symlink_to("/etc/passwd")
    assert main(["bundle", str(folder)]) == 11
    assert main(["verify", str(made / "run"), f"--key={made / 'ours.pub.pem'}"]) == 4
    told = capsys.readouterr().err
    assert "neither file nor folder" in told and "is no bundle" in told


def test_a_full_disk_leaves_the_former_bundle(made: Path, tmp_path: Path) -> None:
    """11 in a sentence; no half archive, and what was there is still there."""
    path = tmp_path / "b.tgz"
    path.write_bytes((made / "b.tgz").read_bytes())
    code, output = limited(2000, "bundle", str(made / "run"), "-o", str(path))
    assert code == 11, output
    assert "the bundle could not be written" in output and "Traceback" not in output
    assert [p.name for p in tmp_path.iterdir()] == ["b.tgz"]
    assert path.read_bytes() == (made / "b.tgz").read_bytes()


def test_the_docs_map_every_field(made: Path) -> None:
    """docs/evidence.md has a row for each, with its source, and no other."""
    items = evidence_items(load_run(made / "run"), record(), Evidence())
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", (ROOT / "docs" / "evidence.md").read_text(), re.MULTILINE)
    assert [key for key, _ in rows] == [item.key for item in items]
    asked = {key for key, source in rows if source == "supplied"}
    assert {i.key for i in items if i.source == "missing"} - {"restored", "phases"} <= asked
