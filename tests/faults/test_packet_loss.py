"""Which experiments are a packet loss of one client and of nothing else, and when it is in force."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from drill.actions import standing
from drill.clock import FakeClock
from drill.errors import Refused
from drill.experiment import lasts_s
from drill.planning import PlanningDrill
from drill.read_only import ReadOnlyAws
from drill.target import Resource
from drill.undo import end_all
from faults.packet_loss import LosePackets
from tests.checks.cloud import Cloud, cloud
from tests.checks.worlds import TOKYO, eventually
from tests.faults.experiments import (
    CLIENT,
    LOSING,
    LOSS,
    experiments,
    forget_all,
    forget_template,
    instance_arn,
    instance_id,
    losing,
    make_template,
    started,
)

TRIED = Resource(region=TOKYO, name="tried")
WAIT = {"actionId": "aws:fis:wait", "parameters": {"duration": "PT1M"}}


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """One account for this file."""
    with cloud(tmp_path_factory.mktemp("cloud")) as made, experiments(made):
        yield made


@pytest.fixture
def made(account: Cloud) -> Iterator[Cloud]:
    """No experiment runs, and no template is there but those it began with, after each test."""
    yield account
    forget_all(account)
    forget_template(account, TRIED.name)


def try_template(made: Cloud, instance: Resource = CLIENT, **said: Any) -> Any:
    """What becomes of losing packets by the one template of that name, which says this otherwise."""
    forget_template(made, TRIED.name)
    base = losing(made) | {"clientToken": str(said), "tags": {"Name": TRIED.name}}
    make_template(made, base | said)
    return LosePackets(TRIED, instance, 60.0).prepare(made.aws, "t", "r")


def action(made: Cloud, **said: str) -> dict[str, Any]:
    """The template's one action, whose document is told this otherwise."""
    return dict(losing(made, **said)["actions"]["lose"])


def target(**said: Any) -> dict[str, Any]:
    """The template's one target, chosen so."""
    return {"client": {"resourceType": "aws:ec2:instance", "selectionMode": "ALL", **said}}


def test_it_is_in_force_while_the_document_is_in_progress(made: Cloud) -> None:
    """Not before the instance has it, and no more once the experiment was stopped."""
    prepared = LosePackets(LOSING, CLIENT, 60.0).prepare(made.aws, "t", "r")
    assert standing(made.aws, prepared).fate == "not_started"
    made.aws.run(prepared.calls[0])
    eventually(lambda: standing(made.aws, prepared).fate == "reached")
    (commands,) = [fact for fact in prepared.end_state if fact.call.operation == "ListCommands"]
    undo = prepared.undo
    assert undo is not None
    end_all(made.aws, undo, lambda calls: None)
    eventually(lambda: all(reading.holds for reading in made.aws.read(undo.facts)))
    assert [reading.observed for reading in made.aws.read([commands])] == [0]
    assert standing(made.aws, prepared).fate == "not_reached"


def test_somebody_elses_loss_is_not_taken_for_ours(made: Cloud) -> None:
    """AWS would let the second fail; it is refused before it is started."""
    other = LosePackets(LOSING, CLIENT, 60.0).prepare(made.aws, "t", "somebody")
    made.aws.run(other.calls[0])
    eventually(lambda: standing(made.aws, other).fate == "reached")
    with pytest.raises(Refused, match="loses packets already, by an experiment that is not ours"):
        LosePackets(LOSING, CLIENT, 60.0).prepare(made.aws, "t", "r")
    assert started(made) == 1


def test_the_template_of_another_instance_or_fault_is_no_loss_of_this_client(made: Cloud) -> None:
    """One document, sent once, to that instance alone; each of them is named."""
    ec2 = made.client("ec2", TOKYO)
    image = ec2.describe_images(Owners=["self"])["Images"][0]["ImageId"]
    other = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    ec2.create_tags(Resources=[other], Tags=[{"Key": "Name", "Value": "other"}])
    must = rf"it must do AWSFIS-Run-Network-Packet-Loss-Sources once, to .*{instance_id(made)} alone"
    both = [instance_arn(made), instance_arn(made).replace(instance_id(made), other)]
    with pytest.raises(Refused, match=must):
        try_template(made, targets=target(resourceArns=both))
    with pytest.raises(Refused, match=rf"does AWSFIS\S*, aws:fis:wait to .*: {must}"):
        try_template(made, actions={"lose": action(made), "wait": WAIT})
    with pytest.raises(Refused, match=rf"to .*{instance_id(made)}: it must do .* to .*{other} alone"):
        try_template(made, Resource(region=TOKYO, name="other"), description="for the other one")
    ec2.terminate_instances(InstanceIds=[other])


def test_an_instance_that_nobody_has_is_refused(made: Cloud) -> None:
    """Tags that no instance bears resolve to nothing; the same tags on the client resolve to it."""
    with pytest.raises(Refused, match=r"resolves to no resource .*the tags {'team': 'x'}"):
        try_template(made, targets=target(resourceTags={"team": "x"}))
    named = target(resourceTags={"Name": CLIENT.name})
    assert try_template(made, targets=named, description="by tag").resources[1:] == (instance_arn(made),)


def test_a_loss_of_everything_is_refused(made: Cloud) -> None:
    """Whoever is to stop it has to reach the instance."""
    with pytest.raises(Refused, match=r"lets packets from everywhere be lost \(Sources ALL\)"):
        try_template(made, actions={"lose": action(made, Sources=f"{LOSS['Sources']},ALL")})


def test_how_long_the_document_lasts_counts(made: Cloud) -> None:
    """FIS does not cut it short: a document that outlives its action is as long as it says itself."""
    with pytest.raises(Refused, match=r"lasts 7200 s, longer than the 3600 s"):
        try_template(made, actions={"lose": action(made, DurationSeconds="7200")})
    for own, seconds in (("600", 1200.0), ("1800", 1800.0), ("{{ seconds }}", float("inf"))):
        assert lasts_s({"actions": {"lose": action(made, DurationSeconds=own)}}) == seconds
    runbook = {"actionId": "aws:ssm:start-automation-execution", "parameters": {"maxDuration": "PT2H"}}
    assert lasts_s({"actions": {"run": runbook}}) == 7200.0


@pytest.mark.parametrize("text", ["[]", "not JSON", json.dumps("text")])
def test_parameters_that_nobody_can_read_are_refused(text: str) -> None:
    """Nobody could tell how long it lasts."""
    broken = {"actionId": "aws:ssm:send-command", "parameters": {"documentParameters": text, "duration": "PT1M"}}
    with pytest.raises(Refused, match="no JSON object"):
        lasts_s({"actions": {"lose": broken}})


def test_a_client_outside_the_blast_radius_is_refused(made: Cloud) -> None:
    """The template alone is not enough; nothing is started."""
    inside = made.target.blast_radius.model_copy(update={"resources": {TOKYO: ["EXT*"]}})
    narrow = made.target.model_copy(update={"blast_radius": inside})
    drill = PlanningDrill(target=narrow, aws=ReadOnlyAws(made.aws), clock=FakeClock())
    with pytest.raises(Refused, match=rf"{instance_id(made)} in {TOKYO} is outside the blast radius"):
        drill.perform(LosePackets(LOSING, CLIENT, 60.0))
    assert started(made) == 0
