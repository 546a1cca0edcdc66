"""What `drill lab up event-bus` prints: how events are put, the bus impaired and the endpoint moved by hand."""

from __future__ import annotations

from pathlib import Path

from lab.event_bus.names import ENDPOINT_ID, HEALTH_CHECK, IMPAIRMENT, PLACES
from lab.launch import LabInfo

NAME = f"{ENDPOINT_ID}.endpoint.events.amazonaws.com"


def how_to(info: LabInfo, state: Path) -> str:
    """What to type."""
    host, port = info.dns_authoritative
    consumers = "\n".join(
        f"  curl -s http://{place.consumers[0]}:{info.http_port}/events/first    # the consumers in {region}"
        for region, place in PLACES.items()
    )
    return f"""\
{info.system} is up, {info.speed:g} times faster than real time (pid {info.pid}). Ctrl-C stops it.

In another terminal (the stock AWS CLI with the CRT, in an environment of its own: version 1 pins botocore):
  export AWS_ENDPOINT_URL={info.aws_endpoint} AWS_DEFAULT_REGION=ap-northeast-1
  export AWS_ACCESS_KEY_ID=lab AWS_SECRET_ACCESS_KEY=lab

Where the endpoint leads:
  dig @{host} -p {port} {NAME}
  aws events describe-endpoint --name orders-endpoint

An event by the endpoint (signed for all Regions), and who has it:
  aws events put-events --endpoint-id {ENDPOINT_ID} --entries '[{{"Source": "shop.orders", "EventBusName": "orders",
    "DetailType": "Order Placed", "Detail": "{{\\"reference\\": \\"first\\"}}"}}]'
{consumers}

Impair Tokyo's bus (one delivery each 48 s) and wait some six minutes of lab time; 0 ends it:
  aws ssm put-parameter --name {IMPAIRMENT} --value 48 --overwrite
  aws cloudwatch describe-alarms --alarm-names HighLatencyAlarm --query 'MetricAlarms[].StateValue'

Move at once, without the alarm (the check is tagged {HEALTH_CHECK}); --no-inverted ends it:
  CHECK=$(aws route53 list-health-checks --query 'HealthChecks[0].Id' --output text)
  aws route53 update-health-check --health-check-id $CHECK --inverted

Drill this very lab:
  pytest -m failover --target {info.system} --lab-attach={state}"""
