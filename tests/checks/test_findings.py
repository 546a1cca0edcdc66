"""Each finding to the letter: name, verdict, sentence, limit, advice and what programs read of it.

What is said beside a verdict is what people act on, and the paths that are hardly ever taken say it too. Most of
these were held by no test: planted mistakes (`make mutants`) lived in them.
"""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import pytest

from checks.degradation import Degradation
from checks.integrity import by_key, side_by_side, strays, torn_findings
from checks.judge import judge
from checks.looks import believed, final_states, spoiled_passes
from checks.names import servers_of
from checks.recovery_time import RecoveryTime
from checks.staying import staying_findings
from checks.vantages import Vantage, rows_of
from checks.windows import Window, settings_of, windows_of
from drill.drill import STAY_BEGIN, STAY_END
from drill.timeline import History, Observation, Outcome, Readback
from drill.verdict import Finding, Interval, Verdict
from drill.write_path import ARCHIVE
from tests.checks.histories import (
    FAIL,
    OK,
    OSAKA,
    OSAKA_PEER,
    TOKYO,
    TOKYO_PEER,
    UNKNOWN,
    Story,
    good_failover,
)

TIME, POINT, BALANCES = "recovery time, failover", "recovery point, failover", "balances, failover"
LOST = (
    "1 of 2 acknowledged writes lost (first u1-2, id id-u1-2: absent), 0 of them sent after the onset, "
    "0 under way at it"
)
DIED = "the witness prober died during the drill"


def one(story: Story, name: str) -> Finding:
    """The one finding of that name."""
    (found,) = [f for f in judge(story.history()).findings if f.name == name]
    return found


def losing(rpo_s: float, died: bool = False) -> Story:
    """A failover that lost the write u1-2, acknowledged 2.5 s before the onset at 10 s."""
    story = good_failover(fate="absent")
    story.objectives["rpo_s"] = rpo_s
    return story.mark(50, "witness.died", name="prober") if died else story


# -- recovery point


@pytest.mark.parametrize(
    ("rpo_s", "died", "verdict", "reason", "advice"),
    [
        (0.0, False, "FAIL", LOST, ""),
        (0.0, True, "FAIL", LOST, ""),
        (30.0, False, "PASS", f"{LOST}; [0.5, 3.5 s] meets the limit of 30 s", ""),
        (30.0, True, "INVALID", f"{LOST}; more is not proven: {DIED}", ""),
        (
            3.0,
            False,
            "INCONCLUSIVE",
            f"{LOST}; the limit of 3 s lies inside the bounds [0.5, 3.5 s]",
            "raise the probe rate (timings.probe_interval_s) or repeat the drill",
        ),
        (0.1, False, "FAIL", f"{LOST}; [0.5, 3.5 s] misses the limit of 0.1 s", ""),
        (0.1, True, "FAIL", f"{LOST}; [0.5, 3.5 s] misses the limit of 0.1 s", ""),
    ],
)
def test_a_loss_is_told_whole(rpo_s: float, died: bool, verdict: str, reason: str, advice: str) -> None:
    """Beyond the objective it fails on its own; within it, it passes only where everything else is proven."""
    found = one(losing(rpo_s, died), POINT)
    assert (found.verdict.value, found.reason, found.limit_s, found.advice) == (verdict, reason, rpo_s, advice)
    assert found.interval is not None
    assert (found.interval.low_s, found.interval.high_s) == pytest.approx((0.5, 3.5))
    assert [row["key"] for row in found.data["lost"]] == ["u1-2"]
    assert found.data["counts"]["lost"] == 1 and [s["lost"] for s in found.data["stores"]] == [1]


def test_reasons_are_parted_and_the_unit_is_the_runs() -> None:
    """Two things that do not hold are two parts of one sentence; in a lab its seconds are lab seconds."""
    story = losing(30.0, died=True).mark(60, "witness.died", name="pulse")
    assert one(story, POINT).reason == f"{LOST}; more is not proven: {DIED}; the witness pulse died during the drill"
    assert one(story, TIME).reason == f"proves nothing: {DIED}; the witness pulse died during the drill"
    history = dataclasses.replace(losing(30.0).history())
    in_lab = dataclasses.replace(history, header=history.header | {"target_kind": "lab"})
    (found,) = [f for f in judge(in_lab).findings if f.name == POINT]
    assert found.reason.endswith("[0.5, 3.5 lab s] meets the limit of 30 lab s")


