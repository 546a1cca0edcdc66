"""A child that prints what it should not."""

from __future__ import annotations

import os
import sys

print("Authorization: Bearer " + os.environ.get("AWS_SECRET_ACCESS_KEY", "none"))  # noqa: T201
print("token " + os.environ.get("AWS_SESSION_TOKEN", "none"))  # noqa: T201
sys.stdout.flush()
sys.stdin.read()
