"""The lab's own control path on the API's address: not AWS, and nothing that an AWS client could ask for by chance.

    GET    /_lab/misbehave    the rules in force
    POST   /_lab/misbehave    {"rules": ["throttle ecs count=3", ...]}: add
    DELETE /_lab/misbehave    behave again

"_lab" can be no bucket's name, so the path collides with no API. Replies are JSON, errors {"error": sentence}.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from lab.aws.misbehave import Misbehaviour, RuleError, parse
from lab.aws.wire import HttpReply, HttpRequest

PREFIX = "/_lab/"
PATH = "/_lab/misbehave"


class Control:
    """Answers the control path. on_clear: called when the lab is told to behave again."""

    def __init__(self, misbehaviour: Misbehaviour, on_clear: Callable[[], None]) -> None:
        self._misbehaviour, self._on_clear = misbehaviour, on_clear

    def answer(self, request: HttpRequest) -> HttpReply:
        """One request under PREFIX."""
        if request.path != PATH or request.method not in ("GET", "POST", "DELETE"):
            return _json(404, {"error": f"the lab knows GET, POST and DELETE {PATH} only"})
        try:
            if request.method == "POST":
                self._misbehaviour.add(*(parse(text) for text in _texts(request.body)))
        except RuleError as error:
            return _json(400, {"error": str(error)})
        if request.method == "DELETE":
            self._misbehaviour.clear()
            self._on_clear()
        return _json(200, {"rules": self._misbehaviour.told()})


def _texts(body: bytes) -> list[str]:
    try:
        texts = json.loads(body)["rules"]
    except (ValueError, TypeError, KeyError):
        raise RuleError('expected {"rules": ["throttle ecs count=3", ...]}') from None
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise RuleError("rules is no list of texts")
    return texts


def _json(status: int, value: object) -> HttpReply:
    return HttpReply(status, {"Content-Type": "application/json"}, json.dumps(value).encode())
