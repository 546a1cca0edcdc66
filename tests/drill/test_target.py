"""Target files: every problem is named at once, and only objectives and timings can be overridden."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

from drill.errors import Refused, UsageError
from drill.target import bearer_of, load_target, require_breakable, schema_text
from drill.write_path import WritePath

TARGETS = Path(__file__).resolve().parents[2] / "targets"
GOOD = (TARGETS / "core-banking.toml").read_text()


def written(tmp_path: Path, *changes: tuple[str, str]) -> Path:
    """A copy of the core-banking target with some text replaced."""
    text = GOOD
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / "changed.toml"
    path.write_text(text)
    return path


def test_the_shipped_target_is_valid() -> None:
    """What we ship loads, and knows which Region an address is in."""
    target = load_target(TARGETS / "core-banking.toml")
    assert target.region_of("127.100.5.165") == "ap-northeast-1"
    assert target.region_of("127.101.9.84") == "ap-northeast-3"
    assert target.region_of("127.99.0.1") is None
    assert target.region_of("not an address") is None


def test_the_longest_prefix_names_the_region(tmp_path: Path) -> None:
    """A range nested in another Region's range belongs to the nested one."""
    nested = 'ap-northeast-3 = ["127.101.0.0/16", "127.100.5.0/24"]'
    path = written(tmp_path, ('ap-northeast-3 = ["127.101.0.0/16"]', nested))
    assert load_target(path).region_of("127.100.5.165") == "ap-northeast-3"


def test_an_unknown_target_names_the_known_ones() -> None:
    """A typo costs one look."""
    with pytest.raises(UsageError, match=r"unknown target 'core-bank'.*known targets: core-banking"):
        load_target(TARGETS / "core-bank.toml")


def test_all_problems_of_a_file_are_named_at_once(tmp_path: Path) -> None:
    """Wrong type, missing value, unknown key: each with file, key, found, expected."""
    path = written(
        tmp_path,
        ('account = "111111111111"', "account = 111111111111"),
        ("users = 10", 'users = "ten"'),
        ("rpo_s", "rpo"),
    )
    with pytest.raises(UsageError) as caught:
        load_target(path)
    message = str(caught.value)
    assert str(path) in message
    for part in ("account", "load.users", "found 'ten'", "objectives.rpo_s", "objectives.rpo:"):
        assert part in message


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("window_s = 900.0", "window_s = 620.0", "shorter than the longest recovery objective"),
        ('standby = "ap-northeast-3"', 'standby = "ap-northeast-1"', "three different Regions"),
        ('kind = "lab"', 'kind = "aws"', r"kind is 'aws' but the \[lab\] table is present"),
        ('probe = "deposit"', 'probe = "transfer"', "probe 'transfer' is not one of the kinds"),
        (
            "[writes.kinds.deposit]",
            '[writes.unreplicated]\nbroker = { what = "messages", kinds = ["pay"] }\n[writes.kinds.deposit]',
            "unreplicated 'broker' 'pay' is not one of the kinds",
        ),
        ('task = ["deposit"', 'task = ["pay"', "load.task names 'pay'"),
        ('residue = "left"', 'residue = "cleaned"', "has no known way to delete"),
        ('residue = "left"', 'residue = "shredded"', "load.residue"),
        ('residue = "left"', 'residue = "cleaned"', "what adds up to balances is evidence"),
        ('["127.101.0.0/16"]', '["127.101.0.0/33"]', "127.101.0.0/33"),
    ],
)
def test_contradictions_are_refused(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    """Values that cannot all be meant are named, not resolved in silence."""
    with pytest.raises(UsageError, match=complaint):
        load_target(written(tmp_path, (old, new)))


def test_contradictions_are_named_beside_mistyped_values(tmp_path: Path) -> None:
    """A wrong type somewhere does not hide a contradiction elsewhere."""
    path = written(tmp_path, ("users = 10", 'users = "ten"'), ("window_s = 900.0", "window_s = 620.0"))
    with pytest.raises(UsageError) as caught:
        load_target(path)
    assert "load.users" in str(caught.value)
    assert "shorter than the longest recovery objective" in str(caught.value)


def test_an_override_is_applied_and_recorded() -> None:
    """--set changes an objective or a timing, leaves its trace, and the digest tells it from the original."""
    plain = load_target(TARGETS / "core-banking.toml")
    loose = load_target(TARGETS / "core-banking.toml", ["objectives.rto_s=5"])
    assert loose.objectives.rto_s == 5
    assert loose.overrides == ("objectives.rto_s=5",)
    assert loose.digest != plain.digest


@pytest.mark.parametrize(
    "setting",
    ["account=1", "regions.primary=us-east-1", "blast_radius.resources=x", "objectives", "objectives.rto_s"],
)
def test_only_objectives_and_timings_can_be_set(setting: str) -> None:
    """Account, Regions and blast radius cannot be talked away on the command line."""
    with pytest.raises(UsageError, match=r"only KEY=VALUE|is not a number"):
        load_target(TARGETS / "core-banking.toml", [setting])


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "five", ""])
def test_an_override_must_be_a_sensible_number_of_seconds(value: str) -> None:
    """A limit of nan or infinity would let anything pass."""
    with pytest.raises(UsageError):
        load_target(TARGETS / "core-banking.toml", [f"objectives.rto_s={value}"])


