"""How the lab is told to misbehave as AWS at times does: rules in words, and who is hit by which.

A rule in words:  MANNER [SERVICE[:OPERATION]][@REGION] [count=N] [share=P] [delay_s=S]

    throttle ecs:UpdateService@ap-northeast-1 count=3      the next three requests are told to come again
    hang @ap-northeast-1                                   that Region takes every request and never answers
    stale events delay_s=20                                reads answer what was so 20 lab seconds ago

Service and operation are botocore's names; what is not named is any. A client that tries again makes another request,
so `count` counts attempts. The lab's own engines are never hit: it is the door that misbehaves, not the system.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

MANNERS = {
    "throttle": "told to come again (each protocol's own code), nothing done",
    "expired": "told that the credentials have expired, nothing done",
    "error": "500 InternalFailure, nothing done",
    "unavailable": "503 ServiceUnavailable, nothing done",
    "hang": "taken and never answered, nothing done",
    "reset": "the connection is cut, nothing done",
    "lose": "done, and then the connection is cut: the answer is lost",
    "stale": "reads answer what was so delay_s lab seconds ago, for requests that had been asked before",
}
"""What happens to a request that a rule hits."""
STALE = "stale"
MAX_RULES = 32
_WHERE = re.compile(r"(?P<service>[a-z0-9-]+|\*)?(?::(?P<operation>[A-Za-z0-9]+|\*))?(?:@(?P<region>[a-z0-9-]+|\*))?")
_READS = re.compile(r"(Describe|Get|List|BatchGet|Query|Scan|Lookup|Search)")


class RuleError(ValueError):
    """A rule that says nothing; one sentence with an example."""


@dataclass(frozen=True)
class Rule:
    """One rule; "*" is any. count: requests, None for all; share: of them, 0 < p <= 1; delay_s: lab seconds."""

    manner: str
    service: str = "*"
    operation: str = "*"
    region: str = "*"
    count: int | None = None
    share: float = 1.0
    delay_s: float = 0.0

    def names(self, service: str, operation: str, region: str) -> bool:
        """Whether the rule is about such a request."""
        pairs = ((self.service, service), (self.operation, operation), (self.region, region))
        return all(wanted in ("*", found) for wanted, found in pairs)

    def __str__(self) -> str:
        said = [self.manner, f"{self.service}:{self.operation}@{self.region}"]
        said += [] if self.count is None else [f"count={self.count}"]
        said += [] if self.share == 1.0 else [f"share={self.share:g}"]
        said += [] if not self.delay_s else [f"delay_s={self.delay_s:g}"]
        return " ".join(said)


def parse(text: str) -> Rule:
    """A rule from its words. RuleError says what is wrong with it."""
    words = text.split()
    if not words or words[0] not in MANNERS:
        raise RuleError(f"{text!r} begins with none of {', '.join(MANNERS)}; example: throttle ecs:UpdateService")
    places = [word for word in words[1:] if "=" not in word]
    found = _WHERE.fullmatch(places[0] if places else "*")
    if len(places) > 1 or found is None:
        raise RuleError(f"{text!r}: expected one SERVICE[:OPERATION][@REGION]; example: ecs:UpdateService@us-west-2")
    where: dict[str, Any] = {key: value or "*" for key, value in found.groupdict().items()}
    rule = Rule(words[0], **where, **_numbers(text, [word for word in words[1:] if "=" in word]))
    if (rule.manner == STALE) != (rule.delay_s > 0):
        raise RuleError(f"{text!r}: {STALE} needs delay_s (lab seconds), nothing else takes it")
    return rule


def _numbers(text: str, words: Iterable[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for word in words:
        name, _, value = word.partition("=")
        try:
            found[name] = {"count": int, "share": float, "delay_s": float}[name](value)
        except (KeyError, ValueError):
            raise RuleError(f"{text!r}: {word!r} is none of count=N, share=P, delay_s=S") from None
    sane = 1 <= found.get("count", 1) <= 10**6 and 0 < found.get("share", 1.0) <= 1
    if not (sane and 0 <= found.get("delay_s", 0.0) <= 86400):
        raise RuleError(f"{text!r}: count is 1 or more, share above 0 and at most 1, delay_s at most 86400")
    return found


def parse_all(text: str) -> tuple[Rule, ...]:
    """Rules with ";" between them; none in an empty text. RuleError."""
    return tuple(parse(part) for part in text.split(";") if part.strip())


def reads_only(operation: str) -> bool:
    """Whether an operation of that name changes nothing."""
    return _READS.match(operation) is not None


class Misbehaviour:
    """The rules in force. Thread-safe. seed: of the dice that `share` throws."""

    def __init__(self, seed: int = 0) -> None:
        self._lock = threading.Lock()
        self._dice = random.Random(seed)
        self._rules: list[Rule] = []
        self._hits: list[int] = []

    def __bool__(self) -> bool:
        return bool(self._rules)

    def add(self, *rules: Rule) -> None:
        """From now on. RuleError when there are too many."""
        with self._lock:
            if len(self._rules) + len(rules) > MAX_RULES:
                raise RuleError(f"more than {MAX_RULES} rules; clear some first")
            self._rules += rules
            self._hits += [0] * len(rules)

    def clear(self) -> None:
        """Behave again."""
        with self._lock:
            self._rules, self._hits = [], []

    def told(self) -> list[dict[str, object]]:
        """Each rule in words, with the number of requests that it has hit."""
        with self._lock:
            return [{"rule": str(rule), "hits": hits} for rule, hits in zip(self._rules, self._hits, strict=True)]

    def stale_s(self, service: str, region: str) -> float:
        """How old the replies of that service in that Region are, lab seconds; 0 when they are not."""
        with self._lock:
            delays = [r.delay_s for r in self._rules if r.manner == STALE and r.names(service, r.operation, region)]
        return max(delays, default=0.0)

    def hit(self, service: str, operation: str, region: str) -> str:
        """What happens to this request: a manner, "" for nothing. The first rule that names it and is not used up."""
        with self._lock:
            for number, rule in enumerate(self._rules):
                if rule.manner == STALE or not rule.names(service, operation, region):
                    continue
                if rule.count is not None and self._hits[number] >= rule.count:
                    continue
                if rule.share < 1 and self._dice.random() >= rule.share:
                    continue
                self._hits[number] += 1
                return rule.manner
        return ""
