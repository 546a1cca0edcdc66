"""The lab's own control path on the API's address: not AWS, and nothing that an AWS client could ask for by chance.

    GET    /_lab/misbehave    the rules in force
    POST   /_lab/misbehave    {"rules": ["throttle ecs count=3", ...]}: add
    DELETE /_lab/misbehave    behave again
    GET    /_lab/world        which world this is, the rules in force, and what it was told since it began

"_lab" can be no bucket's name, so the path collides with no API. Replies are JSON, errors {"error": sentence}.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping

from lab.aws.misbehave import Misbehaviour, RuleError, parse
from lab.aws.wire import HttpReply, HttpRequest

PREFIX = "/_lab/"
PATH = "/_lab/misbehave"
WORLD = "/_lab/world"
MOST_TOLD = 1000
"""Words that are kept of what the lab was told, the first ones; all are counted."""
BEHAVE = "behave again"


class Control:
    """Answers the control path. on_clear: called when the lab is told to behave again.

    world: what the lab says of itself beside its rules, as plain JSON values.
    """

    def __init__(self, misbehaviour: Misbehaviour, on_clear: Callable[[], None]) -> None:
        self._misbehaviour, self._on_clear = misbehaviour, on_clear
        self.world: Mapping[str, object] = {}
        self._lock = threading.Lock()
        self._told: list[str] = []
        self._times = 0

    def answer(self, request: HttpRequest) -> HttpReply:
        """One request under PREFIX."""
        if (request.path, request.method) == (WORLD, "GET"):
            return _json(200, self._described())
        if request.path != PATH or request.method not in ("GET", "POST", "DELETE"):
            return _json(404, {"error": f"the lab knows GET, POST and DELETE {PATH} only"})
        try:
            if request.method == "POST":
                rules = [parse(text) for text in _texts(request.body)]
                self._misbehaviour.add(*rules)
                self._note(map(str, rules))
        except RuleError as error:
            return _json(400, {"error": str(error)})
        if request.method == "DELETE":
            self._misbehaviour.clear()
            self._on_clear()
            self._note([BEHAVE])
        return _json(200, {"rules": self._misbehaviour.told()})

    def _note(self, words: Iterable[str]) -> None:
        with self._lock:
            for one in words:
                self._times += 1
                self._told = [*self._told, one][:MOST_TOLD]

    def _described(self) -> dict[str, object]:
        rules = [told["rule"] for told in self._misbehaviour.told()]
        with self._lock:
            return {**self.world, "rules": rules, "told": list(self._told), "times_told": self._times}


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
