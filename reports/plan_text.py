"""A plan for a person: what a drill would do, line by line, with the commands that do the same by hand."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from drill.call import Fact
from drill.find import last_part, region_of_arn
from drill.plan import SAFETY, Plan, PlannedStep
from drill.verdict import unit_of

INDENT = "  "
SHORT = 120
"""Characters of a line that nobody has to type: it may carry a whole Change."""
READS_AS = {
    "look": "look",
    "start": "start",
    "wait": "wait",
    "window": "window",
    "arm": "arm",
    "inject": "BREAK",
    "restore": "PUT BACK",
    "disarm": "disarm",
    "act": "DO",
    "end": "end",
}


def plan_text(plan: Plan) -> str:
    """The whole plan as lines."""
    return "\n".join([*_head(plan), "", *(line for step in plan.steps for line in _step(step, plan)), *_foot(plan)])


def _head(plan: Plan) -> Iterator[str]:
    lab = "LAB, " if plan.kind == "lab" else ""
    yield f"PLAN  {plan.scenario} on {plan.target} ({lab}account {plan.account}). Nothing was touched."
    if plan.docstring:
        yield plan.docstring


def _step(step: PlannedStep, plan: Plan) -> Iterator[str]:
    lead = f"{step.number:3}  {INDENT * step.depth}"
    phase = f"  [{step.phase}]" if step.phase else ""
    below = " " * 5 + INDENT * (step.depth + 1)
    limit = f", at most {step.at_most_s:g} {unit_of(plan.kind)}" if step.at_most_s is not None else ""
    seen = f": {step.seen[0]}" if len(step.seen) == 1 else ""
    yield f"{lead}{READS_AS[step.does]:<8}  {step.what}{seen}{limit}{phase}"
    for item in step.seen[1:] and step.seen:
        yield f"{below}{item}"
    for arn in step.resources:
        yield f"{below}on {last_part(arn)} in {region_of_arn(arn) or 'all Regions'}"
    for typed in step.lines(plan.endpoint_url):
        line = f"$ {typed}"
        yield below + (textwrap.shorten(line, SHORT, placeholder=" ...") if step.does in SAFETY else line)
    for fact in step.facts:
        yield f"{below}until {_fact(fact)}"
    if step.depends_on:
        yield f"{below}! depends on step {', '.join(str(n) for n in step.depends_on)}"
    if step.note:
        yield f"{below}! {step.note}"


def _fact(fact: Fact) -> str:
    return f"{fact} in {fact.call.region}"


def _foot(plan: Plan) -> Iterator[str]:
    yield ""
    yield f"Inside the blast radius, and touched: {len(plan.touched)}"
    yield from (f"  {arn}" for arn in plan.touched)
    yield f"The waits above add up to {plan.longest_s:g} s at most ({_unit(plan)})."
    if plan.holes:
        numbers = ", ".join(str(number) for number in plan.holes)
        yield f"Not known before the drill itself gets there: step {numbers}."
    yield from (f"INVALID if run now: {problem}" for problem in plan.problems)
    if plan.ended:
        yield f"The plan ends here: {plan.ended}"


def _unit(plan: Plan) -> str:
    return "lab seconds" if plan.kind == "lab" else "seconds"