def test_a_loss_is_told_with_what_an_earlier_window_saw_and_what_an_archive_holds() -> None:
    """Each adds to the sentence, none replaces it."""
    story = good_failover(windows=("failover", "failback")).window(400, 560, "failback")
    story.looks(320, 420, region=OSAKA).looks(420, 500, FAIL).looks(500, 590)
    story.load(320, 420, region=OSAKA).load(420, 500, FAIL, "").load(500, 590)
    story.read(620, {"u1-1": "settled", "u1-2": "absent"}, window="failback")
    story.mark(625, "archive.looked", window="failback", region=TOKYO)
    found = one(story, "recovery point, failback")
    assert found.reason.startswith("1 of 2 acknowledged writes lost (first u1-2, id id-u1-2: absent), 0 of them sent")
    assert ", 1 of them seen settled by an earlier window; 0 archived only" in found.reason
    assert found.data["archived"] == {"only": 0, "elsewhere": 0, "nowhere": 0, "unknown": 1}


@pytest.mark.parametrize("state", ["absent", "pending", "unknown", "nonsense"])
def test_what_is_read_too_early_is_neither_lost_nor_there(state: str) -> None:
    """A settled pass before its time: what is terminal then stays so, what is not may still arrive."""
    story = Story().window(0, 200).write("u-1", 1, 2).write("u-2", 1, 2).write("u-3", 1, 2)
    story.read(201, {"u-1": state, "u-2": "pending"}, "recovery")
    story.read(210, {"u-1": state, "u-2": "settled", "u-3": "refused"})
    history, window = _window(story)
    kept = {(r.pass_, r.key) for r in believed(history, window, settle_wall_s=6.0)}
    assert kept == {("recovery", "u-1"), ("recovery", "u-2"), ("settled", "u-2"), ("settled", "u-3")}
    assert {(r.pass_, r.key) for r in believed(history, window, 1.0)} == {*kept, ("settled", "u-1")}


def test_when_the_settled_pass_began_is_its_mark_or_its_first_look() -> None:
    """Whichever is earlier; exactly the time that is due is enough."""
    story = Story().window(0, 200).write("u-1", 1, 2).read(260, {"u-1": "settled"})
    history, window = _window(story)
    assert list(spoiled_passes(history, window, 6.0)) == []
    early = Readback(story.at(255), "failover", "settled", "u-1", "settled")
    ((what, why),) = spoiled_passes(replace(history, readbacks=(*history.readbacks, early)), window, 6.0)
    assert what == "settled"
    assert why == "the settled pass began 5.5 s (wall) after recovery, 6.0 s are due (timings.settle_s)"


def test_what_was_read_back_elsewhere_or_nobody_knows_where_is_spoiled() -> None:
    """Only looks at the survivor, marked as such in this window, say anything."""
    story = Story().window(0, 200).write("u-1", 1, 2).read(260, {"u-1": "settled"})
    history, window = _window(story)
    unmarked = replace(history, events=tuple(e for e in history.events if e.name != "readback"))
    ((what, why),) = spoiled_passes(unmarked, window, 0.0)
    assert (what, why) == ("where", f"writes were read back from nobody knows where, not only from {OSAKA}")
    assert believed(unmarked, window, 0.0) == []
    both = story.mark(261, "readback", window="failover", pass_="recovery", region=TOKYO).history()
    ((_, why),) = spoiled_passes(both, window, 0.0)
    assert why == f"writes were read back from {TOKYO}, {OSAKA}, not only from {OSAKA}"


def test_final_states_are_of_one_window_and_unknown_where_looks_disagree() -> None:
    """What was looked at early only and was not there is unknown; other windows have their own."""
    story = Story().window(0, 200).read(201, {"a": "settled", "b": "absent", "c": "pending"}, "recovery")
    story.read(260, {"c": "absent", "d": "settled"}).read(261, {"d": "absent"}).read(262, {"a": "absent"}, window="x")
    told = {key: state for (key, _), state in final_states(story.history().readbacks, "failover").items()}
    assert told == {"a": "settled", "b": "unknown", "c": "absent", "d": "unknown"}


# -- balances, the lab's speed, nonsense


def balanced(value: float | None = 1000.0, died: bool = False) -> Story:
    """A failover whose account drill-1 was read, and drill-2 where it was not lost."""
    story = good_failover().balance(300, "drill-1", value)
    return story.mark(50, "witness.died", name="prober") if died else story


