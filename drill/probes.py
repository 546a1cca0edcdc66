"""The probes by whose results clients are said to be served, and the one that a target may be probed with."""

from __future__ import annotations

WRITE = "write.settle"
"""A new write that is read back settled: the whole path of a user, workers and database included."""
READ = "read"
"""Reads that change nothing, for a target that declares no synthetic identity. It says nothing about writes."""
PULSE = "pulse"
"""Many quick looks at the target's quick path (checks/pulse.py)."""
NEW, PINNED = "new clients", "pinned clients"
"""Its vantages: a connection for each look, and connections kept since before."""
DNS = "dns"
"""What a DNS server answers for the target's name; each server is a vantage (checks/dns_watch.py)."""
SERVED = frozenset({WRITE, READ})
"""A run has observations of one of these, never of both."""


def probe_of(read_only: bool) -> str:
    """The probe of a run."""
    return READ if read_only else WRITE
