"""Requests of the load survive their file, whatever they say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drill.ledger import read_lines
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
