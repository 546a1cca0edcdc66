"""From looks at the survivor to columns: which payload, which Region, how many copies, and which looks count."""

from __future__ import annotations

import pytest

from checks.looks import final_states, reconciled, spoiled_passes
from checks.reconcile import FATES
from checks.windows import settings_of, windows_of
from drill.ledger import Write
from drill.timeline import Readback
from tests.checks.histories import OSAKA, OSAKA_PEER, TOKYO, TOKYO_PEER, Story

SHA, NEAR = "f" * 64, "f" * 15 + "e" + "f" * 48
"""Two payloads; the digests differ in their sixteenth digit alone, the last that is compared."""
FAR = "f" * 16 + "0" * 48
PLACES = {TOKYO_PEER: TOKYO, OSAKA_PEER: OSAKA}


def write(key: str = "p-1", peer: str = TOKYO_PEER, digest: str = "", store: str = "main") -> Write:
    """An acknowledged write."""
    return Write(key, "deposit", "a", 1.0, 1.0, 1.1, "acked", f"id-{key}", 200, peer, store, digest)


def look(key: str = "p-1", region: str = "", digest: str = "", copies: int | None = None) -> Readback:
    """It is settled, and this is what the store shows of it."""
    return Readback(9.0, "failover", "settled", key, "settled", copies=copies, digest=digest, region=region)


def counted(writes: list[Write], looks: list[Readback], store: str = "main") -> dict[str, int]:
    """Fates and marks that are not none."""
    found = reconciled([(w, store) for w in writes], looks, PLACES.get)
    return {name: count for name, count in found.counts().items() if count}


@pytest.mark.parametrize(
    ("sent", "shown", "changed"),
    [(SHA, SHA, False), (SHA, NEAR, True), (NEAR, SHA, True), (SHA, FAR, False), ("", SHA, False), (SHA, "", False)],
)
def test_a_changed_payload_is_told_by_the_first_half_of_what_both_say(sent: str, shown: str, changed: bool) -> None:
    """64 bits of it, exactly, whatever stands beside it; a store or a ledger that says none says nothing."""
    small = "0" * 15 + "1" + "0" * 48
    found = counted([write(digest=sent), write("p-2", digest=small)], [look(digest=shown), look("p-2", digest=small)])
    assert found == {"surviving": 2} | ({"changed": 1} if changed else {})


@pytest.mark.parametrize(
    ("peer", "says", "both"),
    [
        (TOKYO_PEER, TOKYO, False),
        (TOKYO_PEER, OSAKA, True),
        (OSAKA_PEER, TOKYO, True),
        (TOKYO_PEER, "", False),
        ("192.0.2.1", OSAKA, False),
        ("", TOKYO, False),
        ("", "", False),
    ],
)
def test_a_write_taken_by_two_regions_is_told_where_both_are_known(peer: str, says: str, both: bool) -> None:
    """By the address that acknowledged it and by the store; whoever is known to neither is nobody's."""
    others = [write("p-2", TOKYO_PEER), write("p-3", OSAKA_PEER)]
    looks = [look(region=says), look("p-2", TOKYO), look("p-3", OSAKA)]
    for writes in ([write(peer=peer), *others], [*others, write(peer=peer)]):
        assert counted(writes, looks) == {"surviving": 3} | ({"accepted by both Regions": 1} if both else {})


@pytest.mark.parametrize(
    ("copies", "twice"), [(None, 0), (0, 0), (1, 0), (2, 1), (65_535, 1), (65_536, 1), (10**9, 1)]
)
def test_more_than_one_copy_is_a_duplicate_however_many(copies: int | None, twice: int) -> None:
    """A store that does not count says nothing of it."""
    assert counted([write()], [look(copies=copies)]).get("duplicated", 0) == twice


def test_looks_at_another_store_or_of_another_pass_are_none_of_this_ones() -> None:
    """Neither settled nor stray: nobody looked."""
    other = [Readback(9.0, "failover", "settled", "p-1", "settled", "carts"), look("p-9")]
    archive = Readback(9.0, "failover", "archive", "p-1", "settled")
    assert counted([write()], [*other, archive]) == {"unknown": 1}
    assert FATES[reconciled([(write(store="carts"), "carts")], other, PLACES.get).fate[0]] == "surviving"


def test_a_read_back_from_elsewhere_counts_from_the_windows_very_begin() -> None:
    """What was read before it is of the window before."""
    for at_s, spoiled in ((-0.1, []), (0.0, ["where"])):
        story = Story().window(0, 200).write("u-1", 1, 2).read(290, {"u-1": "settled"})
        story.mark(at_s, "readback", window="failover", pass_="recovery", region=TOKYO)
        history = story.history()
        window = windows_of(history, settings_of(history).places)[0]
        assert [what for what, _ in spoiled_passes(history, window, 0.0)] == spoiled


@pytest.mark.parametrize(("pass_", "spoiled"), [("settled", ["settled"]), ("recovery", [])])
def test_a_settled_pass_is_begun_by_its_mark_before_its_first_look(pass_: str, spoiled: list[str]) -> None:
    """The mark of another pass does not begin it."""
    story = Story().window(0, 200).write("u-1", 1, 2).read(260, {"u-1": "settled"})
    history = story.mark(255, "readback", window="failover", pass_=pass_, region=OSAKA).history()
    window = windows_of(history, settings_of(history).places)[0]
    assert [what for what, _ in spoiled_passes(history, window, 6.0)] == spoiled


def test_a_write_that_only_an_archive_was_asked_for_has_no_known_state() -> None:
    """Each store of a write has a state of its own, and what no pass of the read-back looked at is unknown."""
    looks = [
        Readback(9.0, "failover", "archive", "p-1", "settled", "carts"),
        Readback(9.0, "failover", "settled", "p-1", "absent"),
        Readback(9.0, "failover", "settled", "p-1", "settled", "orders"),
    ]
    states = {("p-1", "carts"): "unknown", ("p-1", "main"): "absent", ("p-1", "orders"): "settled"}
    assert final_states(looks, "failover") == states
