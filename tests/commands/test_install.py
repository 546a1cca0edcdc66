"""`drill install`: one template, linted, with the function's code and one target's rights in it, into a real API."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from moto.awslambda.utils import get_backend

from commands.main import main
from commands.safety import armed_world, install, installed, problem
from commands.world import World
from drill.aws import Aws
from drill.call import Call
from drill.clock import SystemClock
from drill.errors import Refused
from drill.safety_stack import (
    BLINDLY,
    FOLDER,
    PUTTING_BACK,
    TEMPLATE_MAX,
    operations,
    stack_of,
    template,
)
from drill.target import Target, load_target
from tests.checks.cloud import cloud
from tests.drill.dead_world import OREGON, TARGETS, DeadWorld, dead_world
from tests.faults.bus import add_bus
from tests.faults.events_source import add_events_source
from tests.faults.furniture import furnish
from tests.faults.samples import CHANGES, VARIANTS

SHIPPED = load_target(TARGETS / "core-banking.toml")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[DeadWorld]:
    """A world without a safety stack."""
    with dead_world(tmp_path) as opened:
        yield opened


def on_aws(target: Target) -> Target:
    """The same target, as one that is no lab."""
    return target.model_copy(update={"kind": "aws", "lab": None})


def lint(*paths: Path) -> subprocess.CompletedProcess[str]:
    """cfn-lint on templates, for the Region that they are installed in."""
    command = [Path(sys.executable).with_name("cfn-lint"), "--regions", OREGON, "--", *paths]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_template_passes_cfn_lint(tmp_path: Path) -> None:
    """Both: the file that people read, and what is installed."""
    filled = tmp_path / "stack.yaml"
    filled.write_text(template(SHIPPED).text)
    done = lint(filled, FOLDER / "safety-stack.yaml")
    assert (done.returncode, done.stdout) == (0, "")


def test_a_broken_template_does_not_pass_cfn_lint(tmp_path: Path) -> None:
    """The check can fail."""
    path = tmp_path / "stack.yaml"
    path.write_text(template(SHIPPED).text.replace("python3.13", "python2.0"))
    assert lint(path).returncode != 0


def test_the_template_fits() -> None:
    """CloudFormation's limit for a template that is sent with the call, the function's code in it."""
    assert len(template(SHIPPED).text.encode()) <= TEMPLATE_MAX


def test_the_printed_template_is_what_is_installed(capsys: pytest.CaptureFixture[str]) -> None:
    """`--print` asks nobody, and nothing is left to fill in."""
    assert main(["install", "--print"]) == 0
    printed = capsys.readouterr().out
    assert printed.rstrip() == template(SHIPPED).text.rstrip()
    assert "drill install:" not in printed
    assert template(SHIPPED).digest in printed


def test_the_function_that_is_installed_is_our_file(world: DeadWorld) -> None:
    """What runs in AWS is what the tests here have run, byte for byte; and its handler and table are right."""
    install(world.aws, world.target)
    client = world.aws.client("lambda", OREGON)
    found = client.get_function(FunctionName=stack_of(world.target).function_arn)["Configuration"]
    assert (found["Handler"], found["Timeout"]) == ("index.handler", 900)
    assert found["Environment"]["Variables"] == {"TABLE": "failover-drill"}
    package = get_backend("111111111111", OREGON).get_function("failover-drill-dead-man").code_bytes
    code = zipfile.ZipFile(io.BytesIO(package)).read("index.py").decode()
    assert code == (FOLDER / "dead_man.py").read_text()


def test_the_rights_are_those_of_the_target(world: DeadWorld) -> None:
    """What may be broken may be put back, and nothing else may be touched."""
    said = [json.loads(line.strip()[2:]) for line in template(SHIPPED).text.splitlines() if '- {"Sid"' in line]
    rights = {(action, arn) for s in said for action in s["Action"] for arn in s["Resource"]}
    rule = "arn:aws:events:ap-northeast-3:111111111111:rule/BLEAFSI-CoreBanking-*"
    assert {action for action, arn in rights if arn == rule} == {
        "events:DescribeRule",
        "events:DisableRule",
        "events:EnableRule",
    }
    osaka = {arn for _, arn in rights if arn.startswith("arn:aws:ecs:ap-northeast-3:")}
    assert {arn.rpartition("/")[2] for arn in osaka} == {"*SampleMultiRegionAppTransactionFargateService*"}
    assert {action for action, arn in rights if arn in osaka} == {"ecs:DescribeServices", "ecs:UpdateService"}
    narrow = SHIPPED.model_copy(update={"blast_radius": SHIPPED.blast_radius.model_copy(update={"resources": {}})})
    assert operations(narrow) == frozenset()


def test_every_fault_that_is_a_change_can_be_put_back_by_the_function(tmp_path: Path) -> None:
    """The table of rights holds what the shipped faults' Changes call, and no more."""
    changes = []
    with cloud(tmp_path) as made:
        add_bus(made)
        add_events_source(made)
        furnish(made)
        for sample in CHANGES + VARIANTS:
            sample.ready(made)
            changes.append(sample.fault.prepare(made.aws, "t", "r"))
            sample.undo(made)
    called = {
        (c.service, c.operation) for x in changes for c in (*x.restore, *(f.call for f in x.before + x.faulted))
    }
    assert called == {(r.service, r.operation) for reads in PUTTING_BACK.values() for r in reads}
    blind = {(call.service, call.operation) for x in changes if x.blind_safe for call in x.restore}
    assert blind == {(r.service, r.operation) for reads in BLINDLY.values() for r in reads}


