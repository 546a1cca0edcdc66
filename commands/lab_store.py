"""What `drill lab up retail-store` prints: the operators' procedure, line by line."""

from __future__ import annotations

from pathlib import Path

from lab.launch import LabInfo


def how_to(info: LabInfo, state: Path) -> str:
    """What to type, in the order of the public document."""
    host, port = info.dns_authoritative
    resolvers = "\n".join(
        f"  dig @{address} -p {number} store.demo.io    # what a client in {region} sees (caches for the TTL)"
        for region, (address, number) in info.resolvers.items()
    )
    return f"""\
{info.system} is up, {info.speed:g} times faster than real time (pid {info.pid}). Ctrl-C stops it.

In another terminal (the stock AWS CLI, in an environment of its own: version 1 pins botocore):
  export AWS_ENDPOINT_URL={info.aws_endpoint} AWS_DEFAULT_REGION=us-west-2
  export AWS_ACCESS_KEY_ID=lab AWS_SECRET_ACCESS_KEY=lab

Where the name points (each Region's clients have an answer of their own):
  dig @{host} -p {port} store.demo.io    # authoritative
{resolvers}

Take the orders service of us-east-1 away:
  aws ecs update-service --region us-east-1 --cluster retail-store-ecs-cluster --service orders --desired-count 0

Evacuate us-east-1 (each runbook disables the Region and fails its database over, lossily):
  aws ssm start-automation-execution --document-name mr-app-FailoverOrders_PrimaryRegion
  aws ssm start-automation-execution --document-name mr-app-FailoverCatalog_PrimaryRegion
  aws ssm describe-automation-executions
  aws rds describe-global-clusters

Put the service back, move the data home (once its members are connected), then let the clients in:
  aws ecs update-service --region us-east-1 --cluster retail-store-ecs-cluster --service orders --desired-count 1
  aws rds switchover-global-cluster --global-cluster-identifier orders-global-db-cluster \\
    --target-db-cluster-identifier arn:aws:rds:us-east-1:{info.account}:cluster:orders-us-east-1-global-db-cluster
  aws rds switchover-global-cluster --global-cluster-identifier catalog-global-db-cluster \\
    --target-db-cluster-identifier arn:aws:rds:us-east-1:{info.account}:cluster:catalog-us-east-1-global-db-cluster
  aws ssm start-automation-execution --document-name EnableApplication_PrimaryRegion

An order, as a client in us-east-1 makes it (port {info.http_port} stands for 80):
  curl -s -X POST -H 'X-Customer-Id: me' -H 'Content-Type: application/json' -d '{{"quantity": 1}}' \\
    http://$(dig +short @{host} -p {port} store.demo.io | head -1):{info.http_port}/api/checkout/submit

Drill this very lab:
  pytest -m failover --target {info.system} --lab-attach={state}"""
