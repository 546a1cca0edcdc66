"""A whole drill that passes, spoiled in one way at a time: nothing that lost or changed evidence passes.

Once with the seal broken (as it happens to files), once sealed again (so that the judge must see it by itself).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from checks.judge import judge
from checks.seal import SEAL
from drill.timeline import Event, History, load_history
from drill.verdict import Verdict
from tests.checks.histories import FAIL, OSAKA, TOKYO, UNKNOWN, complete, sealed, write_folder

WHOLE = complete()
ONSET_S, BACK_S = 5001.0, 5025.0
Spoil = Callable[[History], History]


def changed(**parts: Any) -> Spoil:
    """Replace whole kinds of evidence."""
    return lambda history: dataclasses.replace(history, **parts)


def header(**fields: Any) -> Spoil:
    """Change fields of run.json."""
    return lambda history: dataclasses.replace(history, header=history.header | fields)


def kept(kind: str, keep: Callable[[Any], bool]) -> Spoil:
    """Keep only some records of a kind."""
    return lambda history: dataclasses.replace(history, **{kind: tuple(r for r in getattr(history, kind) if keep(r))})


def without(name: str, **data: Any) -> Spoil:
    """Drop the events of that name and data."""
    return kept("events", lambda e: not (e.name == name and data.items() <= e.data.items()))


def event(name: str, **data: Any) -> Spoil:
    """Change the data of the events of that name."""

    def spoil(history: History) -> History:
        told = (dataclasses.replace(e, data=e.data | data) if e.name == name else e for e in history.events)
        return dataclasses.replace(history, events=tuple(told))

    return spoil


def looks(when: Callable[[Any], bool], **change: Any) -> Spoil:
    """Change some observations."""

    def spoil(history: History) -> History:
        told = (dataclasses.replace(o, **change) if when(o) else o for o in history.observations)
        return dataclasses.replace(history, observations=tuple(told))

    return spoil


def lost_by_failback(history: History) -> History:
    """A write that was settled at the standby is absent at the primary after the failback."""
    late = (r for r in history.readbacks if r.window == "failback" and r.key == "u2-1")
    absent = [dataclasses.replace(r, pass_="settled", state="absent", at_s=r.at_s + 6.4) for r in late]
    return dataclasses.replace(history, readbacks=(*history.readbacks, *absent))


def swapped(history: History) -> History:
    """The roles of the two Regions exchanged in the header."""
    target = history.header["target"]
    regions = target["regions"] | {"primary": OSAKA, "standby": TOKYO}
    return dataclasses.replace(history, header=history.header | {"target": target | {"regions": regions}})


def mixed(history: History) -> History:
    """The observations of a drill of an hour before among ours."""
    old = tuple(dataclasses.replace(o, sent_s=o.sent_s - 3600, done_s=o.done_s - 3600) for o in history.observations)
    return dataclasses.replace(history, observations=(*old, *history.observations))


def _is(window: str) -> Callable[[Any], bool]:
    return lambda record: record.window == window if not isinstance(record, dict) else record["window"] == window


SPOILS: dict[str, tuple[Spoil, str]] = {
    "no requests": (changed(requests=()), "INVALID"),
    "no observations": (changed(observations=()), "INVALID"),
    "no writes": (changed(writes=()), "INVALID"),
    "no readbacks": (changed(readbacks=()), "INVALID"),
    "no balances": (changed(balances=()), "INVALID"),
    "no events": (changed(events=()), "INVALID"),
    "no probes for 5 s": (kept("observations", lambda o: not 5005 < o.sent_s < 5010), "INVALID"),
    "prober stops at the onset": (kept("observations", lambda o: o.sent_s < ONSET_S), "INVALID"),
    "prober blind in the outage": (looks(lambda o: o.outcome is FAIL, outcome=UNKNOWN), "INVALID"),
    "signals lost": (kept("observations", lambda o: o.probe == "write.settle"), "INVALID"),
    "load stops at the onset": (kept("requests", lambda r: r.sent_s < ONSET_S), "INVALID"),
    "load stops at recovery": (kept("requests", lambda r: r.sent_s < BACK_S), "INVALID"),
    "nothing injected": (without("fault.injected"), "INVALID"),
    "not in force": (event("fault.injected", in_force=False), "INVALID"),
    "in force is a word": (event("fault.injected", in_force="no"), "INVALID"),
    "not seen held": (without("fault.held"), "INVALID"),
    "not put back": (without("fault.restored"), "DIRTY"),
    "no action": (without("action"), "INVALID"),
    "no end of the action": (without("action.ended"), "INVALID"),
    "execution failed": (event("action.ended", reached=False, observed=["status: 'FAILED'"]), "FAIL"),
    "nobody saw the execution": (event("action.ended", reached=False, observed=[], why="timeout"), "INVALID"),
    "one write of the failover not read back": (kept("readbacks", lambda r: r.key != "u1-2"), "INVALID"),
    "one write of the failback not read back": (
        kept("readbacks", lambda r: (r.key, r.window) != ("u1-1", "failback")),
        "INVALID",
    ),
    "failback not read back": (kept("readbacks", lambda r: r.window != "failback"), "INVALID"),
    "a write lost by the failback": (lost_by_failback, "FAIL"),
    "read back from the wrong Region": (event("readback", region=TOKYO), "INVALID"),
    "nobody knows where it was read back": (without("readback"), "INVALID"),
    "one balance not read": (kept("balances", lambda b: b["account"] != "drill-r1-2"), "INVALID"),
    "failback without balances": (kept("balances", lambda b: b["window"] != "failback"), "INVALID"),
    "two balances of one account": (
        lambda h: dataclasses.replace(h, balances=({**h.balances[0], "balance": 2000.0}, *h.balances)),
        "FAIL",
    ),
    "Regions swapped": (swapped, "INVALID"),
    "survivor swapped": (event("window.begin", survivor=TOKYO), "INVALID"),
    "speed is 1": (header(speed=1.0), "INVALID"),
    "speed is 100": (header(speed=100.0), "INVALID"),
    "two runs mixed": (mixed, "INVALID"),
    "another run's writes": (header(run_id="r2"), "INVALID"),
    "failback never begun": (kept("events", lambda e: e.data.get("window") != "failback"), "INVALID"),
    "windows is a number": (header(windows=5), "INVALID"),
    "target is a list": (header(target=[]), "INVALID"),
    "timings are words": (header(timings={"settle_s": "long"}), "INVALID"),
    "an end without a reason": (event("window.end", reason=""), "INVALID"),
    "aborted": (event("window.end", reason="aborted"), "INVALID"),
}


def test_the_whole_run_passes(tmp_path: Path) -> None:
    """Else nothing below would prove anything; and it is the same from files."""
    judged = judge(WHOLE)
    assert judged.verdict is Verdict.PASS, [f"{f.name}: {f.reason}" for f in judged.findings]
    assert judge(load_history(write_folder(tmp_path / "run", WHOLE))) == judged


@pytest.mark.parametrize("name", sorted(SPOILS))
def test_spoiled_evidence_does_not_pass_even_with_a_new_seal(name: str) -> None:
    """Each has the verdict that it deserves by what it says, not only because it was changed."""
    spoil, verdict = SPOILS[name]
    judged = judge(sealed(spoil(WHOLE)))
    assert judged.verdict.value == verdict, [f"{f.name}: {f.reason}" for f in judged.findings]
    assert all("\n" not in f.reason and f.reason for f in judged.findings)


@pytest.mark.parametrize("name", sorted(SPOILS))
def test_whatever_is_changed_after_the_end_breaks_the_seal(name: str) -> None:
    """The run folder itself says that it is not what it was."""
    judged = judge(SPOILS[name][0](WHOLE))
    assert any(f.name == "run folder" and f.verdict is Verdict.INVALID for f in judged.findings)


def test_a_settled_pass_before_its_time_proves_nothing() -> None:
    """What is absent too early may still arrive: neither lost nor there."""
    early = [
        dataclasses.replace(e, at_s=e.at_s - 8) if e.name == "readback" and e.data["pass_"] == "settled" else e
        for e in WHOLE.events
    ]
    judged = judge(sealed(dataclasses.replace(WHOLE, events=tuple(early))))
    assert judged.verdict is Verdict.INVALID
    assert any("settled pass began" in f.reason for f in judged.findings)


def test_a_run_that_was_cut_off_says_so() -> None:
    """A killed drill has no seal."""
    judged = judge(without(SEAL)(WHOLE))
    assert judged.verdict is Verdict.INVALID
    assert "did not come to its end" in judged.findings[-1].reason


def test_two_seals_or_events_behind_it_are_no_end() -> None:
    """Two runs in one folder."""
    again = dataclasses.replace(WHOLE, events=(*WHOLE.events, WHOLE.events[-1]))
    assert "2 ends" in judge(again).findings[-1].reason
    later = dataclasses.replace(WHOLE, events=(*WHOLE.events, Event(9e9, "phase", {"phase": "settled"})))
    assert judge(later).verdict is Verdict.INVALID


FILES = ("run.json", "events.jsonl", "obs-p.jsonl", "requests-l.jsonl", "readback.jsonl", "balances.jsonl")
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "half": lambda data: data[: len(data) // 2],
    "without its last line": lambda data: b"".join(data.splitlines(True)[:-1]),
    "empty": lambda data: b"",
    "binary": lambda data: b"\xff\xfe\n\x00\n",
    "twice": lambda data: data + data,
    "with a strange line": lambda data: data + b'{"a": 1}\n',
}


@pytest.mark.parametrize("damage", sorted(DAMAGES))
@pytest.mark.parametrize("name", [*FILES, "ledger-u1.bin", "ledger-u2.bin"])
def test_a_damaged_file_is_a_sentence_and_never_a_pass(tmp_path: Path, name: str, damage: str) -> None:
    """Cut, emptied, overwritten, doubled: either it cannot be read, in words, or it does not pass."""
    folder = write_folder(tmp_path / "run", WHOLE)
    path = folder / name
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    _reads_as_no_pass(folder)


@pytest.mark.parametrize("name", [*FILES, "ledger-u1.bin", "ledger-u2.bin"])
def test_a_missing_file_is_a_sentence_and_never_a_pass(tmp_path: Path, name: str) -> None:
    """No evidence is no good evidence."""
    folder = write_folder(tmp_path / "run", WHOLE)
    (folder / name).unlink()
    _reads_as_no_pass(folder)


def _reads_as_no_pass(folder: Path) -> None:
    try:
        history = load_history(folder)
    except ValueError as error:
        assert len(str(error).splitlines()) == 1  # a sentence
        return
    assert judge(history).verdict is not Verdict.PASS
