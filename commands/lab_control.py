"""A running lab's own control path: what is asked of it and told to it (lab.aws.control)."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from drill.errors import UsageError

TIMEOUT_S = 20.0
"""Wall seconds; a drill begins and ends with a question, on a machine that may stall."""
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Loopback is no matter of the user's proxies."""


def ask(url: str, method: str, body: object = None) -> dict[str, Any]:
    """The lab's answer. UsageError with its own sentence when it refuses, and when no lab answers there."""
    data = None if body is None else json.dumps(body).encode()
    try:
        with DIRECT.open(urllib.request.Request(url, data, method=method), timeout=TIMEOUT_S) as reply:
            return dict(json.load(reply))
    except urllib.error.HTTPError as error:
        with error:
            raise UsageError(_refusal(url, error)) from None
    except (OSError, ValueError) as error:
        raise UsageError(f"no lab answers at {url} ({error}); start one with `drill lab up`") from error


def _refusal(url: str, error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["error"])
    except (ValueError, KeyError, TypeError):
        return f"what answers at {url} is no lab of this version (HTTP {error.code}); start one with `drill lab up`"