def test_what_is_not_declared_breakable_is_refused() -> None:
    """The blast radius is an allow list per Region."""
    target = load_target(TARGETS / "core-banking.toml")
    target.require_inside_blast_radius("ap-northeast-1", "x-SampleMultiRegionAppTransactionFargateService-y")
    for region, name in (("ap-northeast-1", "Balance"), ("us-east-1", "BLEAFSI-CoreBanking-rule")):
        with pytest.raises(Refused, match="outside the blast radius"):
            target.require_inside_blast_radius(region, name)


def test_a_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    """No traceback for a broken file."""
    path = tmp_path / "broken.toml"
    path.write_text("name = ")
    with pytest.raises(UsageError, match=r"broken\.toml: cannot be read as TOML"):
        load_target(path)


def test_the_example_for_a_real_account_is_valid_and_breaks_the_same_things() -> None:
    """The same scenario runs on AWS: only where and how it is reached differs."""
    lab = load_target(TARGETS / "core-banking.toml")
    real = load_target(TARGETS / "core-banking.example.toml")
    assert real.kind == "aws"
    assert real.region_of("10.101.5.165") == "ap-northeast-3"
    assert (real.resources, real.writes, real.objectives) == (lab.resources, lab.writes, lab.objectives)
    assert real.service_level == lab.service_level
    own = ("acl", "subnet", "i")  # an account's own; the lab has no others
    ids = {f"{kind}-{'0' * 17}": f"{kind}-*" for kind in own}
    named = {r: [ids.get(name, name) for name in names] for r, names in real.blast_radius.resources.items()}
    assert (named, set(ids) <= set(real.blast_radius.resources["ap-northeast-1"])) == (
        lab.blast_radius.resources,
        True,
    )


def test_the_example_of_the_retail_store_drills_the_same_things() -> None:
    """The same runbooks, clusters and limits; how its ECS cluster and ARC parts are named, a deployment decides."""
    lab = load_target(TARGETS / "retail-store.toml")
    real = load_target(TARGETS / "retail-store.example.toml")
    assert real.kind == "aws"
    assert real.region_of("10.2.5.20") == "us-west-2"
    assert real.resources.keys() == lab.resources.keys()
    assert (real.objectives, real.timings) == (lab.objectives, lab.timings)
    own = {"00000000-0000-0000-0000-000000000000": "????????-????-????-????-????????????"}  # the lab's is drawn anew
    named = {r: [own.get(name, name) for name in names] for r, names in real.blast_radius.resources.items()}
    assert named == lab.blast_radius.resources
    assert set(own) <= set(real.blast_radius.resources["global"])


