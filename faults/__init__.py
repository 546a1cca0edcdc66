"""One file per kind of fault: parameters and a read-only `prepare`, nothing else. An injector never measures."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any


def kinds() -> tuple[type[Any], ...]:
    """Every class of this folder that has a `prepare`: the registry of faults and actions, kept by nobody's hand."""
    modules = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    found = {
        kind
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type) and kind.__module__ == module.__name__ and hasattr(kind, "prepare")
    }
    return tuple(sorted(found, key=lambda kind: kind.__name__))
