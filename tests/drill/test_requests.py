"""Requests of the load survive their file, whatever they say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drill.ledger import read_lines
from drill.redact import keep_secret
from drill.timeline import Outcome, Request, RequestFile, request_from

STAMPS = st.floats(0, 1e9, allow_nan=False)


@given(
    request=st.builds(
        Request,
        sent_s=st.just(1.0),
        done_s=st.floats(1.0, 1e9),
        name=st.text(),
        outcome=st.sampled_from(Outcome),
        status=st.integers(0, 599),
        peer=st.text(),
        reused=st.booleans(),
        pinned=st.booleans(),
        detail=st.text(),
        cohort=st.text(),
        planned_s=st.none() | STAMPS,
    )
)
def test_a_request_is_read_as_it_was_added(tmp_path_factory: pytest.TempPathFactory, request: Request) -> None:
    """Line breaks and quotes in what a system says included; nothing before the flush."""
    folder = tmp_path_factory.mktemp("requests")
    file = RequestFile(folder, "a")
    file.add(request)
    path = folder / "requests-a.jsonl"
    assert read_lines(path) == []
    file.close()
    assert [request_from(record) for record in read_lines(path)] == [request]


def test_what_becomes_a_secret_is_hidden_from_the_next_flush_on(tmp_path: Path) -> None:
    """Lines that repeat themselves are made once a flush, not once and for all."""
    file, path = RequestFile(tmp_path, "a"), tmp_path / "requests-a.jsonl"
    request = Request(1.0, 2.0, "read", Outcome.FAIL, detail="said hush-hush-4711 500")
    file.add(request)
    file.add(request)
    file.flush()
    keep_secret("hush-hush-4711")
    file.add(request)
    file.close()
    assert [record["detail"] for record in read_lines(path)] == [
        "said hush-hush-4711 500",
        "said hush-hush-4711 500",
        "said [redacted] 500",
    ]


def test_requests_that_look_alike_are_told_apart(tmp_path: Path) -> None:
    """Every field of what a request saw counts, its stamps aside."""
    alike = Request(1.0, 2.0, "read", Outcome.OK, 200, "127.0.0.1", True, False, "settled", "kept", 0.5)
    others = [
        replace(alike, **{name: value})
        for name, value in {
            "name": "deposit", "outcome": Outcome.FAIL, "status": 1, "peer": "127.0.0.2", "reused": False,
            "pinned": True, "detail": "absent", "cohort": "task", "planned_s": None, "sent_s": 1.5, "done_s": 2.5,
        }.items()
    ]  # fmt: skip
    file = RequestFile(tmp_path, "a")
    for request in (alike, *others, alike):
        file.add(request)
    file.close()
    assert [request_from(r) for r in read_lines(tmp_path / "requests-a.jsonl")] == [alike, *others, alike]
