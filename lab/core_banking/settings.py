"""The settings of the core-banking lab, in one table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.aws.misbehave import Rule, RuleError, parse_all
from lab.core_banking.names import SERVING
from lab.plan import WorldError


@dataclass(frozen=True)
class Setting:
    """One setting: its value when not set, how its text is read, and what it means."""

    default: Any
    read: Callable[[str], Any]
    meaning: str


def _seconds(least: float, most: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        if not (_is_number(text) and least <= float(text) <= most):
            raise ValueError(f"seconds from {least:g} to {most:g}")
        return float(text)

    return read


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 10):
        raise ValueError("a whole number from 0 to 10")
    return int(text)


def _region(text: str) -> str:
    if text not in ("", *SERVING):
        raise ValueError(f"one of {', '.join(SERVING)}")
    return text


def _rules(text: str) -> tuple[Rule, ...]:
    try:
        return parse_all(text)
    except RuleError as error:
        raise ValueError(f"rules with ';' between them ({error})") from error


SETTINGS: Mapping[str, Setting] = {
    "dynamodb.lag_s": Setting(1.0, _seconds(0, 86400), "replication lag of the global table"),
    "dynamodb.cut_from": Setting("", _region, "a Region whose writes never reach the other"),
    "rds.switchover_s": Setting(120.0, _seconds(0, 86400), "how long an Aurora global switchover takes"),
    "rds.failover_s": Setting(60.0, _seconds(0, 86400), "how long an Aurora global failover takes"),
    "route53.propagation_s": Setting(5.0, _seconds(0, 86400), "routing control change until DNS answers by it"),
    "ecs.transaction_desired_count": Setting(1, _count, "Tokyo's transaction tasks at the start"),
    "misbehave": Setting((), _rules, "how the AWS API misbehaves from when the lab is up"),
    "worker.pause_s": Setting(1.0, _seconds(0.05, 60), "the worker's pause between two rounds"),
}


def read(texts: Sequence[str]) -> dict[str, Any]:
    """All settings, with those in NAME=VALUE `texts` changed; WorldError names what is wrong and what is known."""
    values = {name: setting.default for name, setting in SETTINGS.items()}
    for text in texts:
        name, equals, value = text.partition("=")
        if name not in SETTINGS or not equals:
            known = ", ".join(f"{name}={setting.default}" for name, setting in SETTINGS.items())
            raise WorldError(f"--lab-set {text!r} is not a setting of core-banking; the settings are: {known}")
        try:
            values[name] = SETTINGS[name].read(value)
        except ValueError as error:
            raise WorldError(f"--lab-set {name}: found {value!r}, expected {error}") from error
    return values
