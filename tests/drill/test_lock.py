"""One drill per target: between processes, between machines, after deaths, and never by default."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from drill.aws import Aws, AwsFailed
from drill.call import Call
from drill.clock import FakeClock
from drill.errors import Fenced, Refused
from drill.holder import Holder, this_process
from drill.lock import ExclusiveLock
from drill.lock_file import FileLock
from drill.target import Target, load_target
from lab.aws.dynamodb import GlobalTables
from lab.aws.server import AwsServer
from lab.clock import LabClock
from lab.truth import Truth
from tests.aws_server import moto_process

ROOT = Path(__file__).resolve().parents[2]
REGION = "us-west-2"
SINCE = "2026-11-22T10:00:00+00:00"
ELSEWHERE = {"place": "another machine", "host": "elsewhere"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """One AWS stand-in for this file."""
    with moto_process() as url:
        yield url


@pytest.fixture
def aws(url: str) -> Iterator[Aws]:
    """With the stack's table, empty."""
    aws = Aws(url)
    make_table(aws)
    yield aws
    aws.client("dynamodb", REGION).delete_table(TableName="failover-drill")


def make_table(aws: Aws) -> None:
    """As the stack has it."""
    aws.client("dynamodb", REGION).create_table(
        TableName="failover-drill",
        AttributeDefinitions=[{"AttributeName": "PK", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )


def target(kind: str = "lab") -> Target:
    """The shipped target, as a lab's or a real one."""
    shipped = load_target(ROOT / "targets" / "core-banking.toml")
    return shipped if kind == "lab" else shipped.model_copy(update={"kind": "aws", "lab": None})


def lock(aws: Aws, folder: Path, kind: str = "aws", clock: FakeClock | None = None) -> ExclusiveLock:
    """A lock whose machine is the folder `folder`: two folders are two machines."""
    return ExclusiveLock.of(target(kind), aws, clock or FakeClock(), folder / "locks")


def run_folder(folder: Path, journal: str = "") -> Path:
    """A run folder with that journal."""
    run = folder / "run"
    run.mkdir(exist_ok=True)
    (run / "journal.jsonl").write_text(journal)
    return run


def item(aws: Aws) -> dict[str, Any]:
    """The lock's item as it lies in the table."""
    key = {"PK": {"S": "lock#core-banking"}}
    reply = aws.client("dynamodb", REGION).get_item(TableName="failover-drill", Key=key, ConsistentRead=True)
    return dict(reply.get("Item", {}))


def change_holder(aws: Aws, **values: str) -> None:
    """Make the item's holder another one (of another machine, say)."""
    found = item(aws)
    found["holder"]["M"] |= {name: {"S": value} for name, value in values.items()}
    aws.client("dynamodb", REGION).put_item(TableName="failover-drill", Item=found)


def dead_process() -> int:
    """The id of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def dead(folder: Path, run_id: str = "dead1234") -> Holder:
    """A holder of this machine whose process has ended."""
    return dataclasses.replace(this_process(run_id, folder, SINCE), pid=dead_process())


# -- between machines


def test_the_lock_is_taken_renewed_checked_and_given_back(aws: Aws, tmp_path: Path) -> None:
    """The item names its holder, since when and until when; the epoch goes up and is never taken back."""
    clock = FakeClock()
    one = lock(aws, tmp_path, clock=clock)
    assert "epoch 1" in one.acquire("abcd1234", run_folder(tmp_path))
    one.check()
    found = item(aws)
    assert found["epoch"] == {"N": "1"}
    assert found["holder"]["M"]["run_id"] == {"S": "abcd1234"}
    assert found["holder"]["M"]["pid"] == {"N": str(os.getpid())}
    clock.date += timedelta(seconds=30)
    clock.sleep(30)
    assert one.renew() == ""
    assert int(item(aws)["expires_at"]["N"]) == int(found["expires_at"]["N"]) + 30
    one.release()
    assert item(aws).keys() == {"PK", "epoch"}
    assert "epoch 2" in one.acquire("abcd1235", run_folder(tmp_path))
    one.release()
    assert not (tmp_path / "locks").exists()


def test_a_second_machine_is_refused_and_told_who_when_and_what_to_type(aws: Aws, tmp_path: Path) -> None:
    """Holder, since when, how long silent, and how to take over a dead one."""
    first, second = lock(aws, tmp_path / "a"), lock(aws, tmp_path / "b")
    for name in "ab":
        (tmp_path / name).mkdir()
    first.acquire("abcd1234", run_folder(tmp_path / "a"))
    change_holder(aws, **ELSEWHERE)
    second.clock.date += timedelta(hours=1)  # type: ignore[attr-defined]
    with pytest.raises(Refused) as refused:
        second.acquire("ffff0000", run_folder(tmp_path / "b"))
    said = str(refused.value)
    for words in (
        "run abcd1234 by ",
        " on elsewhere (process ",
        "since 2026-01-01T00:00:00+00:00",
        "not renewed for",
    ):
        assert words in said
    assert "drill unlock --target core-banking --holder abcd1234" in said
    assert not (tmp_path / "b" / "locks").exists()
    assert item(aws)["epoch"] == {"N": "1"}


@pytest.fixture
def atomic(tmp_path: Path) -> Iterator[Aws]:
    """The lab's DynamoDB, whose conditional writes are atomic as AWS's are; moto's own are not between threads."""
    clock = LabClock.starting_now(10.0)
    server = AwsServer("127.0.0.1", 0, clock)
    server.start()
    tables = GlobalTables(server, clock, Truth(tmp_path, clock), 0.0)
    tables.start()
    make_table(Aws(server.url))
    yield Aws(server.url)
    tables.stop()
    server.stop()


def test_of_many_that_come_at_once_one_gets_it(atomic: Aws, tmp_path: Path) -> None:
    """Four machines, one lock; the others are refused and hold nothing."""
    aws = atomic
    got: list[str] = []
    refused: list[str] = []
    gate = threading.Barrier(4)

    def come(number: int) -> None:
        one = lock(Aws(aws.endpoint_url), tmp_path / str(number))
        (tmp_path / str(number)).mkdir()
        one.account.look()  # the client is there: what follows is quick
        gate.wait(120)
        try:
            one.acquire(f"run-{number}", tmp_path)
        except Refused as error:
            refused.append(str(error))
        else:
            got.append(f"run-{number}")

    threads = [threading.Thread(target=come, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(180)
    assert len(got) == 1, refused
    assert len(refused) == 3
    assert item(aws)["holder"]["M"]["run_id"] == {"S": got[0]}
    assert item(aws)["epoch"] == {"N": "1"}


@pytest.mark.parametrize("what", ["epoch", "holder", "table"])
def test_a_drill_whose_lock_was_taken_is_fenced(aws: Aws, tmp_path: Path, what: str) -> None:
    """By whoever raised the epoch (the dead-man, an unlock), another holder, or the loss of the table."""
    clock = FakeClock()
    one = lock(aws, tmp_path, clock=clock)
    one.acquire("abcd1234", run_folder(tmp_path))
    dynamodb = aws.client("dynamodb", REGION)
    if what == "epoch":
        dynamodb.put_item(TableName="failover-drill", Item=item(aws) | {"epoch": {"N": "2"}})
    elif what == "holder":
        change_holder(aws, run_id="other123")
    else:
        dynamodb.delete_table(TableName="failover-drill")
    with pytest.raises(Fenced, match="was taken from this drill"):
        one.check()
    if what == "table":
        make_table(aws)
    clock.sleep(60)
    with pytest.raises(Fenced):
        one.renew()
    with pytest.raises(Fenced):
        one.release()


def test_a_real_account_without_the_table_is_refused(url: str, tmp_path: Path) -> None:
    """Mandatory there, with what to type; a lab goes by its machine's lock."""
    with pytest.raises(Refused, match=r"no table failover-drill in us-west-2.*drill install --target core-banking"):
        lock(Aws(url), tmp_path).acquire("abcd1234", tmp_path)
    in_lab = lock(Aws(url), tmp_path, "lab")
    assert "no table: a lab" in in_lab.acquire("abcd1234", tmp_path)
    in_lab.check()
    in_lab.release()


def test_a_lock_that_cannot_be_seen_is_not_had(tmp_path: Path) -> None:
    """An account that does not answer refuses, and leaves nothing held on this machine."""
    for kind in ("lab", "aws"):
        with pytest.raises(Refused, match="cannot be looked at"):
            lock(Aws("http://127.0.0.1:9"), tmp_path, kind).acquire("abcd1234", tmp_path)
    assert not (tmp_path / "locks").exists()


def test_an_item_of_another_shape_is_refused(aws: Aws, tmp_path: Path) -> None:
    """What nobody understands is not free."""
    odd = {"PK": {"S": "lock#core-banking"}, "epoch": {"N": "1"}, "holder": {"M": {"pid": {"N": "1"}}}}
    aws.client("dynamodb", REGION).put_item(TableName="failover-drill", Item=odd)
    with pytest.raises(Refused, match="is no lock"):
        lock(aws, tmp_path).acquire("abcd1234", tmp_path)


class LosesAnswers(Aws):
    """The first UpdateItem takes effect, its answer is lost, and botocore's second attempt is refused."""

    lost = False

    def run(self, call: Call) -> dict[str, Any]:
        """See Aws."""
        if call.operation == "UpdateItem" and not self.lost:
            self.lost = True
            super().run(call)
        return super().run(call)


def test_an_answer_that_is_lost_costs_nothing(aws: Aws, tmp_path: Path) -> None:
    """The second attempt finds our own holder there: it is ours."""
    one = lock(LosesAnswers(aws.endpoint_url), tmp_path)
    one.acquire("abcd1234", run_folder(tmp_path))
    one.check()
    one.release()


def test_a_lock_that_cannot_be_renewed_for_a_whole_lease_stops_the_drill(aws: Aws, tmp_path: Path) -> None:
    """One failed renewal is none; a lease without any is a reason."""
    clock = FakeClock()
    one = lock(aws, tmp_path, clock=clock)
    one.acquire("abcd1234", run_folder(tmp_path))
    one.account.aws = Aws("http://127.0.0.1:9")
    said = []
    for _ in range(4):
        clock.sleep(21)
        said.append(one.renew())
    assert said[:2] == ["", ""]
    assert "could not be renewed for 63 s" in said[2] or "could not be renewed for 84 s" in said[3]


# -- the dead


def test_a_dead_holder_of_this_machine_is_replaced(aws: Aws, tmp_path: Path) -> None:
    """Nothing was left broken: nobody has to type anything; the epoch goes up."""
    one = lock(aws, tmp_path)
    gone = dead(run_folder(tmp_path))
    assert one.machine.acquire(gone) is None
    seen = one.account.look()
    assert seen is not None
    assert one.account.acquire(gone, seen, datetime(2026, 1, 1, tzinfo=UTC))
    assert "epoch 2" in one.acquire("abcd1234", run_folder(tmp_path))
    one.check()
    one.release()


BROKEN = json.dumps(
    {
        "number": 1,
        "state": "injected",
        "change": {
            "kind": "k",
            "target": "t",
            "run_id": "r",
            "resources": ["arn:aws:ecs:ap-northeast-1:1:service/a/b"],
            "effect": "none",
            **{key: [] for key in ("inject", "restore", "faulted", "before", "effective", "healed")},
        },
    }
)


@pytest.mark.parametrize("place", ["machine", "account"])
@pytest.mark.parametrize(
    ("journal", "words"),
    [
        (BROKEN + "\n", "left core-banking changed .*; put it back first: drill restore "),
        ("garbage\n", "left a journal that cannot be read"),
        (None, "is gone, so nobody knows what it left changed; look, then drill unlock"),
    ],
)
def test_a_dead_holder_guards_what_it_left_broken(
    aws: Aws, tmp_path: Path, place: str, journal: str | None, words: str
) -> None:
    """Outstanding, unreadable or gone: refused with what to type, and nothing taken."""
    one = lock(aws, tmp_path)
    gone = dead(tmp_path / "run" if journal is None else run_folder(tmp_path, journal))
    seen = one.account.look()
    assert seen is not None
    if place == "machine":
        one.machine.acquire(gone)
    else:
        one.account.acquire(gone, seen, datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(Refused, match=words):
        one.acquire("abcd1234", tmp_path)
    assert one.holders().keys() == {place}


def test_a_pid_that_came_again_is_not_the_holder(tmp_path: Path) -> None:
    """The same number, another beginning: dead. A process that has ended and was not counted yet: dead."""
    mine = this_process("abcd1234", tmp_path, SINCE)
    assert not mine.dead
    assert dataclasses.replace(mine, started="1").dead
    with subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.DEVNULL) as zombie:
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        assert dataclasses.replace(mine, pid=zombie.pid).dead
    assert not dataclasses.replace(mine, pid=1, started="1", place="another machine").dead


def test_taking_the_place_of_a_dead_drill(aws: Aws, tmp_path: Path) -> None:
    """By its run id, typed: the epoch goes up, so that it is fenced should it wake; then anybody may drill."""
    clock = FakeClock()
    asleep, other = lock(aws, tmp_path / "a", clock=clock), lock(aws, tmp_path / "b")
    for name in "ab":
        (tmp_path / name).mkdir()
    asleep.acquire("abcd1234", run_folder(tmp_path / "a"))
    change_holder(aws, **ELSEWHERE)
    with pytest.raises(Refused, match="run ffff0000 does not hold the lock"):
        other.take_away("ffff0000")
    assert other.take_away("abcd1234") == ("account",)
    assert item(aws)["epoch"] == {"N": "2"}
    with pytest.raises(Fenced):
        asleep.check()
    assert "epoch 3" in other.acquire("ffff0000", run_folder(tmp_path / "b"))
    with pytest.raises(Fenced):
        asleep.release()
    other.check()
    other.release()


def test_a_holder_that_lives_here_is_not_pushed_aside(aws: Aws, tmp_path: Path) -> None:
    """It must be ended first."""
    one = lock(aws, tmp_path)
    one.acquire("abcd1234", run_folder(tmp_path))
    with pytest.raises(Refused, match=f"is alive: end it first \\(kill {os.getpid()}\\)"):
        lock(aws, tmp_path).take_away("abcd1234")
    one.release()


def test_what_a_dead_drill_left_is_put_back_before_its_lock_is_taken_away(aws: Aws, tmp_path: Path) -> None:
    """Where its journal can be seen."""
    one = lock(aws, tmp_path)
    one.machine.acquire(dead(run_folder(tmp_path, BROKEN + "\n")))
    with pytest.raises(Refused, match="put it back first: drill restore"):
        one.take_away("dead1234")


def test_what_the_dead_left_is_swept_when_it_is_over(aws: Aws, tmp_path: Path) -> None:
    """Of other targets: over, or a lab's; what may still be broken, or nobody knows, stays."""
    (tmp_path / "open").mkdir()
    over, open_ = dead(run_folder(tmp_path)), dead(run_folder(tmp_path / "open", BROKEN + "\n"))
    gone = dead(tmp_path / "gone")
    kinds = {"over": over, "open": open_, "gone": gone, "lab": dataclasses.replace(gone, lab=True)}
    for key, holder in kinds.items():
        assert FileLock(tmp_path / "locks", key).acquire(holder) is None
    living = this_process("living", tmp_path, SINCE)
    FileLock(tmp_path / "locks", "living").acquire(living)
    one = lock(aws, tmp_path)
    one.acquire("abcd1234", tmp_path)
    one.release()
    assert sorted(path.stem for path in (tmp_path / "locks").iterdir()) == ["gone", "living", "open"]


# -- between processes

HOLD = """
import sys, time
from pathlib import Path
from drill.holder import this_process
from drill.lock_file import FileLock
folder = Path(sys.argv[1])
print(FileLock(folder / "locks", "k").acquire(this_process("child", folder, "now")), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts processes that take the lock "k" and hold it; ends them."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "None\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=30)


def test_a_process_that_is_killed_leaves_a_lock_that_is_seen_to_be_dead(tmp_path: Path, child: Any) -> None:
    """Held while it lives, also while it is stopped; after SIGKILL the next one takes it."""
    holder, machine = child(), FileLock(tmp_path / "locks", "k")
    mine = this_process("me", tmp_path, SINCE)
    assert str(machine.acquire(mine)).startswith("run child by ")
    holder.send_signal(signal.SIGSTOP)
    found = machine.acquire(mine)
    assert found is not None
    assert found.pid == holder.pid
    holder.kill()
    holder.communicate(timeout=30)
    assert machine.acquire(mine) is None
    machine.check(mine)
    assert machine.release(mine)
    assert not machine.release(mine)
    with pytest.raises(Fenced, match="no longer ours: somebody took it away"):
        machine.check(mine)
    assert not machine.folder.exists()


def test_a_record_that_cannot_be_read_is_no_free_lock(tmp_path: Path) -> None:
    """Refused, with what to remove."""
    machine = FileLock(tmp_path / "locks", "k")
    machine.folder.mkdir(mode=0o700)
    machine.path.write_text("{}")
    with pytest.raises(Refused, match=r"k\.lock cannot be read .*if no drill runs, remove it"):
        machine.acquire(this_process("me", tmp_path, SINCE))


def test_a_folder_that_others_may_change_is_not_used(tmp_path: Path) -> None:
    """Nor one that is no folder."""
    machine = FileLock(tmp_path / "locks", "k")
    machine.folder.mkdir()
    machine.folder.chmod(0o777)
    with pytest.raises(Refused, match="may be changed by, another user"):
        machine.holder()
    machine.folder.rmdir()
    machine.folder.symlink_to(tmp_path)
    with pytest.raises(Refused, match="cannot be used"):
        machine.holder()


def test_many_that_take_and_give_back_never_meet(tmp_path: Path) -> None:
    """The folder goes away whenever it is empty, and still no two hold the lock at once."""
    inside: list[int] = []
    worst: list[int] = []

    def go(number: int) -> None:
        mine = dataclasses.replace(this_process(f"run-{number}", tmp_path, SINCE))
        machine = FileLock(tmp_path / "locks", "k")
        done = 0
        while done < 5:
            if machine.acquire(mine) is None:
                inside.append(number)
                worst.append(len(inside))
                inside.remove(number)
                assert machine.release(mine)
                done += 1

    threads = [threading.Thread(target=go, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(worst) == 20
    assert max(worst) == 1
    assert not (tmp_path / "locks").exists()


def test_a_failed_release_is_told(aws: Aws, tmp_path: Path) -> None:
    """AWS does not answer: this machine's lock is given back all the same, and the other is named."""
    one = lock(aws, tmp_path)
    one.acquire("abcd1234", run_folder(tmp_path))
    one.account.aws = Aws("http://127.0.0.1:9")
    with pytest.raises(AwsFailed):
        one.release()
    assert not (tmp_path / "locks").exists()
