"""The AWS side of the core-banking system for the tests of the witnesses: real API, published names, no system."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from drill.aws import Aws
from drill.target import BlastRadius, Connection, Resource, Target
from lab.aws import dynamodb_policy
from lab.aws.arc import Arc
from lab.aws.cloudwatch import AlarmEngine
from lab.aws.rds import RdsGlobal
from lab.aws.secrets import Secrets
from lab.aws.server import AwsServer
from lab.aws.ssm import Automation
from lab.aws.states import StateMachines
from lab.aws.synthetics import CanaryContext, CanaryRunner
from lab.clock import LabClock
from lab.truth import Truth
from tests.checks.worlds import OSAKA, TOKYO, published_target

OREGON = "us-west-2"
LAB_SPEED = 100.0
GLOBAL = "core-banking-global-db"
RULE = "BLEAFSI-CoreBanking-failover-Rule7C8D"
SERVICES = (
    "SampleMultiRegionAppTransactionFargateServiceA1",
    "SampleMultiRegionAppTransactionWorkerFargateServiceB2",
)
MACHINES = ("FailoverInitiatorStateMachineC3", "FailoverStateMachineD4", "FailbackStateMachineE5")
WAIT = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 50_000_000, "End": True}}}
PASS = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}
DATA_TABLE, FLAG_TABLE = "SampleMultiRegionAppGlobalTableA1", "SampleMultiRegionAppParamTableB2"
DOCUMENT = "Rotation"
ROLE = "arn:aws:iam::111111111111:role/states"


SERVERLESS = ("drilled", "other")


def account_target() -> Target:
    """The published target and, so that every kind of resource is in one account, a function, a secret, a stage."""
    target = published_target()
    more = {
        "drilled_function": Resource(region=TOKYO, name="drilled"),
        "database_secret": Resource(region=TOKYO, name="drilled"),
        "drilled_stage": Resource(region=TOKYO, within="drilled", name="dev"),
    }
    inside = target.blast_radius.resources
    allowed = BlastRadius(resources={**inside, TOKYO: [*inside[TOKYO], "drilled*", "dev"]})
    return target.model_copy(update={"resources": {**target.resources, **more}, "blast_radius": allowed})


@dataclass
class Databases:
    """Two databases that do at once what they are told."""

    writer: str | None = TOKYO

    def healthy(self, region: str) -> bool:
        """Always."""
        return bool(region)

    def quiesce(self, region: str) -> None:
        """The writer is gone."""
        self.writer = None

    def fence(self, region: str) -> bool:
        """At once."""
        return bool(region)

    def promote(self, region: str) -> None:
        """The writer is there."""
        self.writer = region

    def follow(self, region: str) -> None:
        """Nothing to do."""

    def writer_region(self) -> str | None:
        """Where the writer is."""
        return self.writer


@dataclass
class Cloud:
    """`target` reaches `server`; `failing` holds the canaries whose next runs fail."""

    server: AwsServer
    arc: Arc
    alarms: AlarmEngine
    target: Target
    truth: Truth
    failing: set[str] = field(default_factory=set)
    clusters: dict[str, str] = field(default_factory=dict)
    writers: dict[str, str] = field(default_factory=dict)
    machines: dict[str, str] = field(default_factory=dict)
    controls: dict[str, str] = field(default_factory=dict)

    @cached_property
    def aws(self) -> Aws:
        """Clients as the harness makes them; the same each time, since making one costs more than ten calls."""
        return Aws(self.server.url)

    def client(self, service: str, region: str) -> Any:
        """A client of the operator."""
        return self.server.client(service, region)

    def tasks(self, region: str, service: int, desired: int, running: int) -> None:
        """Scale a service, and let that many tasks run (what starts them is not in play here)."""
        from moto.backends import get_backend

        self.client("ecs", region).update_service(
            cluster=self.clusters[region], service=SERVICES[service], desiredCount=desired
        )
        services = get_backend("ecs")["111111111111"][region].services
        found = next(s for s in services.values() if s.name == SERVICES[service])
        found.running_count = running

    def start_execution(self, machine: str, name: str) -> None:
        """Start a machine."""
        self.client("stepfunctions", OSAKA).start_execution(stateMachineArn=self.machines[machine], name=name)


@contextmanager
def cloud(
    folder: Path, databases_in: tuple[str, ...] = (TOKYO, OSAKA), switchover_s: float = 50.0
) -> Iterator[Cloud]:
    """The account with everything in place: Tokyo writes, nothing has been executed, the rule is disabled."""
    clock = LabClock.starting_now(LAB_SPEED)
    truth = Truth(folder, clock)
    server = AwsServer("127.0.0.1", 0, clock)
    server.start()
    arc, alarms = Arc(server, truth), AlarmEngine(server, clock, truth)
    databases = RdsGlobal(server, clock, truth, switchover_s=switchover_s, failover_s=30.0)
    Secrets(server)
    dynamodb_policy.install()
    target = account_target().model_copy(update={"connection": Connection(aws_endpoint=server.url)})
    made = Cloud(server, arc, alarms, target, truth)
    canaries = CanaryRunner(server, clock, truth, {f"canary-{r}": _script(made, r) for r in (TOKYO, OSAKA, OREGON)})
    machines = StateMachines(server, clock, truth)
    runbooks = Automation(server, clock, truth)
    for engine in (canaries, machines, alarms, runbooks):
        engine.start()
    try:
        _ecs(made)
        _automation(made)
        store_document(made, DOCUMENT)
        _data(made, databases, databases_in)
        _routing(made)
        _tables(made)
        _network(made)
        _experiment(made, "pause-replication")
        _experiment(made, "exp-packetloss")
        _serverless(made)
        yield made
    finally:
        for engine in (canaries, machines, alarms, runbooks):
            engine.stop()
        databases.stop()
        server.stop()


def _script(made: Cloud, region: str) -> Any:
    def script(context: CanaryContext) -> None:
        if f"canary-{region}" in made.failing:
            raise RuntimeError("planted")

    return script


def _ecs(made: Cloud) -> None:
    for region in (TOKYO, OSAKA):
        ecs = made.client("ecs", region)
        name = "BLEAFSI-SampleMultiRegionAppCluster9D88E1C2"
        made.clusters[region] = ecs.create_cluster(clusterName=name)["cluster"]["clusterArn"]
        ecs.create_cluster(clusterName="ECSAppcontainerAppSampleBaseClusterF00D")
        ecs.register_task_definition(
            family="app", containerDefinitions=[{"name": "app", "image": "app", "memory": 64}]
        )
        for number, service in enumerate(SERVICES):
            ecs.create_service(cluster=name, serviceName=service, taskDefinition="app", desiredCount=1)
            made.tasks(region, number, 1, 1)


def _automation(made: Cloud) -> None:
    states = made.client("stepfunctions", OSAKA)
    for name in MACHINES:
        definition = json.dumps(WAIT if name.startswith("Failover") else PASS)
        machine = states.create_state_machine(name=name, definition=definition, roleArn=ROLE)
        made.machines[name] = machine["stateMachineArn"]
    pattern = json.dumps({"source": ["aws.cloudwatch"]})
    made.client("events", OSAKA).put_rule(Name=RULE, EventPattern=pattern, State="DISABLED")
    for region in (OSAKA, OREGON):
        made.client("cloudwatch", region).put_metric_alarm(
            AlarmName=f"canaryAlerm-{region}",
            Namespace="CloudWatchSynthetics",
            MetricName="SuccessPercent",
            Dimensions=[{"Name": "CanaryName", "Value": f"canary-{region}"}],
            Statistic="Average",
            Period=60,
            EvaluationPeriods=2,
            DatapointsToAlarm=2,
            Threshold=100.0,
            ComparisonOperator="LessThanThreshold",
            TreatMissingData="missing",
        )


def store_document(made: Cloud, name: str) -> None:
    """A runbook that takes an hour."""
    step = {"name": "Sleep", "action": "aws:sleep", "inputs": {"Duration": "PT1H"}}
    content = json.dumps({"schemaVersion": "0.3", "mainSteps": [step]})
    made.client("ssm", OSAKA).create_document(
        Name=name, Content=content, DocumentType="Automation", DocumentFormat="JSON"
    )


def _data(made: Cloud, databases: RdsGlobal, regions: tuple[str, ...]) -> None:
    databases.attach(GLOBAL, Databases())
    made.client("rds", TOKYO).create_global_cluster(GlobalClusterIdentifier=GLOBAL, Engine="aurora-postgresql")
    for region, name in zip(regions, ("primary", "secondary"), strict=False):
        credentials = {"MasterUsername": "root", "MasterUserPassword": "password"} if region == TOKYO else {}
        cluster = made.client("rds", region).create_db_cluster(
            DBClusterIdentifier=f"core-banking-{name}",
            Engine="aurora-postgresql",
            GlobalClusterIdentifier=GLOBAL,
            **credentials,
        )
        made.writers[region] = cluster["DBCluster"]["DBClusterArn"]


def _routing(made: Cloud) -> None:
    config = made.client("route53-recovery-control-config", OREGON)
    cluster = config.create_cluster(ClusterName="ARC-CoreBanking")["Cluster"]["ClusterArn"]
    panel = config.create_control_panel(ClusterArn=cluster, ControlPanelName="CoreBanking-ControlPanel")
    for name in ("rc-tokyo", "rc-osaka"):
        control = config.create_routing_control(
            ClusterArn=cluster,
            ControlPanelArn=panel["ControlPanel"]["ControlPanelArn"],
            RoutingControlName=name,
        )
        made.controls[name] = control["RoutingControl"]["RoutingControlArn"]


def _tables(made: Cloud) -> None:
    """The data's table in both Regions, and each Region's own stop flag."""
    for region, stopped in ((TOKYO, "false"), (OSAKA, "true")):
        dynamodb = made.client("dynamodb", region)
        for name in (DATA_TABLE, FLAG_TABLE):
            dynamodb.create_table(
                TableName=name,
                AttributeDefinitions=[{"AttributeName": "PK", "AttributeType": "S"}],
                KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}],
                BillingMode="PAY_PER_REQUEST",
            )
        dynamodb.put_item(TableName=FLAG_TABLE, Item={"PK": {"S": "stopFlag"}, "value": {"S": stopped}})


def _network(made: Cloud) -> None:
    """Tokyo's network ACL and the clients' host, as the operator has named them."""
    ec2 = made.client("ec2", TOKYO)
    (acl,) = ec2.describe_network_acls()["NetworkAcls"]
    name = {"Key": "Name", "Value": "core-banking-tokyo"}
    ec2.create_tags(Resources=[acl["NetworkAclId"]], Tags=[name])
    image = ec2.register_image(Name="bastion")["ImageId"]
    number = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    ec2.create_tags(Resources=[number], Tags=[{"Key": "Name", "Value": "core-banking-bastion"}])


def _experiment(made: Cloud, name: str) -> None:
    """A template of FIS by the name that the target knows; what runs it is in tests/faults/experiments.py."""
    made.client("fis", TOKYO).create_experiment_template(
        clientToken=name,
        description="stands for what the target names",
        roleArn=f"arn:aws:iam::{made.server.account}:role/fis",
        stopConditions=[{"source": "none"}],
        actions={"wait": {"actionId": "aws:fis:wait", "parameters": {"duration": "PT1M"}}},
        tags={"Name": name},
    )


def _serverless(made: Cloud) -> None:
    """What no system with services has: a function, an API with a stage, a replicated secret."""
    made.client("iam", TOKYO).create_role(RoleName="lambda", AssumeRolePolicyDocument="{}")
    gateway = made.client("apigateway", TOKYO)
    for name in SERVERLESS:
        made.client("lambda", TOKYO).create_function(
            FunctionName=name,
            Runtime="python3.12",
            Role="arn:aws:iam::111111111111:role/lambda",
            Handler="index.handler",
            Code={"ZipFile": b"-"},
        )
        made.client("secretsmanager", TOKYO).create_secret(
            Name=name, SecretString="{}", AddReplicaRegions=[{"Region": OSAKA}]
        )
        api = gateway.create_rest_api(name=name)["id"]
        root = gateway.get_resources(restApiId=api)["items"][0]["id"]
        of = {"restApiId": api, "resourceId": root, "httpMethod": "GET"}
        gateway.put_method(**of, authorizationType="NONE")
        gateway.put_integration(**of, type="MOCK")
        gateway.create_deployment(restApiId=api, stageName="dev")
        patch = {"op": "replace", "path": "/*/*/metrics/enabled", "value": "false"}
        gateway.update_stage(restApiId=api, stageName="dev", patchOperations=[patch])


def start_canaries(made: Cloud) -> None:
    """Create and start the canaries of Osaka and Oregon: one run per lab minute."""
    for region in (OSAKA, OREGON):
        synthetics = made.client("synthetics", region)
        synthetics.create_canary(
            Name=f"canary-{region}",
            Code={"Handler": "index.handler", "S3Bucket": "code", "S3Key": "key"},
            ArtifactS3Location="s3://artifacts",
            ExecutionRoleArn=ROLE,
            Schedule={"Expression": "rate(1 minute)"},
            RuntimeVersion="syn-nodejs-puppeteer-7.0",
        )
        synthetics.start_canary(Name=f"canary-{region}")
