"""Every command that the README and the docs show is one that the tools take: verbs, options, scenarios, markers."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands.main import VERBS, command_line
from commands.planning import scenario_id
from tests.docs.test_links import PAGES
from tests.e2e.drilling import ROOT

BLOCK = re.compile(r"^```console\n(.*?)^```", re.M | re.S)
SHOWN = re.compile(r"^\$ ((?:drill|pytest|make) .*)$", re.M)


def shown(program: str) -> Iterator[tuple[Path, list[str]]]:
    """(page, words after the program) of its every line in a console block; comments are left out."""
    for page in PAGES:
        for block in BLOCK.findall(page.read_text()):
            for line in SHOWN.findall(block):
                words = shlex.split(line, comments=True)
                if words[0] == program:
                    yield page, words[1:]


def told(program: str) -> list[object]:
    """The same as parameters of a test."""
    return [pytest.param(words, id=f"{page.name}: {' '.join(words)}") for page, words in shown(program)]


@pytest.mark.parametrize("words", told("drill"))
def test_a_command_of_the_docs_is_understood(words: list[str]) -> None:
    """Its verb and its options are there, and a scenario to plan is one."""
    assert words[0] in VERBS
    asked = command_line(words[0]).parse_args(words)
    if words[0] == "plan":
        assert scenario_id(asked.scenario)


@pytest.mark.parametrize("words", told("pytest"))
def test_a_session_of_the_docs_is_understood(words: list[str], pytestconfig: pytest.Config) -> None:
    """Its options are there, its markers are known, and its target has a file."""
    asked, unknown = pytestconfig._parser.parse_known_and_unknown_args(words)
    assert unknown == []
    markers = {line.split(":")[0].split("(")[0].strip() for line in pytestconfig.getini("markers")}
    assert set(re.findall(r"[a-z_]+", asked.markexpr)) - {"and", "or", "not"} <= markers
    assert all((ROOT / "targets" / f"{name}.toml").exists() for name in asked.target or [])


@pytest.mark.parametrize("words", told("make"))
def test_a_goal_of_the_docs_is_in_the_makefile(words: list[str]) -> None:
    """make drill, make test and what else is named."""
    assert re.search(rf"^{words[0]}:", (ROOT / "Makefile").read_text(), re.M)


@pytest.mark.parametrize(("program", "least"), [("drill", 25), ("pytest", 7), ("make", 2)])
def test_the_docs_show_commands(program: str, least: int) -> None:
    """So that none of the above is true of nothing."""
    assert len(list(shown(program))) >= least
