"""`drill lab up SYSTEM`: keep a stand-in running for a person, and print what to try. `misbehave`: spoil it."""

from __future__ import annotations

import argparse
import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from commands import lab_bus, lab_link, lab_remittance, lab_store, misbehave
from commands.say import say
from commands.world import MAX_SPEED
from drill.errors import UsageError
from lab.launch import Lab, LabError, LabInfo, launch

FIXED_PORT = 5050
DEFAULT_SPEED = 10.0
ALIVE_CHECK_S = 0.5
HOW_TO = {
    "event-bus": lab_bus.how_to,
    "private-link-replication": lab_link.how_to,
    "remittance": lab_remittance.how_to,
    "retail-store": lab_store.how_to,
}
"""What is printed of a system whose operators' procedure differs from core-banking's."""


def register(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser("lab", help="keep the embedded lab running, to try things by hand")
    actions = parser.add_subparsers(dest="action", required=True, metavar="up|misbehave")
    up = actions.add_parser("up", help="start it; Ctrl-C stops it and leaves nothing behind")
    up.add_argument("system", help="core-banking, event-bus, private-link-replication, remittance or retail-store")
    up.add_argument("--lab-speed", type=float, default=DEFAULT_SPEED, help="lab seconds per wall second (default 10)")
    up.add_argument("--lab-port", type=int, default=FIXED_PORT, help="AWS API here, DNS one higher, HTTP two higher")
    up.add_argument("--lab-set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the world")
    up.add_argument("--state", type=Path, default=None, help="write the state file for --lab-attach here")
    up.set_defaults(run=run)
    misbehave.register(actions)


def run(args: argparse.Namespace) -> int:
    """Run until a signal; 0 then. UsageError when the lab cannot start."""
    if not 0 < args.lab_speed <= MAX_SPEED:
        raise UsageError(f"--lab-speed {args.lab_speed:g}: must be above 0 and at most {MAX_SPEED:g}; example: 10")
    try:
        with _launched(args) as lab, _state_file(lab.info, args.state) as state:
            say(HOW_TO.get(lab.info.system, _how_to)(lab.info, state))
            while lab.alive():
                threading.Event().wait(ALIVE_CHECK_S)
            raise UsageError("the lab ended by itself; start it again, and look at what it printed")
    except KeyboardInterrupt:
        say("the lab is stopped")
    return 0


def _launched(args: argparse.Namespace) -> Lab:
    try:
        return launch(args.system, args.lab_speed, port_base=args.lab_port, settings=tuple(args.lab_set))
    except LabError as error:
        raise UsageError(str(error)) from error


@contextlib.contextmanager
def _state_file(info: LabInfo, wanted: Path | None) -> Iterator[Path]:
    """Write what --lab-attach reads; a file outside the lab's own folder is removed at the end."""
    path = wanted.absolute() if wanted else info.state_dir / "lab.json"
    try:
        path.write_text(json.dumps(info.to_json()))
    except OSError as error:
        raise UsageError(
            f"--state {path}: {error.strerror}; name a file in a folder that you may write to"
        ) from error
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _how_to(info: LabInfo, state: Path) -> str:
    """What to type, in the order of the public document."""
    host, port = info.dns_authoritative
    resolvers = "\n".join(
        f"  dig @{address} -p {number} api.example.com    # what {region} sees (caches for the TTL)"
        for region, (address, number) in info.resolvers.items()
    )
    return f"""\
{info.system} is up, {info.speed:g} times faster than real time (pid {info.pid}). Ctrl-C stops it.

In another terminal (the stock AWS CLI, in an environment of its own: version 1 pins botocore):
  export AWS_ENDPOINT_URL={info.aws_endpoint} AWS_DEFAULT_REGION=ap-northeast-1
  export AWS_ACCESS_KEY_ID=lab AWS_SECRET_ACCESS_KEY=lab

Where the name points:
  dig @{host} -p {port} api.example.com    # authoritative
{resolvers}

Arm the automatic failover (it ships disabled):
  RULE=$(aws events list-rules --region ap-northeast-3 --name-prefix BLEAFSI-CoreBanking \\
    --query 'Rules[0].Name' --output text)
  aws events enable-rule --name $RULE --region ap-northeast-3

Stop the Transaction service in Tokyo:
  CLUSTER_ARN=$(aws ecs list-clusters --region ap-northeast-1 --query 'clusterArns[0]' --output text)
  SERVICE_ARN=$(aws ecs list-services --cluster $CLUSTER_ARN --region ap-northeast-1 --output text \\
    --query 'serviceArns[]' | tr '\\t' '\\n' | grep SampleMultiRegionAppTransactionFargateService)
  aws ecs update-service --cluster $CLUSTER_ARN --service $SERVICE_ARN --desired-count 0 --region ap-northeast-1

Watch it move (some minutes of lab time), then put the service back:
  aws stepfunctions list-state-machines --region ap-northeast-3
  aws rds describe-global-clusters --region ap-northeast-3
  aws ecs update-service --cluster $CLUSTER_ARN --service $SERVICE_ARN --desired-count 1 --region ap-northeast-1

Go back to Tokyo (disarm first, as the document says):
  aws events disable-rule --name $RULE --region ap-northeast-3
  MACHINE=$(aws stepfunctions list-state-machines --region ap-northeast-3 --output text \\
    --query 'stateMachines[?starts_with(name, `FailbackStateMachine`)].stateMachineArn')
  aws stepfunctions start-execution --state-machine-arn $MACHINE --region ap-northeast-3

A write, as a client in Tokyo makes it (port {info.http_port} stands for 80):
  curl -s -X POST -H 'X_ACCOUNT_ID: me' -H 'Content-Type: application/json' -d '{{"quantity": 1000}}' \\
    http://$(dig +short @{host} -p {port} api.example.com | head -1):{info.http_port}/transaction/deposit

Let it answer as AWS does on a bad day (--help: how), then behave again:
  drill lab misbehave --state {state} 'throttle ecs:UpdateService count=20' 'stale events delay_s=20'
  drill lab misbehave --state {state} --clear

Drill this very lab:
  pytest -m failover --target {info.system} --lab-attach={state}"""
