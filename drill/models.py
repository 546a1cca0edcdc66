"""What botocore itself knows of AWS: service models, Regions, partitions. No credentials, no network.

One session for all of it, and one loader for all sessions: left to itself, each session reads its models anew, which
is most of what a client costs.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import botocore.session
from botocore.loaders import create_loader

SMALLEST = "sts"
"""To list a partition's Regions botocore reads a service's model; this one is short, and the service everywhere."""


@cache
def known() -> Any:
    """The session; its users never ask it for a client."""
    return sharing_models(botocore.session.Session())


def sharing_models(session: Any) -> Any:
    """The same botocore session, which reads the models that another one of this process has read from memory.

    Models are data, which botocore itself shares among the clients of one session.
    """
    session.register_component("data_loader", _loader(session.get_config_variable("data_path")))
    return session


@cache
def _loader(data_path: str | None) -> Any:
    """What reads models, where a person's AWS_DATA_PATH and profile say."""
    return create_loader(data_path)


@cache
def regions(partition: str) -> frozenset[str]:
    """The Regions of a partition ("aws", "aws-cn", ...)."""
    return frozenset(known().get_available_regions(SMALLEST, partition))


@cache
def all_regions() -> frozenset[str]:
    """Those of all partitions."""
    return frozenset(region for partition in known().get_available_partitions() for region in regions(partition))


@cache
def service_model(service: str) -> Any:
    """botocore's ServiceModel of a service, by botocore's name for it."""
    return known().get_service_model(service)


@cache
def partition_of(region: str) -> str:
    """The partition ("aws", "aws-cn") that a Region lies in."""
    return str(known().get_partition_for_region(region))
