"""The pipeline examples: by the published schemas, their shell parses, and their commands are ones we have."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import jsonschema
import pytest
import yaml
from botocore.validate import ParamValidator

from commands.main import command_line
from commands.scenario_names import known, scenario_names
from drill.call import Call
from drill.iam import need_of
from reports.gate_policy import load_policy
from tests.e2e.drilling import ROOT

PIPELINES = ROOT / "docs" / "pipelines"
GITHUB, GITLAB, CODEBUILD = ("github-*.yml", "gitlab-*.yml", "codebuild-*.yml")
COMMANDS = {"type": "array", "minItems": 1, "items": {"type": "string"}}
PHASE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["commands"],
    "properties": {
        "commands": COMMANDS,
        "finally": COMMANDS,
        "on-failure": {"enum": ["ABORT", "CONTINUE"]},
        "run-as": {"type": "string"},
        "runtime-versions": {"type": "object"},
    },
}
BUILDSPEC = {
    "type": "object",
    "additionalProperties": False,
    "required": ["version", "phases"],
    "properties": {
        "version": {"const": 0.2},
        "env": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "shell": {"enum": ["bash", "/bin/sh"]},
                **{key: {"type": "object"} for key in ("variables", "parameter-store", "secrets-manager")},
                "exported-variables": {"type": "array"},
            },
        },
        "phases": {
            "type": "object",
            "additionalProperties": False,
            "properties": dict.fromkeys(("install", "pre_build", "build", "post_build"), PHASE),
        },
        "reports": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["files", "file-format"],
                "properties": {"files": COMMANDS, "file-format": {"enum": ["JUNITXML"]}},
            },
        },
        "artifacts": {"type": "object", "required": ["files"], "properties": {"files": COMMANDS}},
    },
}
"""The part of CodeBuild's build specification that the examples use, by its reference; nobody publishes a schema."""


def load(path: Path) -> dict[str, Any]:
    """A YAML file; CloudFormation's short functions become their arguments."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor("!", lambda loader, suffix, node: f"arn:aws:x:::{node.value}")
    found = yaml.load(path.read_text(), Loader)
    assert isinstance(found, dict)
    return found


def schema_checked(*arguments: str) -> None:
    """By check-jsonschema's own copies of the published schemas: nothing is fetched."""
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_github_workflows_keep_the_published_schema() -> None:
    """Both of them."""
    files = [str(p) for p in sorted(PIPELINES.glob(GITHUB))]
    assert len(files) == 2
    schema_checked("--builtin-schema", "vendor.github-workflows", *files)


def test_the_gitlab_pipeline_keeps_the_published_schema() -> None:
    """Gate and schedule in one file."""
    path = PIPELINES / "gitlab-ci.yml"
    schema_checked("--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci", str(path))


@pytest.mark.parametrize("name", ["codebuild-release-gate.yml", "codebuild-game-day.yml"])
def test_the_buildspecs_keep_the_reference(name: str) -> None:
    """Known phases and keys; a wrong one would be ignored or refused by CodeBuild."""
    jsonschema.validate(load(PIPELINES / name), BUILDSPEC)


def test_the_schedule_is_one_that_eventbridge_scheduler_takes() -> None:
    """Its properties are those of CreateSchedule, by botocore's model; its role may start the build."""
    resources = load(PIPELINES / "eventbridge-schedule.yaml")["Resources"]
    properties = resources["GameDay"]["Properties"]
    model = botocore.session.get_session().get_service_model("scheduler").operation_model("CreateSchedule")
    report = ParamValidator().validate({"Name": "game-day", **properties}, model.input_shape)
    assert not report.has_errors(), report.generate_report()
    assert re.fullmatch(r"cron\((\S+ ){5}\S+\)", properties["ScheduleExpression"])
    (policy,) = resources["StartRole"]["Properties"]["Policies"]
    (statement,) = policy["PolicyDocument"]["Statement"]
    start = Call("codebuild", "StartBuild", {"projectName": "x"}, "us-west-2")
    assert statement["Action"] == need_of(start).action
    assert statement["Resource"] == properties["Target"]["Arn"]


def texts(node: Any) -> Iterator[str]:
    """Every string in a document."""
    if isinstance(node, dict):
        for value in node.values():
            yield from texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from texts(value)
    elif isinstance(node, str):
        yield node


def scripts(path: Path) -> list[str]:
    """The pieces of shell in a pipeline: what names one of our programs, make or aws."""
    return [t for t in texts(load(path)) if re.search(r"\.venv/bin|^make |^aws |printf|^rm ", t)]


FILES = sorted(p for pattern in (GITHUB, GITLAB, CODEBUILD) for p in PIPELINES.glob(pattern))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_the_shell_parses_and_the_commands_exist(path: Path) -> None:
    """Every `drill` line is one that the parser takes; every option of a session is one that it has."""
    found = scripts(path)
    assert found
    done = subprocess.run(["bash", "-n"], input="\n".join(found), text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [shlex.split(line) for text in found for line in text.splitlines() if ".venv/bin/" in line]
    assert lines
    ours = (ROOT / "conftest.py").read_text()
    for words in lines:
        if words[0] == ".venv/bin/drill":
            command_line().parse_args(words[1:])
        else:
            assert words[:3] == [".venv/bin/python", "-m", "pytest"]
            options = [w.partition("=")[0] for w in words[3:] if w.startswith("--")]
            assert all(f'"{o}"' in ours or o == "--junitxml" for o in options), options


def test_the_model_policy_is_one() -> None:
    """Its keys, and its drill."""
    policy = load_policy(PIPELINES / "gate.toml")
    assert all(known(r.scenario, scenario_names(None)) for r in policy.drill)
    assert policy.drill[0].fresh_days == 7.0
