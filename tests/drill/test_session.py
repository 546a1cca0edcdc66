"""Whose credentials: assumed roles that renew themselves, ends that are known, and words for those that ended."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from drill.aws import Aws, AwsFailed
from drill.call import Call
from drill.errors import Refused, UsageError
from drill.redact import redact
from drill.rights import Rights
from drill.session import open_session, outlive
from drill.target import load_target

TARGETS = Path(__file__).resolve().parents[2] / "targets"
ROLE = "arn:aws:iam::123456789012:role/failover-drill"
WHO = Call("sts", "GetCallerIdentity", {}, "us-west-2")
ASSUMED = """<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIAPLANTED{n}PLANTED</AccessKeyId>
<SecretAccessKey>planted-secret-{n}</SecretAccessKey><SessionToken>planted-token-{n}</SessionToken>
<Expiration>{end}</Expiration></Credentials><AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/r/s</Arn>
<AssumedRoleId>A:s</AssumedRoleId></AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>"""
IDENTITY = """<GetCallerIdentityResponse><GetCallerIdentityResult><Account>123456789012</Account>
</GetCallerIdentityResult></GetCallerIdentityResponse>"""
ERROR = """<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no: planted-token-1</Message></Error>
</ErrorResponse>"""


@dataclass
class Sts:
    """An STS whose credentials last `lasts_s`, and that says `error` to everything else, if anything."""

    url: str = ""
    lasts_s: float = 3600.0
    error: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    signed_by: list[str] = field(default_factory=list)

    def answer(self, request: dict[str, str], authorization: str) -> tuple[int, str]:
        """Status and body."""
        self.asked.append(request)
        self.signed_by.append(authorization.partition("Credential=")[2].partition("/")[0])
        if request["Action"] == "AssumeRole":
            end = (datetime.now(UTC) + timedelta(seconds=self.lasts_s)).isoformat()
            return 200, ASSUMED.format(n=sum(r["Action"] == "AssumeRole" for r in self.asked), end=end)
        return (403, ERROR.format(code=self.error)) if self.error else (200, IDENTITY)


@pytest.fixture
def sts() -> Iterator[Sts]:
    """A server of its own, on loopback."""
    state = Sts()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            request = {name: values[0] for name, values in parse_qs(body).items()}
            status, text = state.answer(request, self.headers["Authorization"])
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    yield state
    server.shutdown()
    thread.join(10)
    server.server_close()


def assumed(url: str, **words: str) -> Aws:
    """Clients with the rights of the role."""
    return Aws(url, rights=Rights(role_arn=ROLE, **words), region="us-west-2")


def test_a_role_is_assumed_as_its_trust_policy_asks(sts: Sts) -> None:
    """Once, with the external id and the session's name; every call is then signed by the role's own key."""
    aws = assumed(sts.url, external_id="planted-external", session_name="game-day")
    aws.run(WHO)
    aws.run(WHO)
    assume, first, second = sts.asked
    assert (assume["RoleArn"], assume["ExternalId"], assume["RoleSessionName"]) == (
        ROLE,
        "planted-external",
        "game-day",
    )
    assert (first["Action"], second["Action"]) == ("GetCallerIdentity", "GetCallerIdentity")
    assert sts.signed_by == ["lab", "ASIAPLANTED1PLANTED", "ASIAPLANTED1PLANTED"]
    assert outlive(aws.session, 86400 * 30) == "renewed as needed (assume-role)"


def test_an_assumed_role_is_renewed_before_it_ends(sts: Sts) -> None:
    """Without a word, and by botocore itself: a drill may last longer than its role's session."""
    sts.lasts_s = 30.0
    aws = assumed(sts.url)
    aws.run(WHO)
    sts.lasts_s = 3600.0
    aws.run(WHO)
    aws.run(WHO)
    assert sts.signed_by[-1] == "ASIAPLANTED2PLANTED"
    assert [r["Action"] for r in sts.asked].count("AssumeRole") == 2


def test_the_secrets_of_an_assumed_role_are_known_and_hidden(sts: Sts) -> None:
    """Wherever they stand: AWS's own words may hold one."""
    sts.error = "AccessDenied"
    with pytest.raises(AwsFailed) as failed:
        assumed(sts.url).run(WHO)
    assert "no: [redacted]" in str(failed.value)
    assert redact("x planted-secret-1 y") == "x [redacted] y"


@pytest.mark.parametrize("code", ["ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId"])
def test_credentials_that_ended_are_named_with_what_to_do(sts: Sts, code: str) -> None:
    """Log in again, then put back."""
    sts.error = code
    with pytest.raises(AwsFailed, match=r"the credentials have ended .*log in again .*drill restore") as failed:
        Aws(sts.url).run(WHO)
    assert failed.value.code == code


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No credentials anywhere."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


