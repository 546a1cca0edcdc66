"""Runs one invocation of uploaded Lambda code, in a process of its own: `python -m lab.aws.runtime`.

stdin: one JSON line {"package": zip as base64, "folder": an empty one for it, "handler", "event", "context": {...},
"speed", "lab_now_s"}; then it stays open, and its end is the end of this process.
stdout: one JSON line {"payload": text, "error": word or null}.
The function's time is lab time: what it sleeps, reads of the clock and has left is in lab seconds.
"""

from __future__ import annotations

import base64
import importlib
import io
import json
import os
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

from lab import processes

MAX_LINE = 64 * 1024 * 1024
real_sleep, real_monotonic = time.sleep, time.monotonic


class Context:
    """Lambda's context object, as far as it is played."""

    def __init__(self, facts: dict[str, Any], speed: float) -> None:
        self.function_name = facts["function_name"]
        self.invoked_function_arn = facts["arn"]
        self.aws_request_id = facts["request_id"]
        self._ends_s = real_monotonic() + facts["timeout_s"] / speed
        self._speed = speed

    def get_remaining_time_in_millis(self) -> int:
        """Lab milliseconds until the function is cut off."""
        return int(max(0.0, self._ends_s - real_monotonic()) * self._speed * 1000)


def set_clock(speed: float, lab_now_s: float) -> None:
    """From here on this process lives in lab time (monotonic clocks stay as they are: libraries time out by them)."""
    began_s = real_monotonic()
    time.sleep = lambda lab_s: real_sleep(float(lab_s) / speed)
    time.time = lambda: lab_now_s + (real_monotonic() - began_s) * speed


def run(order: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Unpack, import, call. What the function raises is its result."""
    zipfile.ZipFile(io.BytesIO(base64.b64decode(order["package"]))).extractall(folder)
    sys.path.insert(0, str(folder))
    module, _, name = order["handler"].rpartition(".")
    try:
        handler = getattr(importlib.import_module(module), name)
    except Exception as error:  # noqa: BLE001 - whatever the code does while it is imported
        return _error("Runtime.ImportModuleError", f"Unable to import module '{module}': {error}")
    try:
        set_clock(order["speed"], order["lab_now_s"])
        return {
            "payload": json.dumps(handler(order["event"], Context(order["context"], order["speed"]))),
            "error": None,
        }
    except Exception as error:  # noqa: BLE001 - Lambda reports every exception to the caller
        return _error(type(error).__name__, str(error))


def _error(kind: str, words: str) -> dict[str, Any]:
    return {"payload": json.dumps({"errorMessage": words, "errorType": kind}), "error": "Unhandled"}


def main() -> None:
    """One order, one answer."""
    order = json.loads(sys.stdin.buffer.readline(MAX_LINE))
    processes.at_eof(0, lambda: os._exit(1))
    said, sys.stdout = sys.stdout, sys.stderr  # what the function prints goes to its log
    answer = run(order, Path(order["folder"]))
    said.write(json.dumps(answer) + "\n")
    said.flush()


if __name__ == "__main__":
    processes.die_with_parent(int(sys.argv[1]))
    main()
