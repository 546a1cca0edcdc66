"""SNS: a crafted notification, as a service would have published it. An Action: a message cannot be taken back."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Literal

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Action, Effect
from drill.find import find_one
from drill.target import Resource

Page = Literal["docs.amazonwebservices.com", "docs.aws.amazon.com"]
"""The hosts that the link in "Event ID" has named over the years."""


@dataclass(frozen=True)
class PublishRdsEvent:
    """Publish an RDS event of the cluster `source` to the one topic that `resource` matches.

    event_id: "RDS-EVENT-0073"; text: its message; number: which of this run's messages it is (from 1). SNS takes
    every message for a new one, so a parameter named after run and number is written first, which AWS refuses to
    write twice: a message is sent at most once. The parameter stays and says what was published.
    effect: what clients must see; "none" for an event that accompanies another fault.
    """

    resource: Resource
    source: str
    event_id: str
    text: str
    number: int
    effect: Effect = "none"
    page: Page = "docs.amazonwebservices.com"

    def prepare(self, aws: Aws, target: str, run_id: str) -> Action:
        """See Step. Its end state says that it was published, and nothing of what that did."""
        topic = find_one(aws, "sns.topic", self.resource)
        region, account = topic.arn.split(":")[3:5]
        name = f"drill-{run_id}-{self.number}"
        message = json.dumps(
            {
                "Event Source": "db-cluster",
                "Event Time": "1970-01-01 00:00:00.000",
                "Source ID": self.source,
                "Event ID": f"http://{self.page}/AmazonRDS/latest/UserGuide/USER_Events.html#{self.event_id}",
                "Event Message": self.text,
                "failover-drill": "crafted",
            }
        )
        noted = hashlib.sha256(message.encode()).hexdigest()
        note = {"Name": name, "Type": "String", "Value": noted, "Overwrite": False}
        publish = {"TopicArn": topic.arn, "Subject": "RDS Notification Message", "Message": message}
        look = Call("ssm", "GetParameter", {"Name": name}, region)
        published = (Fact(look, "Parameter.Value", noted, ("ParameterNotFound",)),)
        return Action(
            kind="sns.publish",
            target=target,
            run_id=run_id,
            resources=(topic.arn, f"arn:aws:ssm:{region}:{account}:parameter/{name}"),
            effect=self.effect,
            calls=(Call("ssm", "PutParameter", note, region), Call("sns", "Publish", publish, region)),
            end_state=published,
            timeout_s=30.0,
            begun=published,
        )
