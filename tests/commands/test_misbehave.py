"""`drill lab misbehave`: a person spoils a running lab, sees what it does, and mends it again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands.main import main
from drill.aws import Aws, AwsFailed
from drill.call import Call
from lab.aws.server import AwsServer
from lab.clock import LabClock
from lab.core_banking import settings
from lab.launch import LabInfo
from lab.plan import WorldError

LIST = Call("ecs", "ListClusters", {}, "us-west-2")


@pytest.fixture
def server() -> Iterator[AwsServer]:
    """The API of a lab."""
    aws = AwsServer("127.0.0.1", 0, LabClock.starting_now(100.0))
    aws.start()
    yield aws
    aws.stop()


@pytest.fixture
def state(server: AwsServer, tmp_path: Path) -> str:
    """The state file of that lab, as `drill lab up` writes it."""
    where = ("127.0.0.1", 1)
    files = (tmp_path, tmp_path / "truth", tmp_path / "overruns")
    info = LabInfo("core-banking", 100.0, 0.0, 0.0, server.account, server.url, where, {}, 1, *files, 1)
    path = tmp_path / "lab.json"
    path.write_text(json.dumps(info.to_json()))
    return str(path)


def test_it_misbehaves_tells_and_behaves_again(
    server: AwsServer, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Added, hit, shown with its hits, cleared."""
    aws = Aws(server.url)
    assert main(["lab", "misbehave", "--state", state, "expired ecs"]) == 0
    with pytest.raises(AwsFailed, match="expired"):
        aws.run(LIST)
    assert main(["lab", "misbehave", "--state", state]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "expired ecs:*@*    hit 1 requests"
    assert main(["lab", "misbehave", "--state", state, "--clear"]) == 0
    assert "the lab behaves" in capsys.readouterr().out
    aws.run(LIST)


@pytest.mark.parametrize(("rule", "said"), [("explode", "begins with none of"), ("throttle a b", "expected one")])
def test_a_rule_that_says_nothing_is_a_usage_error(
    state: str, capsys: pytest.CaptureFixture[str], rule: str, said: str
) -> None:
    """Exit code 4 and the lab's own sentence."""
    assert main(["lab", "misbehave", "--state", state, rule]) == 4
    assert said in capsys.readouterr().err


def test_no_lab_and_no_state_file_are_usage_errors(
    server: AwsServer, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What to type next is in the message."""
    assert main(["lab", "misbehave", "--state", "/nowhere"]) == 4
    assert "drill lab up" in capsys.readouterr().err
    server.stop()
    assert main(["lab", "misbehave", "--state", state]) == 4
    assert "no lab answers" in capsys.readouterr().err


def test_a_lab_can_be_started_misbehaving() -> None:
    """The setting holds rules; one that says nothing is refused before anything is started."""
    rules = settings.read(["misbehave=throttle ecs count=3; stale events delay_s=20"])["misbehave"]
    assert [str(rule) for rule in rules] == ["throttle ecs:*@* count=3", "stale events:*@* delay_s=20"]
    with pytest.raises(WorldError, match=r"misbehave.*begins with none of"):
        settings.read(["misbehave=explode"])
