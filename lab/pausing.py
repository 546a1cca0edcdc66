"""What a drill team deploys beside a system so that FIS may pause the replication of a global table."""

from __future__ import annotations

from collections.abc import Mapping

from lab.aws.fis import PAUSE
from lab.experiments import template
from lab.stack_parts import Client

TEMPLATE = "pause-replication"
LONGEST = "PT45M"
"""Longer than a drill needs; whoever is done sooner stops the experiment."""
DELAY_S = 60.0
"""Lab seconds from the begin of the action until nothing is replicated any more: AWS's "up to 5 minutes"."""


def deploy(client: Client, region: str, account: str, table: str, tags: Mapping[str, str]) -> None:
    """An alarm as stop condition, and the template, named by its tag; table and template bear `tags`."""
    arn = f"arn:aws:dynamodb:{region}:{account}:table/{table}"
    if tags:
        pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
        client("dynamodb", region).tag_resource(ResourceArn=arn, Tags=pairs)
    action = {"actionId": PAUSE, "parameters": {"duration": LONGEST}, "targets": {"Global-Tables": "tables"}}
    targets = {"tables": ("aws:dynamodb:global-table", arn)}
    tags = {"Name": TEMPLATE, **tags}
    template(client, region, account, tags, f"pauses the replication of {table}", action, targets)
