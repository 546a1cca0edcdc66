"""What is done at the end of a drill whether or not the system came back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from drill.errors import NotRecovered


@contextlib.contextmanager
def afterwards(go_home: Callable[[], None]) -> Iterator[None]:
    """The system is taken home whether or not it recovered; after an abort nothing more is done to it."""
    try:
        yield
    except NotRecovered:
        go_home()
        raise
    go_home()