def test_the_example_of_the_remittance_drills_the_same_things() -> None:
    """The same resources, limits and writes; who signs on with which password a deployment decides."""
    lab = load_target(TARGETS / "remittance.toml")
    real = load_target(TARGETS / "remittance.example.toml")
    assert (real.kind, real.sign_on and real.sign_on.password) == ("aws", "")
    assert (real.resources, real.writes, real.load) == (lab.resources, lab.writes, lab.load)
    assert (real.objectives, real.timings) == (lab.objectives, lab.timings)
    drawn = {**lab.blast_radius.resources, "global": ["0" * 16]}  # the id of a routing control
    assert (lab.blast_radius.resources["global"], real.blast_radius.resources) == (["?" * 16], drawn)


def test_a_password_in_a_file_is_for_a_lab_only(tmp_path: Path) -> None:
    """A real user's stands in the environment."""
    real = (TARGETS / "remittance.example.toml").read_text()
    path = tmp_path / "real.toml"
    path.write_text(real.replace('password_env = "DRILL_SIGN_ON_PASSWORD"', 'password = "x"'))
    with pytest.raises(UsageError, match=r"\[sign_on\] password is for a lab"):
        load_target(path)


def test_the_example_of_the_private_link_drills_the_same_things() -> None:
    """The same resources, rows and limits; addresses are the deployment's own."""
    lab = load_target(TARGETS / "private-link-replication.toml")
    real = load_target(TARGETS / "private-link-replication.example.toml")
    assert (real.kind, real.regions.single) == ("aws", True)
    assert real.region_of("10.105.1.10") == "ap-northeast-1"
    assert (real.resources, real.writes, real.objectives) == (lab.resources, lab.writes, lab.objectives)
    assert (real.timings, real.blast_radius, real.values.keys()) == (lab.timings, lab.blast_radius, lab.values.keys())


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("single = true", "single = false", "must be three different Regions"),
        ('standby = "ap-northeast-1"', 'standby = "ap-northeast-3"', "with single, primary and standby are the same"),
        ('observer = "us-west-2"', 'observer = "ap-northeast-1"', "with single, primary and standby are the same"),
        ('user = "drill"\n', "", "protocol is 'sql' and user is missing"),
        ('protocol = "sql"', 'protocol = "http"', "protocol is 'http' and account_header is missing"),
    ],
    ids=["three Regions", "another standby", "no observer", "nobody", "HTTP without a header"],
)
def test_one_region_and_sql_must_both_be_meant(tmp_path: Path, old: str, new: str, words: str) -> None:
    """Two roles of one Region by accident, and a write path without what it needs, are refused."""
    text = (TARGETS / "private-link-replication.toml").read_text()
    assert old in text
    path = tmp_path / "changed.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(UsageError, match=words):
        load_target(path)


def test_a_value_that_is_missing_is_named() -> None:
    """A scenario that needs one says which, and which there are."""
    target = load_target(TARGETS / "private-link-replication.toml")
    assert target.value("reader_instance") == "source-instance-2"
    with pytest.raises(UsageError, match=r"\[values\] has no 'nobody'.*known: foreign_address"):
        target.value("nobody")


@pytest.mark.parametrize("setting", ["safety.dead_man_s=120", "safety.lease_wall_s=5"])
def test_when_a_lost_drill_is_put_back_can_be_set(setting: str) -> None:
    """Sooner or later, for this run."""
    key, _, value = setting.partition("=")
    loaded = load_target(TARGETS / "core-banking.toml", [setting])
    assert getattr(loaded.safety, key.partition(".")[2]) == float(value)
    assert loaded.overrides == (setting,)


