"""ECS: stop all running tasks of a service; ECS starts others for them. An Action: those tasks are gone."""

from __future__ import annotations

from dataclasses import dataclass

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Action, Effect
from drill.errors import Refused
from drill.find import Found, find_one
from drill.target import Resource

MOST = 100
"""Tasks that DescribeTasks tells of at once, and ListTasks lists (ECS API reference)."""


@dataclass(frozen=True)
class StopTasks:
    """Stop every task of the one service that `resource` matches that runs now; its end is that all have stopped.

    timeout_s: target seconds for that: the tasks drain and get their stop timeout. Their successors are a matter of
    the service: a scenario waits for its clients. Each task must lie inside the blast radius and carry the required
    tags, as the service does (`propagateTags: SERVICE`). Effect: as the scenario says; a service that drains well
    shows none.
    """

    resource: Resource
    timeout_s: float
    effect: Effect = "none"

    def prepare(self, aws: Aws, target: str, run_id: str) -> Action:
        """See Step. Refused when no task runs, or more than MOST."""
        found = find_one(aws, "ecs.service", self.resource)
        region, cluster = self.resource.region, {"cluster": found.extra["cluster"]}
        tasks = self._tasks(aws, found)
        look = Call("ecs", "DescribeTasks", {**cluster, "tasks": list(tasks)}, region)
        told = {"reason": f"failover-drill {run_id}"}
        return Action(
            kind="ecs.tasks",
            target=target,
            run_id=run_id,
            resources=(found.arn, *tasks),
            effect=self.effect,
            calls=tuple(Call("ecs", "StopTask", {**cluster, "task": task, **told}, region) for task in tasks),
            end_state=(Fact(look, "length(tasks[?lastStatus == 'STOPPED'])", len(tasks)),),
            timeout_s=self.timeout_s,
            begun=(Fact(look, "length(tasks[?desiredStatus == 'STOPPED']) > `0`", True),),
        )

    def _tasks(self, aws: Aws, service: Found) -> tuple[str, ...]:
        params = {"cluster": service.extra["cluster"], "serviceName": service.name, "desiredStatus": "RUNNING"}
        reply = aws.run(Call("ecs", "ListTasks", params, service.region))
        if not reply["taskArns"]:
            raise Refused(f"ECS service {service.name} in {service.region} runs no task: there is nothing to stop")
        if reply.get("nextToken"):
            raise Refused(
                f"ECS service {service.name} in {service.region} runs more than {MOST} tasks: scale it to 0"
            )
        return tuple(sorted(reply["taskArns"]))
