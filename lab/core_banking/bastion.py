"""The client of the published packet-loss test: an instance in the client VPC, and the experiment that is run on it.

From there the public document runs Locust, and there AWS FIS lets 30 % of all packets from Tokyo's load balancer be
lost for 30 minutes. It leaves the stop condition blank; a drill refuses such a template, so this one has one.
"""

from __future__ import annotations

import json

from lab.aws.fis import SEND_COMMAND
from lab.aws.run_command import DOCUMENT
from lab.core_banking import names
from lab.core_banking.names import PLACES, TOKYO
from lab.experiments import template
from lab.stack_parts import Client

CIDR = "10.100.16.0/24"
"""The published client VPC: in Tokyo's numbers, outside the system's VPC."""
NAME, TEMPLATE = "core-banking-bastion", "exp-packetloss"
PARAMETERS = {
    "Sources": ",".join(PLACES[TOKYO].balancers),
    "TrafficType": "ingress",
    "DurationSeconds": "1800",
    "InstallDependencies": "True",
}
DURATION = "PT30M"


def deploy(client: Client, loss_percent: int) -> str:
    """The instance and the template, both in Tokyo and with the operator's tags; the instance's id."""
    number, parameters = _instance(client), {"LossPercent": str(loss_percent), **PARAMETERS}
    action = {
        "actionId": SEND_COMMAND,
        "parameters": {
            "documentArn": f"arn:aws:ssm:{TOKYO}::document/{DOCUMENT}",
            "documentParameters": json.dumps(parameters),
            "duration": DURATION,
        },
        "targets": {"Instances": "client"},
    }
    arn = f"arn:aws:ec2:{TOKYO}:{names.ACCOUNT}:instance/{number}"
    tags = {"Name": TEMPLATE, **names.TAGS}
    targets = {"client": ("aws:ec2:instance", arn)}
    template(client, TOKYO, names.ACCOUNT, tags, "packets from Tokyo are lost on their way", action, targets)
    return number


def _instance(client: Client) -> str:
    ec2 = client("ec2", TOKYO)
    vpc = ec2.create_vpc(CidrBlock=CIDR)["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=CIDR)["Subnet"]["SubnetId"]
    image = ec2.register_image(Name="bastion", RootDeviceName="/dev/xvda", VirtualizationType="hvm")["ImageId"]
    tags = [{"Key": key, "Value": value} for key, value in {"Name": NAME, **names.TAGS}.items()]
    made = ec2.run_instances(
        ImageId=image,
        InstanceType="t3.small",
        MinCount=1,
        MaxCount=1,
        SubnetId=subnet,
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )
    return str(made["Instances"][0]["InstanceId"])
