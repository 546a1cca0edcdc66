"""Resource policies, as far as the lab obeys them: statements that deny actions to every principal, unconditionally.

IAM user guide, "Policy evaluation logic": an explicit Deny holds against everybody, whatever is allowed elsewhere.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Mapping
from typing import Any


def denies(policy: str | None, action: str) -> bool:
    """Whether a policy (JSON) denies `action` ("dynamodb:GetItem") to everybody."""
    return any(_denies(statement, action) for statement in json.loads(policy or "{}").get("Statement", []))


def refused(account: str, action: str, arn: str) -> str:
    """What AWS says to who is denied."""
    why = f"User: arn:aws:iam::{account}:role/lab is not authorized to perform: {action} on resource: {arn}"
    return f"{why} with an explicit deny in a resource-based policy"


def _denies(statement: Mapping[str, Any], action: str) -> bool:
    actions = statement.get("Action", [])
    patterns = [actions] if isinstance(actions, str) else actions
    everybody = statement.get("Principal") in ("*", {"AWS": "*"}) and "Condition" not in statement
    return statement.get("Effect") == "Deny" and everybody and any(fnmatch.fnmatchcase(action, p) for p in patterns)
