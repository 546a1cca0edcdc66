"""An onlooker sees what a drill writes, line by whole line, and keeps no more than is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from drill import onlooker
from drill.clock import SystemClock
from drill.onlooker import Onlooker
from drill.timeline import Outcome, Request, RequestFile, Timeline
from tests.reports.runs import OSAKA, header


def test_an_onlooker_sees_marks_and_requests_as_they_are_written(tmp_path: Path) -> None:
    """A line that is being written is seen when it is whole; the drill's own reading is not touched."""
    timeline = Timeline.create(tmp_path / "run", SystemClock(10.0), header(scenario="loss"))
    on = Onlooker(tmp_path / "run")
    assert (on.clock.speed, on.scenario, on.target.name) == (10.0, "loss", "core-banking")
    timeline.phase("baseline")
    load = RequestFile(tmp_path / "run", "0")
    load.add(Request(1.0, 2.0, "deposit", Outcome.OK, 200, OSAKA))
    load.close()
    with (tmp_path / "run" / "events.jsonl").open("a") as file:
        file.write('{"at_s": 1.0, "name": ')
    on.refresh()
    assert [e.name for e in on.events] == ["phase"]
    assert [r.peer for r in on.requests] == [OSAKA]
    with (tmp_path / "run" / "events.jsonl").open("a") as file:
        file.write('"torn", "data": {}}\n')
    on.refresh()
    on.refresh()
    assert [e.name for e in on.events] == ["phase", "torn"]
    assert timeline.requests == []
    timeline.close()


def test_an_onlooker_keeps_only_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour of load does not fill the memory of who looks on."""
    monkeypatch.setattr(onlooker, "KEPT", 3)
    Timeline.create(tmp_path / "run", SystemClock(), header()).close()
    load = RequestFile(tmp_path / "run", "0")
    for n in range(5):
        load.add(Request(n, n, "deposit", Outcome.OK))
    load.close()
    on = Onlooker(tmp_path / "run")
    on.refresh()
    assert [r.sent_s for r in on.requests] == [2.0, 3.0, 4.0]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"speed": 1}', '{"speed": 1, "target": {}}'])
def test_what_is_no_header_is_told(tmp_path: Path, text: str) -> None:
    """As one kind of error, whatever is wrong."""
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ValueError, match=r"."):
        Onlooker(tmp_path)