def test_one_balance_that_was_not_read_is_enough() -> None:
    """Others that add up say nothing of it; and two things that are not proven are two parts of one sentence."""
    found = one(balanced().balance(301, "drill-2", None), BALANCES)
    assert (found.verdict.value, found.reason, found.data["checked"]) == (
        "INVALID",
        "1 balances could not be read",
        1,
    )
    died = balanced(died=True).mark(60, "witness.died", name="pulse")
    assert one(died, BALANCES).reason == f"proves nothing: {DIED}; the witness pulse died during the drill"


@pytest.mark.parametrize(
    ("story", "verdict", "reason", "checked", "unread"),
    [
        (balanced(), "PASS", "1 accounts add up, nothing twice, nothing missing", 1, 0),
        (balanced(None), "INVALID", "1 balances could not be read", 0, 1),
        (balanced(died=True), "INVALID", f"proves nothing: {DIED}", 1, 0),
        (
            balanced().read(400, {"u9-1": "settled"}),
            "INVALID",
            "proves nothing: the ledger does not hold 1 writes that were read back (first: u9-1)",
            1,
            0,
        ),
        (
            balanced(2000.0),
            "FAIL",
            "1 of 1 accounts do not add up: 1 duplicate writes, 0 missing, 0 too much (first account: drill-1)",
            1,
            0,
        ),
        (
            balanced(0.0, died=True),
            "FAIL",
            "1 of 1 accounts do not add up: 0 duplicate writes, 1000 missing, 0 too much (first account: drill-1)",
            1,
            0,
        ),
    ],
    ids=["right", "unread", "nothing proven", "strange writes", "twice", "missing, and nothing proven"],
)
def test_balances_are_told_whole(story: Story, verdict: str, reason: str, checked: int, unread: int) -> None:
    """The sentence, and how many accounts it is of; what does not add up stands on its own."""
    found = one(story, BALANCES)
    assert (found.verdict.value, found.reason) == (verdict, reason)
    assert (found.data["checked"], found.data["unread"]) == (checked, unread)
    assert [row["account"] for row in found.data["rows"]] == (["drill-1"] if verdict == "FAIL" else [])


def test_a_speed_that_was_not_held_is_told_by_its_first_case() -> None:
    """What, as declared, how long it took, how often, and what to do."""
    story = good_failover().mark(300, "lab.overrun", what="switchover", declared_s=120, took_s=200)
    assert one(story.mark(301, "lab.overrun", what="canary", declared_s=1, took_s=9), "lab speed") == Finding(
        "lab speed",
        Verdict.INVALID,
        "this machine did not hold the lab's speed 2 times: switchover is declared as 120 lab s and took 200 lab s",
        advice="lower --lab-speed",
        data={"overruns": 2},
    )
    bare = one(good_failover().mark(300, "lab.overrun"), "lab speed")
    assert bare.reason.endswith("1 times: ? is declared as ? lab s and took ? lab s")


def test_a_history_that_makes_no_sense_says_what_was_met() -> None:
    """The kind of the error and its words, as a finding of the evidence."""
    history = good_failover().history()
    told = replace(history, header=history.header | {"windows": 5})
    (found,) = [f for f in judge(told).findings if f.name == "evidence"]
    assert found.reason == "the evidence makes no sense (TypeError: 'int' object is not iterable)"
    worse = replace(told, watchdog=({"event": "noticed"},))
    of_evidence = [f for f in judge(worse).findings if f.name == "evidence"]
    assert [f.verdict for f in of_evidence] == [Verdict.INVALID, Verdict.INVALID]
    assert of_evidence[0].reason == "the evidence makes no sense (KeyError: 'at_s')"
    assert of_evidence[0].reason.startswith("the evidence makes no sense (") and "None" not in of_evidence[0].reason


def test_nothing_measured_says_so_with_its_limit() -> None:
    """Neither a problem of the window nor one of the looks: the words for that."""
    story = good_failover()
    story.observations.clear()
    found = one(story, TIME)
    assert (found.verdict, found.limit_s, found.interval) == (Verdict.INVALID, 600, None)
    assert "no probe succeeded before the end of the window, so there is no healthy baseline" in found.reason


# -- notes


def noted(story: Story, kind: str = "lab") -> tuple[str, ...]:
    """The notes of a story, as a lab's."""
    history = story.history()
    return judge(replace(history, header=history.header | {"target_kind": kind})).notes


