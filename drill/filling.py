"""Texts of a target with names in braces, filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote


def filled(value: Any, names: Mapping[str, str]) -> Any:
    """`value` (JSON) with "{name}" replaced in all its texts."""
    if isinstance(value, dict):
        return {name: filled(item, names) for name, item in value.items()}
    if isinstance(value, list):
        return [filled(item, names) for item in value]
    if isinstance(value, str):
        for name, text in names.items():
            value = value.replace(f"{{{name}}}", text)
    return value


def filled_path(path: str, names: Mapping[str, str]) -> str:
    """A URL's path with its names filled in, quoted."""
    return str(filled(path, {name: quote(text, safe="") for name, text in names.items()}))
