"""What SIGINT, SIGTERM and SIGHUP do to a verb of `drill`: they end it in order; none of them cuts off a restore."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from drill.errors import Invalid
from drill.interrupt import SIGNALS

Handler = Callable[[int, FrameType | None], Any]


@contextlib.contextmanager
def as_interrupts() -> Iterator[None]:
    """The first of them raises KeyboardInterrupt in this block, so that what it has made is taken away at its end; a
    second must not cut that short. Invalid when the block does not deal with it."""
    try:
        with _handled(_interrupt):
            yield
    except KeyboardInterrupt as error:
        raise Invalid(str(error) or "interrupted") from None


@contextlib.contextmanager
def held_back(say: Callable[[str], None]) -> Iterator[None]:
    """None of them interrupts this block; each is told."""
    with _handled(lambda number, frame: say(f"{signal.Signals(number).name}: a restore comes to its end first")):
        yield


@contextlib.contextmanager
def _handled(handler: Handler) -> Iterator[None]:
    """In the main thread, which alone gets signals; who handled them before does so again afterwards."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handled in former.items():
            signal.signal(number, handled)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    for one in SIGNALS:
        signal.signal(one, signal.SIG_IGN)
    raise KeyboardInterrupt(f"stopped by {signal.Signals(number).name}")