@pytest.mark.parametrize(
    ("looks", "told"),
    [
        ({}, "nobody can tell whether 2 took effect"),
        ({"u1-4": "settled"}, "1 took effect, 0 did not, nobody can tell whether 1 took effect"),
        ({"u1-4": "absent", "u1-5": "absent"}, "0 took effect, 2 did not"),
        ({"u1-4": "settled", "u1-5": "absent"}, "1 took effect, 1 did not"),
    ],
)
def test_what_became_of_unanswered_writes_is_told_as_far_as_it_is_known(looks: dict[str, str], told: str) -> None:
    """How many took effect, how many did not, of how many nobody can tell; nothing is said of none."""
    story = good_failover(target={**Story().target, "writes": {"read_path": "/by-key/{key}"}})
    story.write("u1-4", 5, None, "indeterminate").write("u1-5", 5, 6, "indeterminate").read(381, looks)
    (note,) = [n for n in noted(story) if "indeterminate" in n]
    assert note == (
        "failover: 2 indeterminate writes were sent and never answered: they count neither as acknowledged nor as "
        f"lost; {told}"
    )


def test_notes_say_whose_seconds_they_are() -> None:
    """Outages, errors and old answers: in lab seconds for a lab, in seconds elsewhere."""
    story = good_failover().look(300, 300.5, FAIL)
    story.target = story.target | {"dns": {"ttl_s": 10.0}}
    for at_s in range(-20, 320, 5):
        place = {"authoritative": OSAKA_PEER if at_s > 50 else TOKYO_PEER, "resolver:slow": TOKYO_PEER}
        for vantage, peer in place.items():
            at = story.at(at_s), story.at(at_s + 0.1)
            story.observations.append(Observation(*at, "dns", vantage, OK, peer, "ttl=10 rcode=NOERROR"))
    for kind, unit in (("lab", "lab s"), ("aws", "s")):
        (held,) = [n for n in noted(story, kind) if "held an old answer" in n]
        assert held.startswith("failover: resolver:slow held an old answer 2") and f" {unit} past its TTL" in held


def test_only_pinned_requests_of_the_window_are_counted() -> None:
    """Its first and last instants belong to it; others, and those that are not pinned, do not count."""
    story = good_failover()
    mine = {story.at(0), story.at(290)}
    for at_s in (-1.0, 0.0, 290.0, 291.0):
        found = next(r for r in story.requests if r.sent_s == story.at(at_s))
        story.requests[story.requests.index(found)] = replace(found, pinned=True)
    assert {r.sent_s for r in story.requests if r.pinned} > mine
    assert "failover: 2 requests went over connections pinned to an address no longer in DNS" in noted(story)


# -- two Regions at once, staying, names


def split(first: str, *others: tuple[float, float, str, str]) -> list[str]:
    """Notes of a window from 100 to 200 in which Osaka took its first write at 150; others: sent, known, result,
    address."""
    story = Story().window(100, 200).write("a-1", 149, 150)
    story.writes[-1] = replace(story.writes[-1], peer=first)
    for n, (sent_s, known_s, result, peer) in enumerate(others, start=2):
        story.write(f"a-{n}", sent_s, known_s, result)  # type: ignore[arg-type]
        story.writes[-1] = replace(story.writes[-1], peer=peer)
    history, window = _window(story)
    return list(side_by_side(history, window, settings_of(history).places.region_of))


def test_two_regions_that_acknowledge_at_once_are_named() -> None:
    """Sent after the survivor's first acknowledgement and acknowledged by another Region, within the window."""
    after = (151.0, 152.0, "acked", TOKYO_PEER)
    assert split(OSAKA_PEER, after, (160, 200, "acked", TOKYO_PEER)) == [
        f"failover: 2 writes were acknowledged by {TOKYO} after {OSAKA} had begun to acknowledge some: both took "
        "writes at the same time"
    ]
    refused, under_way = (151.0, 152.0, "refused", TOKYO_PEER), (150.0, 152.0, "acked", TOKYO_PEER)
    later, nobodys = (160.0, 201.0, "acked", TOKYO_PEER), (151.0, 152.0, "acked", "192.0.2.1")
    assert split(OSAKA_PEER, refused, under_way, later, nobodys) == []
    assert split(TOKYO_PEER, after) == []


def stays(story: Story) -> Finding:
    """Whether Tokyo stays, looked at from 0 to 100 s."""
    history = story.mark(0, STAY_BEGIN, region=TOKYO, for_s=100.0).mark(100, STAY_END, region=TOKYO).history()
    (found,) = staying_findings(history, settings_of(history))
    return found


