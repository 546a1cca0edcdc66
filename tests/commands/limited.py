"""The `drill` command on a disk that is full: no file may grow beyond a limit (the kernel's own, not a pretence)."""

from __future__ import annotations

import subprocess
import sys

from tests.e2e.drilling import ROOT

CODE = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
from commands.main import main
sys.exit(main(sys.argv[2:]))
"""


def limited(size: int, *arguments: str) -> tuple[int, str]:
    """Run a verb while files can have at most `size` bytes; its exit code and everything it printed."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(size), *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout
