"""What `drill lab up remittance` prints: the operators' procedure, line by line."""

from __future__ import annotations

from pathlib import Path

from commands.world import TARGETS
from drill.target import load_target
from lab.launch import LabInfo


def how_to(info: LabInfo, state: Path) -> str:
    """What to type, in the order of the public document."""
    host, port = info.dns_authoritative
    sign_on = load_target(TARGETS / f"{info.system}.toml").sign_on
    assert sign_on is not None
    return f"""\
{info.system} is up, {info.speed:g} times faster than real time (pid {info.pid}). Ctrl-C stops it.

In another terminal (the stock AWS CLI, in an environment of its own: version 1 pins botocore):
  export AWS_ENDPOINT_URL={info.aws_endpoint} AWS_DEFAULT_REGION=us-east-1
  export AWS_ACCESS_KEY_ID=lab AWS_SECRET_ACCESS_KEY=lab

Sign on (nobody is served without a token):
  TOKEN=$(aws cognito-idp initiate-auth --client-id {sign_on.client_id} --auth-flow USER_PASSWORD_AUTH \\
    --auth-parameters USERNAME={sign_on.user},PASSWORD={sign_on.password} --output text \\
    --query AuthenticationResult.IdToken)

Where the name points, and a remittance as a client makes it (port {info.http_port} stands for 80):
  dig @{host} -p {port} api.example.net    # authoritative
  curl -s -X POST -H "Authorization: $TOKEN" -H 'Content-Type: application/json' -d '{{"senderName": "me",
    "senderBank": "b", "senderAccount": "me-1", "receiverName": "you", "receiverBank": "b",
    "receiverAccount": "you-1", "amount": 10}}' \\
    http://$(dig +short @{host} -p {port} api.example.net | head -1):{info.http_port}/create-remittance

Take the function of us-east-1 away, and put it back:
  aws lambda put-function-concurrency --function-name CreateRemittance --reserved-concurrent-executions 0
  aws lambda delete-function-concurrency --function-name CreateRemittance

Rotate, there and later back with the same line; watch its five steps, the writer and the secret:
  aws ssm start-automation-execution --document-name FailoverRunbook
  aws ssm describe-automation-executions
  aws rds describe-global-clusters
  aws secretsmanager get-secret-value --secret-id database

Drill this very lab:
  pytest -m failover --target {info.system} --lab-attach={state}"""