def test_staying_is_told_whole() -> None:
    """Name, sentence and counts of each of its four ends."""
    assert stays(Story().looks(0, 101)) == Finding(
        f"stays, {TOKYO}",
        Verdict.PASS,
        f"51 writes in 100 s, all served from {TOKYO}",
        data={"looks": 51, "bad": 0},
    )
    assert stays(Story().looks(0, 100).look(100, 100.5, FAIL)) == Finding(
        f"stays, {TOKYO}",
        Verdict.FAIL,
        f"clients were not served from {TOKYO} for good: 1 of 51 writes failed and 0 were served elsewhere, the "
        "first after 100 s (503)",
        data={"looks": 51, "bad": 1},
    )
    assert stays(Story().looks(0, 8)) == Finding(
        f"stays, {TOKYO}",
        Verdict.INVALID,
        "proves nothing: 4 writes are known of, 5 needed",
        data={"looks": 4, "bad": 0},
    )
    history = Story().mark(0, STAY_BEGIN, region=TOKYO, for_s=100.0).history()
    assert list(staying_findings(history, settings_of(history))) == [
        Finding(
            f"stays, {TOKYO}",
            Verdict.INVALID,
            f"the drill was cut short while it looked whether {TOKYO} stays",
        )
    ]


def test_being_served_by_nobody_known_is_not_staying() -> None:
    """The address belongs to no Region of the target: said so."""
    story = Story().looks(0, 101)
    story.observations = [replace(o, value="192.0.2.1") for o in story.observations]
    assert "51 were served elsewhere, the first after 0 s (served from no known Region)" in stays(story).reason


ANSWERS: list[tuple[float, Outcome, str, str]] = [
    (-5, OK, TOKYO_PEER, "ttl=60 rcode=NOERROR"),
    (0, OK, TOKYO_PEER, "ttl=30 rcode=NOERROR"),
    (10, OK, f"{TOKYO_PEER},{OSAKA_PEER}", "ttl=20 rcode=NOERROR"),
    (20, OK, "192.0.2.1", "no figures"),
    (30, FAIL, "", "ttl=7 rcode=NXDOMAIN"),
    (40, UNKNOWN, "", "timeout"),
    (50, OK, OSAKA_PEER, "ttl=x rcode=NOERROR"),
    (60, OK, OSAKA_PEER, "ttl=10 rcode=NOERROR"),
]


def answered(answers: list[tuple[float, Outcome, str, str]]) -> dict[str, object]:
    """The row of one server that answered so; each look took a tenth of a target second, the first none."""
    story = Story().window(0, 100)
    for at_s, outcome, peer, detail in answers:
        sent_s, done_s = story.at(at_s), story.at(at_s + (0.1 if at_s else 0.0))
        story.observations.append(Observation(sent_s, done_s, "dns", "resolver:a", outcome, peer, detail))
    history, window = _window(story)
    (server,) = servers_of(history, window, settings_of(history), 60.0)
    return server.row()


def test_a_server_is_told_whole() -> None:
    """Shares of every place by its name, bounds of the move, no flap, and the TTLs that it told of what it had."""
    row = answered(ANSWERS)
    assert row == {
        "server": "resolver:a",
        "flaps": 0,
        "shares": {
            TOKYO: 0.142857,
            OSAKA: 0.285714,
            "elsewhere": 0.142857,
            "mixed": 0.142857,
            "no address": 0.142857,
            "no answer": 0.142857,
        },
        "moved_s": [pytest.approx(30.0), pytest.approx(50.1)],
        "held_past_ttl_s": 0.0,
        "ttl_left_s": [10.0, 30.0],
    }


def test_a_server_that_did_not_move_in_the_window_has_no_bounds_of_a_move() -> None:
    """Moved before, not moved, moved with its very last answer only, and none that told a TTL."""
    before = answered([(-9, OK, TOKYO_PEER, ""), (-5, OK, OSAKA_PEER, ""), (5, OK, OSAKA_PEER, "")])
    assert (before["moved_s"], before["ttl_left_s"]) == (None, None)
    assert answered([(-5, OK, TOKYO_PEER, ""), (5, OK, TOKYO_PEER, "")])["moved_s"] is None
    assert answered([(5, OK, OSAKA_PEER, ""), (9, OK, OSAKA_PEER, "")])["moved_s"] is None
    last = answered([(5, OK, TOKYO_PEER, ""), (9, OK, OSAKA_PEER, "")])["moved_s"]
    assert last == [pytest.approx(5.0), pytest.approx(9.1)]