def in_environment(patch: pytest.MonkeyPatch, token: str = "", ends_in_s: float | None = None) -> None:
    """Credentials as somebody exports them."""
    patch.setenv("AWS_ACCESS_KEY_ID", "AKIAPLANTEDPLANTED00")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "planted-environment-secret")
    if token:
        patch.setenv("AWS_SESSION_TOKEN", token)
    if ends_in_s is not None:
        patch.setenv("AWS_CREDENTIAL_EXPIRATION", (datetime.now(UTC) + timedelta(seconds=ends_in_s)).isoformat())


def test_no_credentials_are_refused(environment: pytest.MonkeyPatch) -> None:
    """With what to do."""
    with pytest.raises(Refused, match="there are no AWS credentials; log in"):
        outlive(open_session(None, Rights()), 60)


def test_a_profile_that_does_not_exist_is_refused(environment: pytest.MonkeyPatch) -> None:
    """By name."""
    with pytest.raises(Refused, match=r"\[access\] profile 'drills': .*could not be found"):
        open_session(None, Rights(profile="drills"))


def test_long_term_keys_last(environment: pytest.MonkeyPatch) -> None:
    """And are known from then on, so that they are never shown."""
    in_environment(environment)
    assert outlive(open_session(None, Rights()), 86400) == "do not expire (env)"
    assert redact("planted-environment-secret") == "[redacted]"


def test_a_session_token_whose_end_nobody_knows_is_refused(environment: pytest.MonkeyPatch) -> None:
    """It may end in the middle, and then nothing could be put back."""
    in_environment(environment, token="planted-environment-token")
    with pytest.raises(Refused, match=r"nobody knows when the session token \(env\) ends.*role_arn"):
        outlive(open_session(None, Rights()), 60)


def test_an_end_that_is_known_is_compared_with_the_drill(environment: pytest.MonkeyPatch) -> None:
    """Sooner than the longest that the drill may last: refused."""
    in_environment(environment, token="planted-environment-token", ends_in_s=7200)
    session = open_session(None, Rights())
    assert outlive(session, 3600) == "last longer than 3600 s (env)"
    with pytest.raises(Refused, match="end within 10800 s of wall time"):
        outlive(session, 10800)


def test_a_role_that_cannot_be_assumed_is_refused(sts: Sts, environment: pytest.MonkeyPatch) -> None:
    """Before the drill, not at its first call."""
    with pytest.raises(Refused, match=r"there are no credentials: .*Could not connect"):
        outlive(assumed("http://127.0.0.1:9").session, 60)


def test_a_lab_has_no_access_table(tmp_path: Path) -> None:
    """Real credentials are never shown to a lab; a key in a target file is no key that it knows."""
    text = (TARGETS / "core-banking.toml").read_text()
    path = tmp_path / "odd.toml"
    path.write_text(text + '\n[access]\nprofile = "drills"\n')
    with pytest.raises(UsageError, match=r"\[access\] is for kind 'aws'"):
        load_target(path)
    path.write_text(text + '\n[access]\nsecret_access_key = "planted-in-a-file"\n')
    with pytest.raises(UsageError, match=r"access.secret_access_key: Extra inputs are not permitted") as wrong:
        load_target(path)
    assert "planted-in-a-file" not in str(wrong.value)


def test_a_password_in_an_address_is_refused_and_not_repeated(tmp_path: Path) -> None:
    """The address of a target is in every report."""
    text = (TARGETS / "core-banking.toml").read_text()
    path = tmp_path / "odd.toml"
    path.write_text(text.replace("http://api.example.com", "http://bank:planted-pw@api.example.com"))
    with pytest.raises(UsageError, match="a user name or password in a URL") as wrong:
        load_target(path)
    assert "planted-pw" not in str(wrong.value)


def test_sessions_of_one_process_read_a_model_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """That of a role too; one whose models lie elsewhere as well reads its own."""
    role = Rights(role_arn="arn:aws:iam::111111111111:role/drills")
    loaders = [_loader(open_session("http://127.0.0.1:9", rights)) for rights in (Rights(), Rights(), role)]
    assert all(loader is loaders[0] for loader in loaders)
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    other = _loader(open_session("http://127.0.0.1:9", Rights()))
    assert other is not loaders[0]
    assert str(tmp_path) in other.search_paths
    assert str(tmp_path) not in loaders[0].search_paths


def _loader(session: Any) -> Any:
    return session._session.get_component("data_loader")
