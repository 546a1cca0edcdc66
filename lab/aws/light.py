"""Makes moto light before anything imports it: a lab starts often, and half of its start was reading unused JSON.

moto reads the EC2 service model three times to list Regions, and the offerings of every instance type in every
Region; botocore reads each model once per session and builds OrderedDicts in Python. The lab starts no EC2 instance,
and a dict keeps its order, so here a file of botocore's is read once per process, and those of EC2's never.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.loaders
import moto.utilities.utils

NEVER_NEEDED = ("ec2/resources/instance_type_offerings/", "ec2/resources/amis.json")


class _Loader(botocore.loaders.JSONFileLoader):  # type: ignore[misc]  # botocore has no types
    """Reads a file once; sessions share what was read, and change it at most as each of them would."""

    def _load_file(self, full_path: str, open_method: Any) -> Any:
        return _read(full_path, open_method)


@functools.cache
def _read(full_path: str, open_method: Any) -> Any:
    if not Path(full_path).is_file():
        return None
    with open_method(full_path, "rb") as file:
        return json.loads(file.read())


def install() -> None:
    """For this process; twice is once."""
    os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
    if botocore.loaders.Loader.FILE_LOADER_CLASS is _Loader:
        return
    botocore.loaders.Loader.FILE_LOADER_CLASS = _Loader
    botocore.loaders.Loader.list_available_services = _remembered(botocore.loaders.Loader.list_available_services)
    load = moto.utilities.utils.load_resource

    def load_resource(resource: str) -> Any:
        return [] if resource.replace(os.sep, "/").startswith(NEVER_NEEDED) else load(resource)

    moto.utilities.utils.load_resource = load_resource


def _remembered(listed: Callable[[Any, str], list[str]]) -> Callable[[Any, str], list[str]]:
    """Each session looks for each kind of file in four hundred folders."""
    known: dict[tuple[str, ...], list[str]] = {}

    def list_available_services(loader: Any, type_name: str) -> list[str]:
        key = (*loader.search_paths, type_name)
        if key not in known:
            known[key] = listed(loader, type_name)
        return known[key]

    return list_available_services
