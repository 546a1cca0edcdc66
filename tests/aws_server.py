"""A plain moto server in a process of its own: AWS's API for tests that need state, not behaviour."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

ACCOUNT = "111111111111"
"""The account of the shipped targets."""
CODE = f"""
import os, sys
os.environ["MOTO_ACCOUNT_ID"] = "{ACCOUNT}"
os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"  # five megabytes of images per account, which nothing here starts
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
server.stop()
"""
START_TIMEOUT_S = 30.0


@contextmanager
def moto_process() -> Iterator[str]:
    """The URL of a fresh moto server; it ends with the block, or when this process ends."""
    with subprocess.Popen(
        [sys.executable, "-c", CODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{_port(process.stdout.readline())}"
        finally:
            process.kill()


def _port(line: str) -> int:
    port = int(line)
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return port
        time.sleep(0.05)
    raise TimeoutError(f"moto did not listen on {port} within {START_TIMEOUT_S} s")
