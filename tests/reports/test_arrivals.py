"""Requests in columns are the requests that were written, and what is none is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drill.timeline import Outcome, Request, RequestFile, load_history
from reports.arrivals import Arrivals, arrivals_of, read_arrivals

WORDS = st.sampled_from(["", "deposit", 'a "quoted", word', "x,}\n", "é\u2028", "planned_s"])
REQUESTS = st.builds(
    lambda sent, took, plan, *rest: Request(sent, sent + took, *rest, planned_s=plan),
    st.floats(0, 1e6),
    st.floats(0, 100),
    st.none() | st.floats(0, 1e6),
    WORDS,
    st.sampled_from([Outcome.OK, Outcome.FAIL]),
    st.integers(0, 599),
    WORDS,
    st.booleans(),
    st.booleans(),
    WORDS,
    WORDS,
)
GOOD = (
    '{"sent_s":1.0,"done_s":2.0,"name":"n","outcome":"OK","status":200,"peer":"p","reused":false,"pinned":false,'
    '"detail":"","cohort":"","planned_s":null}\n'
)


def told(columns: Arrivals) -> list[tuple[object, ...]]:
    """The requests of the columns, one by one."""
    kinds = [(k.name, k.outcome, k.status, k.peer, k.pinned, k.detail, k.cohort) for k in columns.kinds]
    stamps = zip(columns.sent_s, columns.done_s, columns.due_s, columns.kind, strict=True)
    return [(sent, done, due, *kinds[kind]) for sent, done, due, kind in stamps]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(st.lists(REQUESTS, max_size=20))
def test_columns_hold_what_was_written(tmp_path: Path, requests: list[Request]) -> None:
    """Whatever a load wrote is read as the objects would be, request by request."""
    (tmp_path / "run.json").write_text('{"format": 1, "speed": 1}')
    (tmp_path / "requests-a.jsonl").unlink(missing_ok=True)
    file = RequestFile(tmp_path, "a")
    for request in requests:
        file.add(request)
    file.close()
    assert told(read_arrivals(tmp_path)) == told(arrivals_of(load_history(tmp_path).requests))


def test_other_forms_of_the_same_are_read(tmp_path: Path) -> None:
    """A line whose keys stand in another order, or that lacks some, is read all the same; a torn one is not."""
    swapped = {"done_s": 4.0, "sent_s": 3.0} | {k: v for k, v in json.loads(GOOD).items() if not k.endswith("_s")}
    late = json.loads(GOOD) | {"done_s": 9.0, "planned_s": 0.5}
    lines = [GOOD, json.dumps(swapped) + "\n", json.dumps(late, separators=(",", ":")) + "\n", GOOD, GOOD[:40]]
    (tmp_path / "requests-a.jsonl").write_text("".join(lines))
    found = read_arrivals(tmp_path)
    assert list(zip(found.sent_s, found.done_s, found.due_s, strict=True)) == [
        (1.0, 2.0, 1.0),
        (3.0, 4.0, 3.0),
        (1.0, 9.0, 0.5),
        (1.0, 2.0, 1.0),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "no request\n",
        "[]\n",
        GOOD.replace("2.0", "0.5"),
        GOOD.replace("2.0", "NaN"),
        GOOD.replace("1.0", "x"),
        GOOD.replace("null", "x"),
        GOOD.replace("null", "Infinity"),
        GOOD.replace('"OK"', '"MAYBE"'),
    ],
)
def test_what_is_no_request_is_named(tmp_path: Path, line: str) -> None:
    """File and line of what cannot be a request are said."""
    (tmp_path / "requests-a.jsonl").write_text(GOOD + GOOD + line)
    with pytest.raises(ValueError, match=r"requests-a.jsonl, line 3: not such a record"):
        read_arrivals(tmp_path)


def test_latency_counts_from_when_it_was_due() -> None:
    """Time that a request waited for a free user is latency."""
    found = arrivals_of([Request(10.0, 10.5, "n", Outcome.OK, planned_s=9.0)])
    assert np.allclose(found.taken_ms, [1500.0])
