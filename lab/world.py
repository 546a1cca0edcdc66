"""The world process: everything of one lab lives in it or below it. Started by the keeper only.

It says one JSON line on stdout, {"ready": {...}} or {"error": "..."}, and ends when its stdin closes.
"""

from __future__ import annotations

import errno
import gc
import importlib
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from lab import processes, state_folder
from lab.keeper import parser
from lab.plan import Plan, Room, WorldError

SYSTEMS = {
    "core-banking": "lab.core_banking.room",
    "event-bus": "lab.event_bus.room",
    "remittance": "lab.remittance.room",
    "private-link-replication": "lab.private_link.room",
    "retail-store": "lab.retail_store.room",
}
"""Which module builds which system: it has `open_room(plan) -> Room`."""

HARD_STOP_S = 8.0
"""A world that has not ended so long after its stdin closed ends by force (wall seconds)."""
MAX_SPEED = 1000.0


def explain(error: OSError) -> str:
    """One sentence for what the operating system refused."""
    if error.errno == errno.EADDRINUSE:
        return f"a port was taken meanwhile ({error}): start again, or choose others with --lab-port"
    return f"the operating system refused: {error}"


def _checked(plan: Plan) -> str:
    """The module of the system; WorldError for a plan that cannot be."""
    if plan.system not in SYSTEMS:
        raise WorldError(f"there is no lab for {plan.system!r}; there is one for: {', '.join(sorted(SYSTEMS))}")
    if not 0 < plan.speed <= MAX_SPEED:
        raise WorldError(f"--lab-speed {plan.speed:g}: must be above 0 and at most {MAX_SPEED:g}; example: 10")
    if plan.port_base is not None and not 1024 <= plan.port_base <= 65000:
        raise WorldError(f"--lab-port {plan.port_base}: must lie in 1024..65000; example: --lab-port 5050")
    return SYSTEMS[plan.system]


def _say(line: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _order_end(over: threading.Event) -> None:
    """Ask for the end; an opening or closing that hangs is cut off (the children see their pipes close then)."""
    over.set()
    watchdog = threading.Timer(HARD_STOP_S, os._exit, (3,))
    watchdog.daemon = True
    watchdog.start()


def _end(room: Room | None, state_dir: Path) -> None:
    """Close the room and remove its folder."""
    try:
        if room is not None:
            room.close()
    finally:
        state_folder.remove(state_dir)


def run(plan: Plan) -> int:
    """Open the room, wait for the owner's end, close it; the exit code."""
    over = threading.Event()
    processes.at_eof(0, lambda: _order_end(over))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: over.set())
    room: Room | None = None
    # What opening makes stays until the end: to look through it again and again is a sixth of a start, and later a
    # pause of a tenth of a second in the midst of a drill.
    gc.disable()
    try:
        module = _checked(plan)
        from lab.aws import light  # late: it loads a part of moto, which a wrong plan need not wait for

        light.install()
        room = importlib.import_module(module).open_room(plan, over)
        gc.freeze()
        gc.enable()
        _say({"ready": room.describe()})
        over.wait()
    except WorldError as error:
        _say({"error": str(error)})
        return 2
    except OSError as error:
        _say({"error": explain(error)})
        return 2
    finally:
        _end(room, plan.state_dir)
    return 0


def main(argv: list[str]) -> int:
    """Run the world with the keeper's arguments."""
    args = parser().parse_args(argv)
    state_folder.hold(args.state_dir)
    logging.basicConfig(filename=args.state_dir / "lab.log", level=logging.WARNING)
    return run(Plan(args.system, args.lab_speed, args.lab_port, tuple(args.settings), args.state_dir))


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # daemon threads of servers must not hold up the end
