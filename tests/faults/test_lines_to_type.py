"""The lines that a failed restore prints, typed, put everything back."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

import pytest

from drill.clock import FakeClock
from drill.errors import RestoreFailed
from drill.restore import put_back
from lab.aws.misbehave import parse
from tests.checks.cloud import cloud
from tests.faults.bus import add_bus
from tests.faults.command_line import parsed, parsed_all
from tests.faults.contract import Place
from tests.faults.events_source import add_events_source
from tests.faults.experiments import experiments
from tests.faults.furniture import furnish
from tests.faults.samples import CHANGES, SAMPLES, Sample

AWS = os.environ.get("DRILL_AWS_CLI", "")
Unchanged = Callable[[], AbstractContextManager[None]]
needs_aws = pytest.mark.skipif(not AWS, reason="DRILL_AWS_CLI does not name a stock aws CLI in a venv of its own")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One account for this file, with a folder for journals."""
    with cloud(tmp_path_factory.mktemp("cloud")) as made:
        add_bus(made)
        add_events_source(made)
        furnish(made)
        with experiments(made):
            yield Place(made, made.aws, tmp_path_factory.mktemp("journals"))


@pytest.fixture
def sample(request: pytest.FixtureRequest, place: Place) -> Iterator[Sample]:
    """The sample of the parameter, its world made ready."""
    given: Sample = request.param
    given.ready(place.made)
    yield given
    given.undo(place.made)


@pytest.fixture(scope="module")
def left() -> dict[str, Any]:
    """ "as": all that the target names, as the last test that compared it has left it; nothing when nobody knows."""
    return {}


@pytest.fixture
def unchanged(place: Place, sample: Sample, left: dict[str, Any]) -> Unchanged:
    """After the block everything that the target names is as before it.

    Between two tests nothing happens, so what one has left is what the next one finds, and is not read twice.
    """

    @contextmanager
    def compared() -> Iterator[None]:
        was = (left.pop("as", None) if sample.as_found else None) or place.configuration()
        left.clear()
        yield
        now = place.configuration()
        assert now == was
        if sample.as_found:
            left["as"] = now

    return compared


def failed_restore(place: Place, sample: Sample) -> tuple[str, ...]:
    """Break, fail to put back, and return the lines of the message."""
    change = place.prepare(sample.fault)
    place.run(*change.inject)
    place.made.server.misbehave(parse("expired"))
    try:
        with place.journal() as journal, pytest.raises(RestoreFailed) as caught:
            put_back(place.aws, journal, journal.open_change(change), change, FakeClock().sleep, 20.0)
    finally:
        place.made.server.behave()
    assert str(caught.value).endswith("To put it back, type:\n  " + "\n  ".join(caught.value.lines))
    return caught.value.lines


def addresses(place: Place) -> set[str]:
    """The endpoints of the account's ARC clusters."""
    return {f"http://{host}:{port}/v1" for c in place.made.arc.clusters() for host, port in c.endpoints.values()}


@pytest.mark.parametrize("sample", SAMPLES, indirect=True, ids=lambda s: s.name)
def test_every_line_is_the_call_that_it_stands_for(place: Place, sample: Sample) -> None:
    """Of injecting, restoring and acting alike: read back by botocore's model, it is the same call."""
    prepared = place.prepare(sample.fault)
    calls = prepared.inject + prepared.restore if sample in CHANGES else prepared.calls
    for call in calls:
        for endpoint in (place.aws.endpoint_url, None):
            own = [(replace(call, region=region, endpoints={}), url) for region, url in call.endpoints.items()]
            assert parsed_all(call.cli(endpoint)) == (own or [(call, endpoint)])


@pytest.mark.parametrize("sample", CHANGES, indirect=True, ids=lambda s: s.name)
def test_the_lines_put_everything_back(place: Place, sample: Sample, unchanged: Unchanged) -> None:
    """Each one read as the CLI reads it, in order, to the endpoint that it names."""
    with unchanged():
        for line in failed_restore(place, sample):
            for call, endpoint in parsed_all(line):
                own = call.service == "route53-recovery-cluster"
                assert (endpoint in addresses(place)) if own else (endpoint == place.made.server.url)
                place.run(replace(call, endpoints={call.region: endpoint} if own else {}))


@needs_aws
@pytest.mark.parametrize("sample", CHANGES, indirect=True, ids=lambda s: s.name)
def test_the_lines_typed_into_the_stock_cli_put_everything_back(
    place: Place, sample: Sample, unchanged: Unchanged
) -> None:
    """Pasted as they are, by a person with the CLI and nothing of ours."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PYTHON", "VIRTUAL_ENV"))}
    keys = {"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "me", "AWS_CONFIG_FILE": os.devnull}
    with unchanged():
        for line in failed_restore(place, sample):
            words = [AWS, *shlex.split(line.partition(" || ")[0])[1:]]
            said = subprocess.run(words, env=clean | keys, capture_output=True, text=True, timeout=120, check=False)
            assert said.returncode == 0, said.stderr


def test_a_line_that_the_cli_would_not_take_is_noticed() -> None:
    """The reader is not more lenient than what it stands for."""
    for line in (
        "aws events disable-rul --name r --region us-east-1",
        "aws events disable-rule --names r --region us-east-1",
        "aws events disable-rule --region us-east-1",
    ):
        with pytest.raises((AssertionError, ValueError, KeyError)):
            parsed(line)
