"""Putting behaviour of ours in the place of moto's, visibly and only where moto still has it."""

from __future__ import annotations

import sys
from typing import Any


def replace(owner: Any, name: str, value: Any) -> None:
    """Replace attribute `name` of a moto class or module; AttributeError when moto no longer has it."""
    getattr(owner, name)
    setattr(owner, name, value)


def add(owner: Any, name: str, value: Any) -> None:
    """Give a moto class an operation that it lacks. Idempotent: an operation of ours may be given again."""
    setattr(owner, name, value)


def replace_everywhere(package: str, name: str, value: Any) -> None:
    """Replace a function in every loaded module of `package` that imported it by name."""
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith(package) and hasattr(module, name):
            setattr(module, name, value)
