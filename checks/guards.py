"""Looks before anything is touched. Each is read-only but for one synthetic deposit, and each says yes or raises.

Refused: this is not the place, or not the thing, that the target means (nothing may be broken there).
Invalid: it is, but a drill would prove nothing now, because the system or its standby is not healthy.
A guard that cannot look refuses too: what nobody has seen is not in order.
"""

from __future__ import annotations

import functools
import os
import secrets
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from checks.quotas import quota_problems
from checks.signals import list_automations
from drill.asked_once import AskedOnce
from drill.cleaning import clean, open_eraser
from drill.client import Reply, wall_timeout_s
from drill.clock import Clock, SystemClock
from drill.doors import open_door
from drill.errors import Invalid, Refused
from drill.find import Clients, Found, find, kind_of, region_of_arn
from drill.ledger import STORE, LedgerWriter, Write
from drill.models import all_regions
from drill.read_only import OnlyReads
from drill.reading import NOBODY, answers
from drill.target import Target
from drill.write_path import CLEANED
from drill.writing import Submitted, WriteClient

ALARM_TIMEOUT_S = 300.0
"""Target seconds: two periods of an alarm, its evaluation and a canary's first runs."""
ALARM_STEP_WALL_S = 0.5
POLL_FLOOR_WALL_S = 0.1
CLEAN_LIMIT_WALL_S = 20.0
P = ParamSpec("P")
T = TypeVar("T")


def _refuses_blind(guard: Callable[P, T]) -> Callable[P, T]:
    """What AWS does not answer is a refusal, in one sentence."""

    @functools.wraps(guard)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return guard(*args, **kwargs)
        except (ClientError, BotoCoreError) as error:
            raise Refused(
                f"{guard.__name__}: AWS could not be asked ({error}); check credentials, permissions and Region"
            ) from error

    return wrapper


@_refuses_blind
def account_matches(aws: Clients, target: Target) -> str:
    """The account that the credentials belong to, which must be the target's. Refused otherwise."""
    account = str(aws.client("sts", target.regions.primary).get_caller_identity()["Account"])
    if account != target.account:
        raise Refused(
            f"the credentials belong to account {account}, target {target.name} lives in {target.account}; "
            "use its credentials (AWS_PROFILE) or another --target"
        )
    return account


def regions_known(target: Target) -> tuple[str, ...]:
    """Every Region that the target names, all of which AWS must know. Refused names the ones it does not."""
    roles = target.regions
    named = {roles.primary, roles.standby, roles.observer, *(r.region for r in target.resources.values())}
    unknown = sorted(named - all_regions())
    if unknown:
        raise Refused(f"target {target.name} names {', '.join(unknown)}, which AWS does not know; correct [regions]")
    return tuple(sorted(named))


@_refuses_blind
def exactly_one(aws: Clients, target: Target, key: str) -> Found:
    """The one thing that a resource key of the target means. Refused names none, or the several matches."""
    return find(aws, target, key)


def all_found(aws: Clients, target: Target) -> dict[str, Found]:
    """Every resource of the target, by key. Refused lists every key that is not exactly one, at once."""
    found, problems, looking = {}, [], AskedOnce(aws)
    for key in sorted(target.resources):
        try:
            found[key] = exactly_one(looking, target, key)
        except Refused as problem:
            problems.append(f"{key}: {problem}")
    if problems:
        raise Refused("\n".join(problems))
    return found


def primary_serving(target: Target, clock: Clock | None = None, account: str = "guard") -> str:
    """The address that served one deposit through the public endpoint: it settled, and lies in the primary Region.

    account: goes behind the synthetic prefix; without a prefix there are only reads, and nothing is written. Where
    the target says that written data are cleaned up, this is deleted at once: what cannot be is better known before
    anything is touched. Invalid says what happened instead.
    """
    clock = clock or SystemClock(target.lab.speed if target.lab else 1.0)
    client = _write_client(target, clock)
    if target.load.read_only:
        return _in_primary(target, _answering(target, client, NOBODY + account).peer)
    name = target.load.synthetic_prefix + account
    if target.writes.protocol == "sql":  # a row is called by its account: no two drills may write the same
        name += f"-{secrets.token_hex(4)}"
    store = target.writes.store_of(target.writes.probe)
    probe = client.submit(target.writes.probe, name)
    if probe.id is None:
        raise Invalid(f"{_not_serving(target)}: {target.writes.probe} got {_told(probe.reply)}; repair it first")
    deadline_s = probe.reply.sent_s + wall_timeout_s(target.timings.probe_timeout_s, clock.speed)
    read = client.read(probe.id, name, store=store)
    while read.state in ("pending", "absent") and clock.monotonic_s() < deadline_s:
        clock.sleep(max(POLL_FLOOR_WALL_S * clock.speed, target.load.poll_s))
        read = client.read(probe.id, name, store=store)
    if read.state != "settled":
        raise Invalid(
            f"{_not_serving(target)}: an accepted {target.writes.probe} is {read.state} ({_told(read.reply)}) "
            f"after {target.timings.probe_timeout_s:g} {target.unit}; repair it first"
        )
    _clean_up(target, clock, name, probe)
    return _in_primary(target, read.reply.peer)


