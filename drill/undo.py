"""How what an Action has started is ended before it ends by itself: as data, like everything that puts back.

Its id is known to nobody before it is started, so the call that ends it cannot be written down before. What can be is
how it is found: a look that lists the ids of what is ours and still runs, and the call with a place for one of them.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from drill.aws import Aws, AwsFailed
from drill.call import Call, Fact, Reading, fact_from
from drill.errors import UsageError
from drill.filling import filled

ID = "id"
PLACE = f"{{{ID}}}"
"""Stands in the call where the id belongs."""
TYPED = "ID"
"""What stands there in a line for people, who get it from the look."""


@dataclass(frozen=True)
class Undo:
    """running: a fact that holds when nothing of ours runs; what is read else are the ids of what does.

    call: ends one of them, PLACE in its parameters. over: further facts that hold once nothing of it is left. tag:
    key and value by which AWS tells ours from everybody else's, so that IAM need not allow to end those.
    """

    running: Fact
    call: Call
    over: tuple[Fact, ...] = ()
    tag: tuple[str, str] | None = None

    @property
    def facts(self) -> tuple[Fact, ...]:
        """All of them hold when nothing is left to do."""
        return (self.running, *self.over)

    def validate(self, kind: str) -> None:
        """UsageError when botocore does not know it, or it could end nothing."""
        self.call.validate()
        for fact in self.facts:
            fact.validate()
        if not self.call.mutates or PLACE not in json.dumps(self.call.params) or self.running.equals != []:
            raise UsageError(f"{kind} does not say how what it starts is found and ended; its prepare() is wrong")

    def ending(self, number: str) -> Call:
        """The call for one id."""
        return replace(self.call, params=filled(self.call.params, {ID: number}))

    def line(self, endpoint_url: str | None = None) -> str:
        """One line for a shell with the stock aws CLI: look, and end each that is found."""
        look = f"{self.running.call.cli(endpoint_url)} --output text --query "
        query = shlex.quote(f"{self.running.path} | [*].[@]")
        return f"{look}{query} | xargs -r -I {TYPED} {self.ending(TYPED).cli(endpoint_url)}"

    def calls(self, reading: Reading) -> tuple[Call, ...]:
        """What ends all that a reading of `running` shows. AwsFailed when it does not say what runs."""
        if not isinstance(reading.observed, list):
            raise AwsFailed(f"{reading} does not say what runs")
        return tuple(self.ending(str(number)) for number in reading.observed)


def end_all(aws: Aws, undo: Undo, announce: Callable[[tuple[Call, ...]], None]) -> None:
    """End all that runs; one that has ended by itself meanwhile is no failure. announce: told the calls before.

    AwsFailed when AWS does not say what runs, or does not end it.
    """
    calls = _wanted(aws, undo)
    announce(calls)
    for call in calls:
        try:
            aws.run(call)
        except AwsFailed:
            if call in _wanted(aws, undo):
                raise


def undo_from(record: dict[str, Any] | None) -> Undo | None:
    """An Undo from its JSON form. KeyError or TypeError when it is none."""
    if record is None:
        return None
    over = tuple(fact_from(fact) for fact in record["over"])
    tag = tuple(record["tag"]) if record.get("tag") else None
    return Undo(fact_from(record["running"]), Call(**record["call"]), over, tag)


def _wanted(aws: Aws, undo: Undo) -> tuple[Call, ...]:
    return undo.calls(aws.read([undo.running])[0])
