"""The operator's runbook as published: five steps, each a function of one script.

Not as published: the script stands in the document, where the public one names an attachment in a bucket.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lab.remittance.names import DOCUMENT, EAST, WEST
from lab.stack_parts import Client

SCRIPT = Path(__file__).with_name("rotation.py")


def content() -> dict[str, Any]:
    """The document. The last step works in the passive Region, those after the first in the active one."""
    active, passive = "{{GetRegions.ACTIVE_REGION}}", "{{GetRegions.PASSIVE_REGION}}"
    regions = {"AWS_REGION": EAST, "AWS_REGION1": EAST, "AWS_REGION2": WEST}
    return {
        "schemaVersion": "0.3",
        "description": "Runbook for Remittance Application Failover",
        "mainSteps": [
            _step(
                "GetRegions", "get_regions", regions, ACTIVE_REGION="active_region", PASSIVE_REGION="passive_region"
            ),
            _step("RotateArcControls", "rotate_arc_controls", {"AWS_REGION": active}),
            _step(
                "FailoverAuroraGlobalDatabase",
                "rotate_aurora_global_database",
                {"AWS_REGION": active},
                GLOBAL_CLUSTER="global_cluster",
            ),
            _step("WaitForAuroraGlobalFailover", "wait_for_aurora_to_be_available", {"AWS_REGION": active}),
            _step("UpdateDatabaseSecret", "update_database_secret", {"AWS_REGION": passive}),
        ],
    }


def _step(name: str, function: str, payload: dict[str, str], **outputs: str) -> dict[str, Any]:
    made = {
        "name": name,
        "action": "aws:executeScript",
        "inputs": {
            "Runtime": "python3.8",
            "Handler": "invoke",
            "Script": SCRIPT.read_text(),
            "InputPayload": {"FUNCTION": function, **payload},
        },
    }
    picked = [{"Name": key, "Selector": f"$.Payload.{field}", "Type": "String"} for key, field in outputs.items()]
    return made | ({"outputs": picked} if picked else {})


def deploy(client: Client) -> None:
    """Create the document, in us-east-1 only."""
    client("ssm", EAST).create_document(
        Name=DOCUMENT, Content=json.dumps(content()), DocumentType="Automation", DocumentFormat="JSON"
    )
