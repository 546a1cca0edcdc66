"""What several kinds of client saw, what the resolvers said, and how exact the machine is: in table and page."""

from __future__ import annotations

from typing import Any

from drill.verdict import Finding, Interval, Verdict, conclude
from reports.page import page
from reports.run import Run
from reports.table import WIDTH, table
from tests.reports.runs import history, run

OSAKA = ["ap-northeast-3"]
VANTAGES: list[dict[str, Any]] = [
    {
        "vantage": "write.settle",
        "recovery_s": [238.0, 243.0],
        "estimate_s": 240.4,
        "served_share": 0.12,
        "served_from": OSAKA,
    },
    {"vantage": "reads, pinned clients", "recovery_s": [290.8, None], "served_share": 0.0, "served_from": []},
    {"vantage": "quorum of 2", "recovery_s": None},
]
NAMES: list[dict[str, Any]] = [
    {
        "server": "resolver:<b>",
        "shares": {"ap-northeast-1": 0.25, "no answer": 0.75},
        "moved_s": [139.6, 140.7],
        "ttl_left_s": [1.0, 59.0],
        "flaps": 2,
        "held_past_ttl_s": 12.25,
    }
]
CALIBRATION = {
    "created": "2026-11-22T10:20:58+00:00",
    "rate_hz": 1000.0,
    "outages": 1000,
    "covered": 1000,
    "error_s": {"median": 0.00084, "p95": 0.0041, "worst": 0.0293},
    "writes": 2000,
    "writes_right": 2000,
}


def seen(**header: Any) -> Run:
    """A run whose recovery time carries these rows."""
    data = {"vantages": VANTAGES, "names": NAMES}
    finding = Finding("recovery time, failover", Verdict.PASS, "met", 600.0, Interval(238.0, 243.0), data=data)
    return run(history=history(**header), judgement=conclude([finding]))


def test_each_vantage_has_a_row_in_the_table() -> None:
    """Bounds, estimate, share and Region; what never recovered has no end, what is not known says so."""
    rows = [" ".join(line.split()) for line in table(seen()).splitlines()]
    assert "failover: write.settle [238.0, 243.0 lab s] 240.4 lab s 12.0% Osaka" in rows
    assert "failover: reads, pinned clients [290.8 lab s, infinity) 0.0%" in rows
    assert "failover: quorum of 2 not measured" in rows


def test_the_accuracy_of_the_machine_stands_above_the_numbers() -> None:
    """The calibration that the run was made with; without one, what to type."""
    words = " ".join(table(seen(calibration=CALIBRATION)).split())
    assert "of 1000 planted outages 1000 lay within the bounds" in words
    assert "median 0.8 ms, 95 % below 4.1 ms, worst 29.3 ms; 2000 of 2000 planted writes right." in words
    for none in ({}, {"calibration": None}, {"calibration": {"created": 1}}):
        assert "Not calibrated on this machine: its accuracy is not known; run: drill calibrate." in " ".join(
            table(seen(**none)).split()
        )
    assert max(map(len, table(seen(calibration=CALIBRATION)).splitlines()[:8])) <= WIDTH


def test_the_page_has_both_and_the_resolvers() -> None:
    """Shares, TTL, flaps and answers held too long; names from outside are escaped."""
    text = page(seen(calibration=CALIBRATION))
    assert "Calibrated on this machine on 2026-11-22" in text
    assert "failover: reads, pinned clients" in text and "Seen from" in text
    assert "resolver:&lt;b&gt;" in text and "resolver:<b>" not in text
    assert "Tokyo 25%, no answer 75%" in text and "[139.6, 140.7 lab s]" in text
    assert "1 to 59" in text and "12.2 lab s" in text