def _clean_up(target: Target, clock: Clock, account: str, probe: Submitted) -> None:
    """Delete the guard's own record, where the target says so. Invalid when it is not seen gone."""
    if target.load.residue != CLEANED:
        return
    write = Write(f"guard-{probe.n}", target.writes.probe, account, 0.0, 0.0, None, probe.result, probe.id, 0, "")
    with closing(open_eraser(target, clock)) as eraser:
        done = clean(eraser, clock, [(write, STORE)], CLEAN_LIMIT_WALL_S)
    if done.left:
        raise Invalid(
            f"load.residue of {target.name} is 'cleaned', and what was written for a look cannot be ({done.why}): "
            f"let {target.writes.user} delete it, or say 'left'"
        )


def _answering(target: Target, client: WriteClient, who: str) -> Reply:
    """The last of the reads that change nothing, all of which were good."""
    for answer in answers(client, who):
        if not answer.good:
            what = f"{answer.name} said {answer.said} ({_told(answer.reply)})"
            raise Invalid(f"{_not_serving(target)}: {what}; repair it first")
        reply = answer.reply
    return reply


def _write_client(target: Target, clock: Clock) -> WriteClient:
    # The guard's deposit belongs to no run: what becomes of it is looked at here and judged nowhere.
    nowhere = LedgerWriter(Path(os.devnull))
    door = open_door(target, clock, wall_timeout_s(target.load.timeout_s, clock.speed))
    return WriteClient(target.writes, door, nowhere, clock=clock)


def _in_primary(target: Target, peer: str) -> str:
    region = target.region_of(peer)
    if region != target.regions.primary:
        raise Invalid(
            f"{target.endpoint} is served from {peer} in {region or 'no known Region'}, not from the primary "
            f"{target.regions.primary}; fail back before drilling, or correct [regions.cidrs]"
        )
    return peer


def _not_serving(target: Target) -> str:
    return f"{target.name} does not serve at {target.endpoint}"


def _told(reply: Reply) -> str:
    return f"{reply.error} ({reply.detail})" if reply.error else f"HTTP status {reply.status}"


@_refuses_blind
def standby_able(aws: Clients, target: Target) -> str:
    """That the standby could take over: services run, data is connected, quotas are enough, no machine is at work.

    Invalid lists everything that stands in the way. Parts that the target does not have are not asked for.
    """
    problems = [
        *_idle_services(aws, target),
        *_data_problems(aws, target),
        *_busy_machines(aws, target),
        *quota_problems(aws, target),
    ]
    if problems:
        raise Invalid(f"the standby {target.regions.standby} could not take over: {'; '.join(problems)}")
    return f"{target.regions.standby} can take over"


def _idle_services(aws: Clients, target: Target) -> list[str]:
    keys = [k for k in sorted(target.resources) if k.startswith("standby_") and kind_of(k) == "ecs.service"]
    return [problem for key in keys if (problem := _idle(aws, find(aws, target, key)))]


def _idle(aws: Clients, found: Found) -> str:
    ecs = aws.client("ecs", found.region)
    services = ecs.describe_services(cluster=found.extra["cluster"], services=[found.arn])["services"]
    if not services:
        return f"service {found.name} cannot be described"
    running, desired = services[0]["runningCount"], services[0]["desiredCount"]
    return "" if running == desired > 0 else f"service {found.name} runs {running} of {desired} tasks"


def _data_problems(aws: Clients, target: Target) -> list[str]:
    keys = [k for k in sorted(target.resources) if kind_of(k) == "rds.global_cluster"]
    return [problem for key in keys for problem in _cluster_problems(aws, target, find(aws, target, key))]


def _cluster_problems(aws: Clients, target: Target, found: Found) -> list[str]:
    rds = aws.client("rds", found.region)
    cluster = rds.describe_global_clusters(GlobalClusterIdentifier=found.name)["GlobalClusters"][0]
    members = cluster.get("GlobalClusterMembers", [])
    writers = [region_of_arn(m["DBClusterArn"]) for m in members if m.get("IsWriter")]
    problems = [] if cluster["Status"] == "available" else [f"global cluster {found.name} is {cluster['Status']}"]
    if writers != [target.regions.primary]:
        where = ", ".join(writers) or "no Region"
        problems.append(f"the writer of {found.name} is in {where}, not in {target.regions.primary}")
    return problems + _reader_problems(members, target.regions.standby)


def _reader_problems(members: list[dict[str, Any]], standby: str) -> list[str]:
    readers = [m for m in members if not m.get("IsWriter") and region_of_arn(m["DBClusterArn"]) == standby]
    if not readers:
        return [f"no database reader in {standby}"]
    states = [m.get("SynchronizationStatus", "unknown") for m in readers]
    return [] if "connected" in states else [f"the database reader in {standby} is {', '.join(states)}"]


