"""The settings of a lab's world: one table a system, read from NAME=VALUE texts as people type them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.aws.misbehave import Rule, RuleError, parse_all
from lab.plan import WorldError


@dataclass(frozen=True)
class Setting:
    """One setting: its value when not set, how its text is read (ValueError says what is expected), its meaning."""

    default: Any
    read: Callable[[str], Any]
    meaning: str


def seconds(least: float, most: float) -> Callable[[str], float]:
    """A number of lab seconds."""

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


def count(most: int, least: int = 0) -> Callable[[str], int]:
    """A whole number."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise ValueError(f"a whole number from {least} to {most}")
        return int(text)

    return read


def one_of(known: Sequence[str]) -> Callable[[str], str]:
    """One of the known words, or nothing."""

    def read(text: str) -> str:
        if text not in ("", *known):
            raise ValueError(f"one of {', '.join(known)}")
        return text

    return read


def misbehaviour(text: str) -> tuple[Rule, ...]:
    """Rules by which the AWS API misbehaves, ";" between them."""
    try:
        return parse_all(text)
    except RuleError as error:
        raise ValueError(f"rules with ';' between them ({error})") from error


def read_settings(system: str, table: Mapping[str, Setting], texts: Sequence[str]) -> dict[str, Any]:
    """All settings, with those in NAME=VALUE `texts` changed; WorldError names what is wrong and what is known."""
    values = {name: setting.default for name, setting in table.items()}
    for text in texts:
        name, equals, value = text.partition("=")
        if name not in table or not equals:
            known = ", ".join(f"{name}={setting.default}" for name, setting in table.items())
            raise WorldError(f"--lab-set {text!r} is not a setting of {system}; the settings are: {known}")
        try:
            values[name] = table[name].read(value)
        except ValueError as error:
            raise WorldError(f"--lab-set {name}: found {value!r}, expected {error}") from error
    return values
