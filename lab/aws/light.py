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
import moto.core.responses
import moto.core.utils
import moto.utilities.utils
from botocore.model import StructureShape
from moto.core.serialize import BaseJSONSerializer

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
    named = functools.cache(moto.core.utils.method_names_from_class)
    moto.core.responses.__dict__["method_names_from_class"] = named
    BaseJSONSerializer._serialize_type_structure = _structure  # type: ignore[method-assign]


_moto_structure = BaseJSONSerializer._serialize_type_structure
AS_STORED = frozenset({"S", "N", "BOOL", "NULL", "SS", "NS"})
"""Attribute values whose stored form is that of the API; binary ones are not, lists and maps may hold such."""


def _structure(self: Any, serialized: Any, value: Any, shape: StructureShape, key: str) -> None:
    """As moto's; a plain attribute value is written as it is stored."""
    if shape.name == "AttributeValue" and type(value) is dict and len(value) == 1 and AS_STORED.issuperset(value):
        self._default_serialize(serialized, value, shape, key)
    else:
        _moto_structure(self, serialized, value, shape, key)


def _remembered(listed: Callable[[Any, str], list[str]]) -> Callable[[Any, str], list[str]]:
    """Each session looks for each kind of file in four hundred folders."""
    known: dict[tuple[str, ...], list[str]] = {}

    def list_available_services(loader: Any, type_name: str) -> list[str]:
        key = (*loader.search_paths, type_name)
        if key not in known:
            known[key] = listed(loader, type_name)
        return known[key]

    return list_available_services
