"""pytest on a leash: told to stop (SIGTERM) when the process that started it dies, so that it ends in order.

`python -m commands.leashed PARENT_PID ARGUMENTS...` becomes `python -m pytest ARGUMENTS...`.
"""

from __future__ import annotations

import os
import signal
import sys

from lab.processes import die_with_parent


def main() -> None:
    """Never returns: this process becomes pytest. The kernel keeps the wish across exec."""
    die_with_parent(int(sys.argv[1]), signal.SIGTERM)
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *sys.argv[2:]])


if __name__ == "__main__":
    main()