@_refuses_blind
def clusters_connected(aws: Clients, target: Target, clock: Clock, timeout_s: float) -> str:
    """That every global cluster of the target is whole; waits at most `timeout_s` target seconds.

    After a lossy failover the old writer comes back as a reader in its own time, and until then Aurora refuses every
    further move. Invalid names what is not connected.
    """
    keys = [k for k in sorted(target.resources) if kind_of(k) == "rds.global_cluster"]
    deadline_s = clock.monotonic_s() + timeout_s / clock.speed
    while (apart := [what for key in keys for what in _apart(aws, find(aws, target, key))]) and (
        clock.monotonic_s() < deadline_s
    ):
        clock.sleep(ALARM_STEP_WALL_S * clock.speed)
    if apart:
        waited = f"after {timeout_s:g} {target.unit}"
        raise Invalid(f"{waited}: {', '.join(apart)}; look at the cluster's events before moving it")
    return f"{len(keys)} global clusters connected"


def _apart(aws: Clients, found: Found) -> list[str]:
    rds = aws.client("rds", found.region)
    cluster = rds.describe_global_clusters(GlobalClusterIdentifier=found.name)["GlobalClusters"][0]
    states = {m["DBClusterArn"]: m.get("SynchronizationStatus", "unknown") for m in cluster["GlobalClusterMembers"]}
    moving = [] if cluster["Status"] == "available" else [f"{found.name} is {cluster['Status']}"]
    return moving + [f"{arn} is {state}" for arn, state in sorted(states.items()) if state != "connected"]


def _busy_machines(aws: Clients, target: Target) -> list[str]:
    kinds = {"states.machine": _busy, "ssm.document": _busy_runbook}
    keys = [k for k in sorted(target.resources) if kind_of(k) in kinds]
    return [problem for key in keys if (problem := kinds[kind_of(key)](aws, find(aws, target, key)))]


def _busy(aws: Clients, machine: Found) -> str:
    states = aws.client("stepfunctions", machine.region)
    running = states.list_executions(stateMachineArn=machine.arn, statusFilter="RUNNING")["executions"]
    return f"{machine.name} is running ({running[0]['name']})" if running else ""


def _busy_runbook(aws: Clients, document: Found) -> str:
    ended = ("Success", "Failed", "TimedOut", "Cancelled", "CompletedWithSuccess", "CompletedWithFailure", "Exited")
    for execution in list_automations(aws, document):
        if execution["AutomationExecutionStatus"] not in ended:
            return f"{document.name} is running ({execution['AutomationExecutionId']})"
    return ""


@_refuses_blind
def alarms_armed(aws: Clients, target: Target, clock: Clock, timeout_s: float = ALARM_TIMEOUT_S) -> tuple[str, ...]:
    """The names of the target's alarms, once all of them are OK; waits at most `timeout_s` target seconds.

    An automation that is triggered by OK -> ALARM sleeps through an outage that begins in any other state.
    Invalid names the alarms that are not OK.
    """
    alarms = [find(aws, target, k) for k in sorted(target.resources) if kind_of(k) == "cloudwatch.alarm"]
    deadline_s = clock.monotonic_s() + timeout_s / clock.speed
    while (sleeping := _not_ok(aws, alarms)) and clock.monotonic_s() < deadline_s:
        clock.sleep(ALARM_STEP_WALL_S * clock.speed)
    if sleeping:
        raise Invalid(
            f"after {timeout_s:g} {target.unit}: {', '.join(sleeping)}; an alarm that is not OK cannot turn from OK "
            "to ALARM, so the failover would not start by itself; repair what it watches"
        )
    return tuple(alarm.name for alarm in alarms)


def _not_ok(aws: Clients, alarms: list[Found]) -> list[str]:
    states = [(alarm.name, _alarm_state(aws, alarm)) for alarm in alarms]
    return [f"alarm {name} is {state}" for name, state in states if state != "OK"]


def _alarm_state(aws: Clients, alarm: Found) -> str:
    shown = aws.client("cloudwatch", alarm.region).describe_alarms(AlarmNames=[alarm.name])["MetricAlarms"]
    return str(shown[0]["StateValue"]) if shown else "gone"


def before_failover(aws: Clients, target: Target, clock: Clock) -> dict[str, Callable[[], object]]:
    """All looks before a failover drill, by name, cheapest first; each raises Refused or Invalid."""
    return {
        "account": OnlyReads(lambda: account_matches(aws, target)),
        "regions": OnlyReads(lambda: regions_known(target)),
        "exactly one match each": OnlyReads(lambda: sorted(found.arn for found in all_found(aws, target).values())),
        "primary serving": lambda: primary_serving(target, clock),
        "standby able": OnlyReads(lambda: standby_able(aws, target)),
        "alarms armed": OnlyReads(lambda: alarms_armed(aws, target, clock)),
    }
