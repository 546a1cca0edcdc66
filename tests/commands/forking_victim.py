"""A victim that forks a child which lives on and keeps every open file, the pipe to the watchdog among them."""

from __future__ import annotations

import os
import sys
import time

from commands.victim import Victim
from drill.child import read_config

KEEPS_S = 30.0

if __name__ == "__main__":
    victim = Victim(read_config())
    child = os.fork()
    if not child:
        time.sleep(KEEPS_S)
        os._exit(0)
    sys.stdout.write(f"{child}\n")
    sys.stdout.flush()
    sys.exit(victim.run())
