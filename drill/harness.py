"""Which failover-drill this is: what a run folder says it was made and judged by.

The version of a release does not tell two checkouts apart, so the source of what measures and judges is digested too.
"""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from drill.child import REPOSITORY

NAME = "failover-drill"
COMMIT, SOURCE = f"{NAME} commit", f"{NAME} source"
"""Keys in the "versions" of a header; the commit only where there is one."""
JUDGING = ("checks", "drill", "loadgen", "reports")
GIT_WALL_S = 5.0


@functools.cache
def this_harness() -> dict[str, str]:
    """The entries for "versions": version, first 12 digits of the source's sha256 and of the commit checked out."""
    commit = _commit()
    return {NAME: _version(), SOURCE: _source(), **({COMMIT: commit} if commit else {})}


def made_by_another(header: Mapping[str, Any]) -> str:
    """In words, which version made a run folder and how to get it; "" when it was this one."""
    versions = header.get("versions")
    there = versions if isinstance(versions, Mapping) else {}
    if there.get(SOURCE) == this_harness()[SOURCE]:
        return ""
    if SOURCE not in there:
        return f"made by an earlier version of {NAME}, which did not write down which"
    commit = str(there.get(COMMIT, ""))
    get = f"; to judge it by the version that made it, type: git checkout {commit}" if commit else ""
    return f"made by {_named(there)}, this is {_named(this_harness())}{get}"


def _named(versions: Mapping[str, Any]) -> str:
    return f"{NAME} {versions.get(NAME)} (source {versions[SOURCE]})"


def _version() -> str:
    try:
        return version(NAME)
    except PackageNotFoundError:
        return "not installed"


def _source() -> str:
    found = hashlib.sha256()
    for path in sorted(path for folder in JUDGING for path in (REPOSITORY / folder).glob("*.py")):
        found.update(f"{path.relative_to(REPOSITORY)}\0".encode() + path.read_bytes() + b"\0")
    return found.hexdigest()[:12]


def _commit() -> str:
    """Of this repository only: what was unpacked inside another checkout has no commit of its own."""
    ask = ["git", "-C", str(REPOSITORY), "rev-parse", "--show-toplevel", "HEAD"]
    try:
        said = subprocess.run(ask, capture_output=True, text=True, timeout=GIT_WALL_S, check=True).stdout.split("\n")
    except (OSError, subprocess.SubprocessError):
        return ""
    return said[1][:12] if os.path.realpath(said[0]) == str(REPOSITORY) else ""
