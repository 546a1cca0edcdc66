"""What an IAM policy allows, decided as IAM does."""

from __future__ import annotations

import fnmatch
from typing import Any

from drill.iam import Need, resources_of, signed_region


def allows(document: dict[str, Any], need: Need, account: str) -> bool:
    """Whether a statement allows it, on every resource, with the tag and in the Region, as IAM decides."""
    wanted, region = set(resources_of(need, account)), signed_region(need.service, need.region)
    for statement in document["Statement"]:
        regions = statement.get("Condition", {}).get("StringEquals", {}).get("aws:RequestedRegion", [region])
        tags = statement.get("Condition", {}).get("StringLike", {})
        borne = {f"aws:ResourceTag/{need.tag[0]}": need.tag[1]} if need.tag else {}
        bears = all(any(fnmatch.fnmatchcase(borne.get(key, ""), p) for p in every) for key, every in tags.items())
        if need.action in statement["Action"] and region in regions and bears:
            wanted = {arn for arn in wanted if not any(fnmatch.fnmatchcase(arn, r) for r in statement["Resource"])}
    return not wanted
