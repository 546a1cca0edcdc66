"""What `drill lab up private-link-replication` prints: a failover by hand, and what it does to the replica."""

from __future__ import annotations

from pathlib import Path

from lab.launch import LabInfo


def how_to(info: LabInfo, state: Path) -> str:
    """What to type, in order."""
    host, port = info.dns_authoritative
    name = "source-cluster.cluster-c0000lab0000.ap-northeast-1.rds.amazonaws.com"
    option = "-e" if info.scheme == "mysql" else "-c"
    return f"""\
{info.system} is up, {info.speed:g} times faster than real time (pid {info.pid}). Ctrl-C stops it.

In another terminal (the stock AWS CLI, in an environment of its own: version 1 pins botocore):
  export AWS_ENDPOINT_URL={info.aws_endpoint} AWS_DEFAULT_REGION=ap-northeast-1
  export AWS_ACCESS_KEY_ID=lab AWS_SECRET_ACCESS_KEY=lab

Who writes, and what is registered with the load balancer:
  dig @{host} -p {port} +short {name}
  aws rds describe-db-clusters --query 'DBClusters[0].DBClusterMembers'
  GROUP=$(aws elbv2 describe-target-groups --query 'TargetGroups[0].TargetGroupArn' --output text)
  aws elbv2 describe-target-health --target-group-arn $GROUP

Fail the cluster over, and watch the balancer being turned:
  aws rds failover-db-cluster --db-cluster-identifier source-cluster
  aws rds describe-events --source-type db-cluster --query 'Events[].Message'

Commit a marker at the writer, and look for it at the replica:
  {_client(info, f"$(dig @{host} -p {port} +short {name})")} \\
    {option} "INSERT INTO drill_marker (id, account, body) VALUES ('mine', 'me', '{{}}')"
  {_client(info, "127.106.0.10")} {option} "SELECT id, made FROM drill_marker"

Point it at the reader, as a late event would (nothing arrives any more until it is turned back):
  aws elbv2 deregister-targets --target-group-arn $GROUP --targets Id=127.105.1.10
  aws elbv2 register-targets --target-group-arn $GROUP --targets Id=127.105.2.20

Drill this very lab:
  pytest -m failover --target {info.system} --lab-attach={state}"""


def _client(info: LabInfo, host: str) -> str:
    """The line that a person types to reach the database on a host, without the statement."""
    if info.scheme == "mysql":
        return f"mariadb -h {host} -P {info.http_port} -u drill drill"
    return f'psql "host={host} port={info.http_port} dbname=postgres user=drill"'
