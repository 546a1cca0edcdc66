"""What moves core-banking by itself: the functions, the three state machines and the rule, all in Osaka."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lab.aws.states import render
from lab.core_banking import functions, infra, names
from lab.core_banking.names import OREGON, OSAKA, PLACES, TOKYO
from lab.stack_parts import Client, Routing

PROXY_FUNCTIONS = {kind: names.logical_id(f"{kind}StateMachineProxyHandler") for kind in ("Failover", "Failback")}


def deploy(client: Client, register: Callable[..., str], route: Routing) -> Mapping[str, str]:
    """Create them, the rule DISABLED; the machines' ARNs by kind. register: see Functions.register."""
    machines = {}
    for kind, target in (("Failover", OSAKA), ("Failback", TOKYO)):
        proxy = register(OSAKA, PROXY_FUNCTIONS[kind], functions.proxy, functions.PROXY_TIMEOUT_S)
        definition = render(kind.lower(), **_machine_values(route, proxy, target))
        machines[kind] = infra.machine(client, kind, definition)
    alarms = {region: names.alarm_name(region) for region in (OSAKA, OREGON)}
    running = functions.check_running_status(list(machines.values()))
    both = functions.check_two_region_alarms(alarms)
    values = {
        "check_running_status": register(OSAKA, "check_running_status", running, functions.CHECK_TIMEOUT_S),
        "check_two_region_alarms": register(OSAKA, "check_two_region_alarms", both, functions.CHECK_TIMEOUT_S),
        "failover_state_machine": machines["Failover"],
    }
    initiator = infra.machine(client, "FailoverInitiator", render("initiator", **values))
    infra.rule(client, initiator)
    return {**machines, "FailoverInitiator": initiator}


def _machine_values(route: Routing, proxy: str, target: str) -> dict[str, str]:
    """What the failover and failback definitions leave open; `target` is the Region that they promote."""
    cluster = f"arn:aws:rds:{target}:{names.ACCOUNT}:cluster:{names.database_cluster(target)}"
    return {
        "arc_endpoints": ",".join(url for _, url in route.endpoints),
        "arc_regions": ",".join(region for region, _ in route.endpoints),
        "control_tokyo": route.controls[TOKYO],
        "control_osaka": route.controls[OSAKA],
        f"db_cluster_{PLACES[target].city}": cluster,
        "global_cluster": names.GLOBAL_CLUSTER,
        "param_table_tokyo": names.param_table(TOKYO),
        "param_table_osaka": names.param_table(OSAKA),
        "proxy_function": proxy,
    }
