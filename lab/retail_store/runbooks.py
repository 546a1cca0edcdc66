"""The operator's runbooks as published, weak points included, and the function behind two of them.

FailoverX_YRegion means: fail X over *away from* Region Y. The documents take no parameters, wait for nothing, and
nothing in them looks whether the routing control was really updated.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from lab.aws.functions import FunctionContext, Handler
from lab.retail_store import names
from lab.retail_store.names import DATABASES, PLACES, SERVING
from lab.stack_parts import Client, Routing

FUNCTION = "AutomationRegionalFailoverFunction"
FUNCTION_TIMEOUT_S = 3.0
"""The template gives the function no timeout: Lambda's default."""
FUNCTION_FLOOR_WALL_S = 3.0
"""It asks up to five endpoints in that time, which is work of this machine: it gets the same in wall seconds."""
NOT_UPDATED = "NotUpdated"


def disable_name(region: str) -> str:
    """The document that turns a Region's routing control Off."""
    return f"mr-app-DisableApplication_{PLACES[region].role}Region"


def enable_name(region: str) -> str:
    """The document that turns it On; published without the prefix of the others."""
    return f"EnableApplication_{PLACES[region].role}Region"


def failover_name(database: str, region: str) -> str:
    """The document that fails a database over away from a Region."""
    return f"mr-app-Failover{database.capitalize()}_{PLACES[region].role}Region"


def regional_failover(route: Routing) -> Handler:
    """The function: try the endpoints in their order, stop at the first that works.

    As published it reports "NotUpdated" when none works, and raises nothing.
    """
    arns = {PLACES[region].role: arn for region, arn in route.controls.items()}

    def handler(event: dict[str, Any], context: FunctionContext) -> Mapping[str, str]:
        state = "Off" if event["ACTION"] == "disable" else "On"
        arn = {"RoutingControlArn": arns[event["REGION"]]}
        for region, url in route.endpoints:
            client = context.client("route53-recovery-cluster", region, endpoint_url=url, attempts=1)
            try:
                client.get_routing_control_state(**arn)
                client.update_routing_control_state(**arn, RoutingControlState=state)
                return {"routing_control_state": client.get_routing_control_state(**arn)["RoutingControlState"]}
            except (ClientError, BotoCoreError):
                continue
        return {"routing_control_state": NOT_UPDATED}

    return handler


def toggle(action: str, region: str) -> dict[str, Any]:
    """The content of an Enable or Disable document; action: enable or disable."""
    role = PLACES[region].role
    return {
        "schemaVersion": "0.3",
        "description": f"{action} the application in the {role} Region",
        "outputs": ["UpdateRoutingControl.UPDATED_ROUTING_CONTROL_STATE", "UpdateRoutingControl.Payload"],
        "mainSteps": [
            {
                "name": "UpdateRoutingControl",
                "action": "aws:invokeLambdaFunction",
                "maxAttempts": 1,
                "timeoutSeconds": 120,
                "onFailure": "Abort",
                "inputs": {
                    "FunctionName": FUNCTION,
                    "Payload": json.dumps({"ACTION": action, "REGION": role}),
                },
                "outputs": [
                    {
                        "Name": "UPDATED_ROUTING_CONTROL_STATE",
                        "Selector": "$.Payload.routing_control_state",
                        "Type": "String",
                    }
                ],
                "isEnd": True,
            }
        ],
    }


def failover(database: str, region: str) -> dict[str, Any]:
    """The content of a failover document: disable the Region, then the lossy failover, and that is all."""
    return {
        "schemaVersion": "0.3",
        "description": f"Fail the {database} database over from {region}",
        "mainSteps": [
            {
                "name": "DisableApplication",
                "action": "aws:executeAutomation",
                "maxAttempts": 1,
                "onFailure": "Abort",
                "inputs": {"DocumentName": disable_name(region), "DocumentVersion": "1"},
            },
            {
                "name": "FailoverDatabase",
                "action": "aws:executeAwsApi",
                "onFailure": "Abort",
                "inputs": {
                    "Service": "rds",
                    "Api": "FailoverGlobalCluster",
                    "AllowDataLoss": True,
                    "GlobalClusterIdentifier": names.global_cluster(database),
                    "TargetDbClusterIdentifier": names.database_arn(database, names.other(region)),
                },
                "isEnd": True,
            },
        ],
    }


def documents() -> dict[str, dict[str, Any]]:
    """Every runbook by name; all of them are deployed in both Regions."""
    found: dict[str, dict[str, Any]] = {}
    for region in SERVING:
        found[disable_name(region)] = toggle("disable", region)
        found[enable_name(region)] = toggle("enable", region)
        found |= {failover_name(database, region): failover(database, region) for database in DATABASES}
    return found


def deploy(client: Client) -> None:
    """Create the documents in both Regions."""
    for region in SERVING:
        for name, content in documents().items():
            client("ssm", region).create_document(
                Name=name, Content=json.dumps(content), DocumentType="Automation", DocumentFormat="JSON"
            )