def test_a_drill_that_waits_for_a_silent_region_is_not_hung() -> None:
    """On AWS a lease lasts longer than one call may; in a lab every Region is this machine, and it may be short."""
    with pytest.raises(UsageError, match=r"lease_wall_s is 40: one call .* may take 49 s"):
        load_target(TARGETS / "core-banking.example.toml", ["safety.lease_wall_s=40"])
    assert load_target(TARGETS / "core-banking.example.toml", ["safety.lease_wall_s=50"]).safety.lease_wall_s == 50


@pytest.mark.parametrize("setting", ["safety.stack=1", "safety.max_duration_s=1", "safety.dead_man_s=30"])
def test_whether_and_where_it_is_put_back_cannot(setting: str) -> None:
    """Another stack, a longer drill, or a time that no schedule can hold: a usage error."""
    with pytest.raises(UsageError, match="safety"):
        load_target(TARGETS / "core-banking.toml", [setting])


def test_the_example_of_the_event_bus_drills_the_same_things() -> None:
    """It names what the lab's target names, but for what only the lab has: a switch that impairs, its consumers."""
    lab, real = load_target(TARGETS / "event-bus.toml"), load_target(TARGETS / "event-bus.example.toml")
    assert (lab.kind, real.kind) == ("lab", "aws")
    only_here = {"impairment_parameter", "standby_impairment_parameter", "consumer", "standby_consumer"}
    assert lab.resources.keys() - real.resources.keys() == only_here
    assert real.resources.keys() <= lab.resources.keys()
    assert (lab.writes, lab.objectives) == (real.writes, real.objectives)


def test_events_need_to_know_their_bus() -> None:
    """protocol and the table of that name come together or not at all."""
    writes = load_target(TARGETS / "event-bus.toml").writes.model_dump()
    for change in ({"events": None}, {"protocol": "http"}):
        with pytest.raises(ValueError, match="events is"):
            WritePath.model_validate(writes | change)


def test_an_execution_lies_where_its_machine_lies() -> None:
    """It bears neither a name that a blast radius could list nor tags."""
    target = load_target(TARGETS / "core-banking.toml")
    machine, name = "FailoverStateMachineA1", "arn:aws:states:ap-northeast-3:111111111111:{}"
    require_breakable(target, name.format(f"execution:{machine}:drill-1"))
    assert bearer_of(name.format(f"execution:{machine}:drill-1")) == name.format(f"stateMachine:{machine}")
    with pytest.raises(Refused, match="outside the blast radius"):
        require_breakable(target, name.format("execution:Other:FailoverStateMachineA1"))


def test_a_task_is_allowed_by_its_cluster() -> None:
    """Its id is new with each start, so that nobody could list it; the cluster's other things are none of it."""
    target = load_target(TARGETS / "core-banking.toml")
    cluster, of = "x-SampleMultiRegionAppCluster-y", "arn:aws:ecs:ap-northeast-1:111111111111:{}/{}/{}"
    require_breakable(target, of.format("task", cluster, "0" * 32))
    for kind, name in (("task", "Other"), ("service", cluster), ("task-definition", cluster)):
        with pytest.raises(Refused, match="outside the blast radius"):
            require_breakable(target, of.format(kind, name, "0" * 32))


SCHEMA = TARGETS.parent / "docs" / "schema" / "target.schema.json"


def test_the_published_schema_is_that_of_the_code() -> None:
    """docs/schema/target.schema.json is written by `schema_text`."""
    assert SCHEMA.read_text() == schema_text(), "write it anew with drill.target.schema_text()"


@pytest.mark.parametrize("path", sorted(TARGETS.glob("*.toml")), ids=lambda path: path.name)
def test_every_target_fits_the_schema_and_names_it(path: Path) -> None:
    """An editor that knows TOML and JSON Schema completes and checks all of them as they are typed."""
    text = path.read_text()
    jsonschema.validate(tomllib.loads(text), json.loads(SCHEMA.read_text()))
    assert text.startswith("#:schema ../docs/schema/target.schema.json\n")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**tomllib.loads(text), "endpont": "x"}, json.loads(SCHEMA.read_text()))