def test_installing_twice_is_installing_once_and_another_target_updates(world: DeadWorld) -> None:
    """There already; and when the target's rights change, the stack follows."""
    assert install(world.aws, world.target) == "created"
    assert install(world.aws, world.target) == "there already"
    radius = world.target.blast_radius.model_copy(update={"resources": {}})
    other = world.target.model_copy(update={"blast_radius": radius})
    assert problem(installed(world.aws, stack_of(other)), template(other)).startswith("is of another version")
    assert install(world.aws, other) == "updated"
    assert problem(installed(world.aws, stack_of(other)), template(other)) == ""


def test_a_target_on_aws_is_refused_without_its_stack(world: DeadWorld) -> None:
    """Before anything is touched, and with the line to type; nothing is installed behind anybody's back."""
    there = World(on_aws(world.target), world.aws, SystemClock(), None)
    with pytest.raises(Refused, match=r"is not installed.*drill install --target core-banking"):
        armed_world(there)
    assert installed(world.aws, stack_of(world.target)) is None
    install(world.aws, there.target)
    assert armed_world(there).lost == ""


def test_a_stack_that_cannot_be_looked_at_is_refused(world: DeadWorld) -> None:
    """What nobody has seen is not in order."""
    world.server.unavailable(OREGON, "cloudformation")
    with pytest.raises(Refused, match="could not be looked at"):
        armed_world(World(on_aws(world.target), world.aws, SystemClock(), None))


@pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "DELETE_IN_PROGRESS", "UPDATE_ROLLBACK_FAILED"])
def test_a_stack_in_another_state_is_no_stack(status: str) -> None:
    """Only one that was made whole counts."""
    wanted = template(SHIPPED)
    outputs = [{"OutputKey": "Content", "OutputValue": wanted.digest}]
    found: dict[str, Any] = {"StackStatus": "CREATE_COMPLETE", "Outputs": outputs}
    assert problem(found, wanted) == ""
    assert status in problem(found | {"StackStatus": status}, wanted)
    assert problem(found | {"Outputs": []}, wanted)


def attach(world: DeadWorld, folder: Path) -> str:
    """The option that attaches to this world."""
    info = {
        "system": "core-banking",
        "speed": world.clock.speed,
        "origin_monotonic_s": world.clock.origin_monotonic_s,
        "origin_epoch_s": world.clock.origin_epoch_s,
        "account": "111111111111",
        "aws_endpoint": world.server.url,
        "dns_authoritative": ["127.0.0.1", 1],
        "resolvers": {},
        "http_port": 1,
        "state_dir": str(folder),
        "truth": str(folder / "truth.jsonl"),
        "overruns": str(folder / "overruns.jsonl"),
        "pid": 1,
    }
    world.server.describes({"system": info["system"], "speed": info["speed"], "settings": []})
    path = folder / "lab.json"
    path.write_text(json.dumps(info))
    return f"--lab-attach={path}"


def test_the_verb_installs_and_says_what(
    world: DeadWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Looked at first, installed, and installed again."""
    option = attach(world, tmp_path)
    assert main(["install", "--dry-run", option]) == 0
    told = capsys.readouterr().out
    assert "is not installed; would be installed by" in told
    assert "aws cloudformation create-stack --stack-name failover-drill --template-body file://safety-" in told
    assert installed(world.aws, stack_of(SHIPPED)) is None
    assert main(["install", option]) == 0
    assert "stack failover-drill in us-west-2: created" in capsys.readouterr().out
    assert main(["install", "--dry-run", option]) == 0
    assert "nothing would be done" in capsys.readouterr().out


def test_another_account_is_refused(world: DeadWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 12, and nothing is installed there."""
    target = tmp_path / "other.toml"
    target.write_text((TARGETS / "core-banking.toml").read_text().replace('"111111111111"', '"222222222222"'))
    attached = attach(world, tmp_path)
    lab = tmp_path / "lab.json"
    lab.write_text(lab.read_text().replace("111111111111", "222222222222"))  # a lab that says what is not so
    assert main(["install", f"--target={target}", attached]) == 12
    assert "these credentials are of account 111111111111" in capsys.readouterr().err
    assert installed(world.aws, stack_of(SHIPPED)) is None


def test_a_lab_that_would_end_at_once_gets_none(capsys: pytest.CaptureFixture[str]) -> None:
    """A usage error that says what to type."""
    assert main(["install"]) == 4
    assert "--lab-attach=STATE_FILE" in capsys.readouterr().err


def test_an_update_really_changes_the_function(world: DeadWorld) -> None:
    """The lab's UpdateStack follows the template, as AWS's does."""
    stack, wanted = stack_of(world.target), template(world.target)
    install(world.aws, world.target)
    text = wanted.text.replace('return {"outcome": "disarmed"}', 'return {"outcome": "changed"}')
    again = replace(wanted, text=text.replace(wanted.digest, "other"), digest="other")
    params = {"StackName": stack.name, "TemplateBody": again.text, "Capabilities": ["CAPABILITY_NAMED_IAM"]}
    Aws(world.server.url).run(Call("cloudformation", "UpdateStack", params, OREGON))
    item = {"PK": {"S": "k"}, "outcome": {"S": "disarmed"}}
    world.aws.client("dynamodb", OREGON).put_item(TableName=stack.table, Item=item)
    reply = world.aws.client("lambda", OREGON).invoke(FunctionName=stack.function_arn, Payload='{"key": "k"}')
    assert json.load(reply["Payload"]) == {"outcome": "changed"}
