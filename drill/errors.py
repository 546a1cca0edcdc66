"""Everything that a drill can raise on purpose, drawn once.

    DrillError
    ├── UsageError        bad option, target or value: nothing was touched              exit 4
    ├── Refused           a guard said no before anything was touched                   exit 12
    ├── Invalid           the drill proves nothing (no bite, no load, unhealthy start)  exit 11
    ├── NotRecovered      the system did not come back within the window                exit 1, by the judge
    ├── Fenced            another process has taken over: change nothing more           exit 11
    └── RestoreFailed     something is not back as it was                               exit 20

Every message says what was refused or failed, the thing, the observed value, and what to type next.
"""

from __future__ import annotations


class DrillError(Exception):
    """Base of all errors that the harness raises on purpose."""


class UsageError(DrillError):
    """An option, a target file or a value is wrong. Raised before anything is touched."""


class Refused(DrillError):
    """A guard refused: wrong account, Region, or not exactly one match. Raised before anything is touched."""


class Invalid(DrillError):
    """The drill cannot prove anything: system unhealthy at the start, fault without bite, no load, blind."""


class NotRecovered(DrillError):
    """The system did not recover within the window: the rest of the scenario has no meaning. The judge says FAIL."""


class Fenced(DrillError):
    """Another process has taken over, or this one has been silent too long: it changes nothing more."""


class RestoreFailed(DrillError):
    """A Change was not put back. `lines` are the aws-cli lines to type, in order.

    again: whether trying again may help, because AWS failed; not when somebody else has changed the thing.
    """

    def __init__(self, message: str, lines: tuple[str, ...] = (), again: bool = False) -> None:
        super().__init__(message)
        self.lines = lines
        self.again = again


def chain_of(error: BaseException | None) -> list[BaseException]:
    """The error and everything that it came from or that flew when it was raised."""
    found: list[BaseException] = []
    todo = [error]
    while todo:
        one = todo.pop()
        if one is not None and one not in found:
            found.append(one)
            todo += [one.__cause__, one.__context__]
    return found