def _window(story: Story) -> tuple[History, Window]:
    history = story.history()
    return history, windows_of(history, settings_of(history).places)[0]


# -- the ledger's end, stores by the client's key, and the rows of vantages


def test_a_torn_ledger_is_a_finding_of_the_run_folder() -> None:
    """Each file by its name and how much was cut off."""
    torn = list(torn_findings(History({}, torn={"ledger-p.bin": 12, "ledger-a.bin": 3})))
    assert [f.reason.partition(",")[0] for f in torn] == [
        "ledger-a.bin ends in an unfinished record of 3 bytes",
        "ledger-p.bin ends in an unfinished record of 12 bytes",
    ]
    assert {(f.name, f.verdict) for f in torn} == {("run folder", Verdict.INVALID)}
    assert torn[0].reason.endswith(", which was cut off: was its writer killed?")


def test_stores_that_are_asked_by_the_clients_key_are_those_without_an_id_in_their_path() -> None:
    """The main one and the named ones; a store without a path is asked by nobody."""
    paths = {"orders": {"read_path": "/orders/{id}"}, "carts": {"read_path": "/carts/{key}"}, "none": {}}
    assert by_key({"target": {"writes": {"read_path": "/by/{key}", "stores": paths}}}) == {"main", "carts"}
    assert by_key({"target": {"writes": {"read_path": "/w/{id}", "stores": paths}}}) == {"carts"}
    assert by_key({"target": {"writes": {}}}) == by_key({"target": None}) == by_key({}) == set()


def test_strays_are_looks_at_what_the_ledger_does_not_hold() -> None:
    """Acknowledged writes may be looked for anywhere they belong and in an archive; others only by their key."""
    story = Story().window(0, 200).write("u-1", 1, 2).write("u-2", 3, None, "indeterminate")
    story.read(201, {"u-1": "settled"})
    story.readbacks.append(Readback(story.at(202), "failover", "archive", "u-1", "settled", ARCHIVE))
    history, window = _window(story)
    assert list(strays(history, window)) == []
    story.read(203, {"u-2": "absent"})
    history, window = _window(story)
    assert list(strays(history, window)) == [
        "the ledger does not hold 1 writes that were read back (first: u-2)",
    ]
    asked = {**story.target, "writes": {"read_path": "/by/{key}"}}
    assert list(strays(replace(history, header=history.header | {"target": asked}), window)) == []
    archived = Readback(story.at(204), "failover", "archive", "u-2", "settled", ARCHIVE)
    more = replace(history, readbacks=(*history.readbacks, archived))
    assert list(strays(replace(more, header=history.header | {"target": asked}), window)) == [
        "the ledger does not hold 1 writes that were read back (first: u-2)",
    ]


def test_a_vantage_is_told_whole() -> None:
    """In target seconds, rounded to a millionth; and the quorum's row behind it."""
    time = RecoveryTime(
        "",
        Interval(10.0, 11.0),
        Interval(20.0, 21.0),
        Interval(9.0, 11.00000004),
        outages=2,
        unavailable=Interval(9.5, float("inf")),
    )
    degraded = Degradation(((1.0, 3.00000004),), 0.12345674, 0.98765432)
    seen = Vantage("reads", time, 1.00000004, degraded, (OSAKA, "elsewhere"), 7)
    row, bare = rows_of([seen, Vantage("x", RecoveryTime("why"), None, Degradation(), (), 0)], 10.0)
    assert row == {
        "vantage": "reads",
        "recovery_s": [90.0, 110.0],
        "estimate_s": 10.0,
        "outages": 2,
        "unavailable_s": [95.0, None],
        "looks": 7,
        "served_share": 0.987654,
        "lowest_share": 0.123457,
        "degraded_s": 20.0,
        "served_from": [OSAKA, "elsewhere"],
        "problem": "",
    }
    assert (bare["recovery_s"], bare["estimate_s"], bare["served_share"], bare["problem"]) == (
        None,
        None,
        None,
        "why",
    )
    *_, last = rows_of([seen, seen, seen], 10.0)
    assert last == {"vantage": "quorum of 3", "recovery_s": [90.0, 110.0]}
    assert len(rows_of([seen], 10.0)) == 1
