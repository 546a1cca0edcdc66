"""Systems Manager's Run Command as the lab plays it: one document, sent by an experiment of FIS or by a person."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.aws.dynamodb import GlobalTables
from lab.aws.fis import SEND_COMMAND, Experiments
from lab.aws.protocol import AwsError
from lab.aws.run_command import DOCUMENT, Commands, loss_of
from lab.aws.server import AwsServer
from lab.clock import LabClock
from lab.packet_loss import Loss
from lab.truth import Truth
from tests.lab.aws.test_dynamodb import TOKYO, within

SOURCES = "127.100.5.165,127.100.9.0/24"
LOSS = Loss(30.0, ("127.100.5.165/32", "127.100.9.0/24"))
LONG, SHORT = 43200, 120
LIMIT_S = 10.0


@dataclass
class Host:
    """A client instance; told: what its network was told to lose, in order."""

    server: AwsServer
    instance: str = ""
    told: list[Loss | None] = field(default_factory=list)

    def send(self, lasts_s: int = LONG, document: str = DOCUMENT, **said: str) -> dict[str, Any]:
        """Send the document to it; the command."""
        given = {"Sources": SOURCES, "LossPercent": "30", "DurationSeconds": str(lasts_s), **said}
        sent = self.server.client("ssm", TOKYO).send_command(
            DocumentName=document,
            InstanceIds=[self.instance],
            Parameters={name: [value] for name, value in given.items()},
        )
        return dict(sent["Command"])

    def statuses(self) -> list[str]:
        """Of all commands, in the order in which they were sent."""
        told = self.server.client("ssm", TOKYO).list_commands(InstanceId=self.instance)["Commands"]
        return [str(command["Status"]) for command in told]

    def experiment(self, lasts_s: int, document_lasts_s: int, document: str = DOCUMENT) -> str:
        """Start an experiment that sends the document; its id."""
        given = {"Sources": SOURCES, "LossPercent": "30", "DurationSeconds": str(document_lasts_s)}
        parameters = {
            "documentArn": f"arn:aws:ssm:{TOKYO}::document/{document}",
            "documentParameters": json.dumps(given),
            "duration": f"PT{lasts_s}S",
        }
        arn = f"arn:aws:ec2:{TOKYO}:{self.server.account}:instance/{self.instance}"
        fis = self.server.client("fis", TOKYO)
        template = fis.create_experiment_template(
            description="-",
            roleArn=f"arn:aws:iam::{self.server.account}:role/fis",
            stopConditions=[{"source": "none"}],
            actions={"a": {"actionId": SEND_COMMAND, "parameters": parameters, "targets": {"Instances": "t"}}},
            targets={"t": {"resourceType": "aws:ec2:instance", "resourceArns": [arn], "selectionMode": "ALL"}},
        )["experimentTemplate"]["id"]
        return str(fis.start_experiment(experimentTemplateId=template)["experiment"]["id"])

    def state(self, experiment: str) -> str:
        """How the experiment stands."""
        return str(self.server.client("fis", TOKYO).get_experiment(id=experiment)["experiment"]["state"]["status"])


@pytest.fixture
def host(server: AwsServer, clock: LabClock, truth: Truth) -> Iterator[Host]:
    """An instance that takes commands, and FIS."""
    made = Host(server)
    commands = Commands(clock, truth, [made.told.append])
    engines = (commands, Experiments(server, GlobalTables(server, clock, truth, 1.0), clock, truth, 0.0, commands))
    for engine in engines:
        engine.start()
    ec2 = server.client("ec2", TOKYO)
    image = ec2.register_image(Name="host")["ImageId"]
    made.instance = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    commands.add(made.instance)
    yield made
    for engine in reversed(engines):
        engine.stop()


def test_packets_are_lost_for_as_long_as_the_document_says(host: Host, clock: LabClock) -> None:
    """In progress at once, and over by itself; the next one is another loss."""
    began_s = clock.now_s()
    assert host.send(SHORT)["Status"] == "InProgress"
    assert host.told == [LOSS]
    assert within(LIMIT_S, lambda: host.statuses() == ["Success"])
    assert clock.now_s() - began_s >= SHORT
    host.send(LossPercent="100", TrafficType="egress")
    assert host.told == [LOSS, None, Loss(100.0, LOSS.networks)]


def test_two_at_once_fail_and_the_first_goes_on(host: Host) -> None:
    """As AWS says of these documents."""
    host.send()
    assert host.send(LossPercent="1")["Status"] == "Failed"
    assert (host.told, host.statuses()) == ([LOSS], ["InProgress", "Failed"])


def test_a_stopped_experiment_cancels_its_command(host: Host) -> None:
    """And the loss is over, long before its time."""
    experiment = host.experiment(LONG, LONG)
    assert within(LIMIT_S, lambda: host.told == [LOSS])
    host.server.client("fis", TOKYO).stop_experiment(id=experiment)
    assert within(LIMIT_S, lambda: host.state(experiment) == "stopped")
    assert (host.told, host.statuses()) == ([LOSS, None], ["Cancelled"])


def test_a_document_outlives_the_action_that_sent_it(host: Host) -> None:
    """When its own duration is the longer one: the experiment has completed, and packets are still lost."""
    experiment = host.experiment(SHORT, LONG)
    assert within(LIMIT_S, lambda: host.state(experiment) == "completed")
    assert (host.told, host.statuses()) == ([LOSS], ["InProgress"])


def test_an_experiment_whose_command_fails_has_failed(host: Host) -> None:
    """Because another one is in progress, which it leaves alone."""
    host.send()
    experiment = host.experiment(SHORT, SHORT)
    assert within(LIMIT_S, lambda: host.state(experiment) == "failed")
    assert host.told == [LOSS]


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        ({"LossPercent": "101"}, AwsError, "LossPercent '101'"),
        ({"DurationSeconds": "-1"}, AwsError, "DurationSeconds '-1'"),
        ({"TrafficType": "both"}, AwsError, "'both' is neither ingress nor egress"),
        ({"Percent": "30"}, AwsError, "Percent is unknown"),
        ({"Sources": "S3"}, NotImplementedError, "with source 'S3'"),
        ({"Sources": "127.0.0.1,www.example.com"}, NotImplementedError, "with source 'www.example.com'"),
        ({"FlowsPercent": "50%"}, NotImplementedError, "with FlowsPercent 50%"),
    ],
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else "",
)
def test_what_the_document_does_not_take_or_nobody_plays_is_refused(
    said: dict[str, str], error: type[Exception], words: str
) -> None:
    """The first as AWS does, the second by name."""
    with pytest.raises(error, match=words):
        loss_of({"Sources": "127.0.0.1", "DurationSeconds": "60", **said})


def test_nothing_pretends_to_have_been_sent(host: Host) -> None:
    """Another document, a source that is not played, a parameter that is none: no command is left."""
    for said, words in (
        ({"document": "AWS-RunShellScript"}, "does not play ssm SendCommand"),
        ({"Sources": "S3"}, "does not play ssm SendCommand"),
        ({"LossPercent": "101"}, "InvalidParameters"),
    ):
        with pytest.raises(ClientError, match=words):
            host.send(**said)
    assert (host.told, host.statuses()) == ([], [])
    with pytest.raises(ClientError, match="does not play fis CreateExperimentTemplate"):
        host.experiment(SHORT, SHORT, document="AWSFIS-Run-CPU-Stress")


def test_an_instance_without_an_agent_takes_no_command(host: Host) -> None:
    """As AWS answers for one that Systems Manager does not know."""
    host.instance = "i-0123456789abcdef0"
    with pytest.raises(ClientError, match="InvalidInstanceId"):
        host.send()


def test_what_is_not_said_is_what_aws_takes() -> None:
    """7 % of what comes in."""
    assert loss_of({"Sources": "127.0.0.1", "DurationSeconds": "60"}) == Loss(7.0, ("127.0.0.1/32",))
