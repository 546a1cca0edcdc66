"""The `{{ ... }}` of SSM Automation documents, and the selectors by which steps pick their outputs.

Systems Manager user guide, "Creating your own runbooks" and "Automation system variables". A text that is nothing but
one reference becomes the value itself, with its type; elsewhere the value is written into the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import jmespath

_REFERENCE = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")


class UnresolvedError(Exception):
    """A document refers to something that there is not."""


def resolve(value: Any, known: Mapping[str, Any]) -> Any:
    """`value` with every reference replaced. known: "Parameter", "step.Output", "global:REGION", ... -> value."""
    if isinstance(value, Mapping):
        return {key: resolve(item, known) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve(item, known) for item in value]
    if not isinstance(value, str):
        return value
    whole = _REFERENCE.fullmatch(value.strip())
    if whole:
        return _known(whole[1], known)
    return _REFERENCE.sub(lambda found: text_of(_known(found[1], known)), value)


def _known(name: str, known: Mapping[str, Any]) -> Any:
    if name not in known:
        raise UnresolvedError(f"Failed to resolve input: {name} to type String. {name} is not defined")
    return known[name]


def text_of(value: Any) -> str:
    """A value as it stands in a text, and in the lists of strings that the API shows."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def select(selector: str, reply: Any) -> Any:
    """What a JSONPath selector ("$.GlobalClusters[0].Status", "$") picks; None when there is nothing."""
    path = selector.removeprefix("$").removeprefix(".")
    return reply if not path else jmespath.search(path, reply)
