"""On the PYTHONPATH of a drill: every process of it writes down each AWS operation that it asks for.

RECORD_AWS names the file (one JSON line a call). Hooks in when botocore is imported, not before: a process that
never imports it (the load's, which must patch its sockets first) stays as it is.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

HOOKED = "botocore.session"


def note(params: Any, model: Any, context: Any, **_: Any) -> None:
    """One line; appended in one write, so that processes do not mix theirs."""
    record = {
        "process": sys.orig_argv[1:4],
        "service": model.service_model.service_name,
        "operation": model.name,
        "region": context["client_region"],
        "params": params,
    }
    with Path(os.environ["RECORD_AWS"]).open("a") as file:
        file.write(json.dumps(record, default=str) + "\n")


def hook(module: ModuleType) -> None:
    """Every session that is made from now on notes its clients' calls."""
    begin = module.Session.__init__

    def begin_noting(self: Any, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        self.get_component("event_emitter").register("before-parameter-build", note)

    module.Session.__init__ = begin_noting  # type: ignore[attr-defined]


class AfterImport(MetaPathFinder):
    """Calls `hook` once the module has been imported."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """The module's own spec, with `hook` behind its execution."""
        if fullname != HOOKED:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        assert spec is not None and spec.loader is not None
        execute = spec.loader.exec_module

        def execute_and_hook(module: ModuleType) -> None:
            execute(module)
            hook(module)

        spec.loader.exec_module = execute_and_hook  # type: ignore[method-assign]
        return spec


if os.environ.get("RECORD_AWS"):
    sys.meta_path.insert(0, AfterImport())
