"""What became of the actions of an interrupted drill: told from AWS's own word, never repeated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from commands.say import say
from drill.actions import await_standing
from drill.aws import Aws, AwsFailed
from drill.journal import Intent, Journal, interrupted

NOT_REPEATED = "it is not repeated; what it did is undone only by failback"


def tell_actions(aws: Aws, journal: Journal, sleep: Callable[[float], None]) -> None:
    """Say of each action that nobody saw end how it stands, and note in the journal what is certain.

    sleep takes target seconds: an action shows late, so that it was never started is believed after a while only.
    """
    for intent in _told(journal.path):
        action, what = intent.action, _named(intent)
        try:
            found = await_standing(aws, action, action.settle_s, sleep, until_begun=True)
        except AwsFailed as error:
            say(f"{what}: nobody knows whether it was started ({error}); {NOT_REPEATED}")
            continue
        if found.fate != "running":
            journal.record(intent.number, found.fate, observed=list(found.seen))
        say(f"{what}: it {found}" + ("" if found.fate == "not_started" else f"; {NOT_REPEATED}"))


def list_actions(path: Path) -> None:
    """Say which actions of a journal would be looked at, without looking."""
    for intent in _told(path):
        say(f"# {_named(intent)}: {intent.state}, its end was not seen; would be looked at, not repeated")


def _told(path: Path) -> list[Intent]:
    """Those that only can be told: what has an Undo is ended with the Changes."""
    return [intent for intent in interrupted(path) if intent.action.undo is None]


def _named(intent: Intent) -> str:
    return f"{intent.action.kind} on {', '.join(intent.action.resources)}"
