"""Evidence of the quick witness, of names, of a promised quiet and of the service level: damaged, it is named.

A drill that passes with all of them, whose quick looks and DNS answers lie in the compact file as in a real run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from checks.judge import judge
from checks.quiet import QUIET
from drill.ledger import Write
from drill.observations import Observation, ObservationLog, Outcome
from drill.probes import DNS, NEW, PULSE
from drill.timeline import History, load_history
from drill.verdict import Verdict
from tests.checks.histories import OSAKA_PEER, TARGET, TOKYO, TOKYO_PEER, Story, good_failover, sealed, write_folder
from tests.checks.test_service_level import DECLARED, pulses

COMPACT = (PULSE, DNS)
TURNED_S = 100.0
Spoil = Callable[[History], History]


def told() -> Story:
    """Out from 10 to 250, DNS turned at 100, one write refused by Tokyo afterwards; else served well."""
    target = TARGET | {"service_level": DECLARED}
    story = good_failover(target=target, run_id="r1").mark(-70, "looking", name="account")
    story.mark(-1, QUIET, window="failover", region=TOKYO)
    story.write("u1-4", 120, 120.5, "refused", account="drill-4")
    story.objectives["unprocessed_s"] = 300.0
    for at_s in range(-60, 320, 5):
        peer = OSAKA_PEER if at_s >= TURNED_S else TOKYO_PEER
        at = story.at(at_s), story.at(at_s + 0.1)
        story.observations.append(Observation(*at, DNS, "authoritative", Outcome.OK, peer, "ttl=60 rcode=NOERROR"))
    return pulses(story, lambda s: 10 <= s < 250)


WHOLE = told().history()


def in_files(folder: Path, history: History = WHOLE) -> Path:
    """Its run folder: the looks of the quick witness in `obs-pulse.bin`, all others in lines."""
    lines = tuple(o for o in history.observations if o.probe not in COMPACT)
    write_folder(folder, dataclasses.replace(history, observations=lines))
    log = ObservationLog(folder, "pulse")
    for look in sorted((o for o in history.observations if o.probe in COMPACT), key=lambda o: o.done_s):
        log.add(look)
    log.close()
    return folder


def test_a_drill_with_all_of_them_passes_and_reads_the_same_from_files(tmp_path: Path) -> None:
    """Else nothing below would prove anything."""
    judged = judge(WHOLE)
    assert judged.verdict is Verdict.PASS, [f"{f.name}: {f.reason}" for f in judged.findings]
    names = {f.name for f in judged.findings}
    assert {f"quiet, {TOKYO}", "service level, failover", "unprocessed at recovery, failover"} <= names
    assert judge(load_history(in_files(tmp_path / "run"))) == judged


def without(kind: str, keep: Callable[[Observation], bool]) -> Spoil:
    """Only the looks of that kind that are kept."""
    return lambda history: dataclasses.replace(
        history, observations=tuple(o for o in history.observations if o.probe != kind or keep(o))
    )


def writes(change: Callable[[Write], Write]) -> Spoil:
    """Every write changed."""
    return lambda history: dataclasses.replace(history, writes=tuple(map(change, history.writes)))


def looks(history: History, change: Callable[[Observation], Observation]) -> History:
    """Every look changed."""
    return dataclasses.replace(history, observations=tuple(map(change, history.observations)))


def mixed(history: History, after_s: float) -> History:
    """The quick looks of another drill among ours, made so much later (wall seconds)."""
    quick = (o for o in history.observations if o.probe == PULSE)
    others = (dataclasses.replace(o, sent_s=o.sent_s + after_s, done_s=o.done_s + after_s) for o in quick)
    return dataclasses.replace(history, observations=(*history.observations, *others))


AT = told().at
SPOILS: dict[str, tuple[Spoil, str]] = {
    "no quick looks": (without(PULSE, lambda o: False), "service level, failover"),
    "no quick looks before the window": (without(PULSE, lambda o: o.sent_s > AT(0)), "service level, failover"),
    "quick looks of other clients only": (
        lambda h: looks(h, lambda o: dataclasses.replace(o, vantage="x") if o.vantage == NEW else o),
        "service level, failover",
    ),
    "no answers of DNS": (without(DNS, lambda o: False), f"quiet, {TOKYO}"),
    "no answer after the switch": (without(DNS, lambda o: o.done_s < AT(TURNED_S)), f"quiet, {TOKYO}"),
    "every answer of DNS unknown": (
        lambda h: looks(h, lambda o: dataclasses.replace(o, outcome=Outcome.UNKNOWN) if o.probe == DNS else o),
        f"quiet, {TOKYO}",
    ),
    "nobody asked Tokyo": (writes(lambda w: dataclasses.replace(w, peer=OSAKA_PEER)), f"quiet, {TOKYO}"),
    "nobody knows who was asked": (
        writes(lambda w: dataclasses.replace(w, peer="") if w.key == "u1-4" else w),
        f"quiet, {TOKYO}",
    ),
    "no look at recovery": (
        lambda h: dataclasses.replace(h, readbacks=tuple(r for r in h.readbacks if r.pass_ != "recovery")),
        "unprocessed at recovery, failover",
    ),
    "quick looks of the drill before": (lambda h: mixed(h, -3600.0), "evidence, failover"),
    "quick looks of the drill after": (lambda h: mixed(h, 3600.0), "evidence, failover"),
}


@pytest.mark.parametrize("name", sorted(SPOILS))
def test_what_was_lost_or_changed_is_invalid_by_what_it_says(name: str) -> None:
    """Sealed anew, so that the judge must see it by itself; the finding that rests on it says so."""
    spoil, which = SPOILS[name]
    found = [f for f in judge(sealed(spoil(WHOLE))).findings if f.name == which]
    assert [f.verdict for f in found] == [Verdict.INVALID], found


def cut(data: bytes) -> bytes:
    """The last five bytes are missing."""
    return data[:-5]


def without_the_last(data: bytes) -> bytes:
    """The last record, whole, is missing."""
    return data[:-32]


DAMAGES: dict[str, tuple[str, Callable[[bytes], bytes] | None, str]] = {
    "cut": ("obs-pulse.bin", cut, "obs-pulse.bin: the last record is cut off"),
    "one record less": ("obs-pulse.bin", without_the_last, "observations on record"),
    "emptied": ("obs-pulse.bin", lambda data: b"", "observations on record"),
    "missing": ("obs-pulse.bin", None, "observations on record"),
    "doubled": ("obs-pulse.bin", lambda data: data + data[16:], "the clock was set back, or two runs are mixed"),
    "words cut": ("obs-pulse.names", lambda data: data[: len(data) // 2], "a word that is not in its .names"),
    "words missing": ("obs-pulse.names", None, "obs-pulse.names is missing"),
    "words of another run": (
        "obs-pulse.names",
        lambda data: b"".join(reversed(data.splitlines(True))),
        "the observations on record are not those",
    ),
    "a journal that is none": ("journal.jsonl", lambda data: b"\xff\n", "the calls in the journal"),
}


@pytest.mark.parametrize("how", sorted(DAMAGES))
def test_a_damaged_file_of_the_quick_witness_is_named_and_never_a_pass(tmp_path: Path, how: str) -> None:
    """Cut, emptied, missing, doubled: by the reader or by the seal, in one sentence."""
    name, damage, words = DAMAGES[how]
    path = in_files(tmp_path / "run") / name
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes() if path.exists() else b""))
    try:
        judged = judge(load_history(path.parent))
    except ValueError as error:
        assert words in str(error) and "\n" not in str(error)
        return
    assert judged.verdict is Verdict.INVALID
    assert any(words in f.reason for f in judged.findings), [f.reason for f in judged.findings]
