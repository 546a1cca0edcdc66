"""Signing on: one token a process, known to redact, and refused where it cannot last."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from drill.errors import Invalid, Refused, UsageError
from drill.redact import redact
from drill.sign_on import SignOn, signed_on
from drill.target import Connection, Target, load_target
from tests.loadgen.loopback import http_server

TARGETS = Path(__file__).resolve().parents[2] / "targets"
LIVES_S = 3600


@contextmanager
def pool(status: int = 200) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A user pool on loopback: its URL, and what it was asked."""
    asked: list[dict[str, Any]] = []

    def handle(request: BaseHTTPRequestHandler, body: bytes) -> None:
        asked.append(json.loads(body))
        result = {"IdToken": f"token-{len(asked)}-of-nobody", "ExpiresIn": LIVES_S}
        said = {"AuthenticationResult": result} if status == 200 else {"__type": "NotAuthorizedException"}
        content = json.dumps(said).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/x-amz-json-1.1")
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    with http_server(handle) as port:
        yield f"http://127.0.0.1:{port}", asked


def target_at(url: str, name: str = "remittance", **changed: Any) -> Target:
    """A target whose sign-on is there."""
    return load_target(TARGETS / f"{name}.toml").model_copy(
        update={"connection": Connection(aws_endpoint=url), **changed}
    )


def test_a_process_signs_on_once_and_its_token_is_never_shown() -> None:
    """The header that the target names, with the token of the synthetic user; nobody's for a system without one."""
    with pool() as (url, asked):
        headers = [signed_on(target_at(url)) for _ in range(2)]
    assert headers == [{"Authorization": "token-1-of-nobody"}] * 2
    assert [a["AuthParameters"] for a in asked] == [{"USERNAME": "drill", "PASSWORD": "Only-1n-the-lab"}]
    assert "token-1" not in redact("it said token-1-of-nobody")
    assert signed_on(load_target(TARGETS / "core-banking.toml")) == {}


def test_a_pool_that_says_no_makes_a_drill_invalid() -> None:
    """Nothing can be measured by who is nobody; the password is not in what is said."""
    with pool(status=400) as (url, _), pytest.raises(Invalid, match="drill could not sign on in us-east-1") as raised:
        signed_on(target_at(url))
    assert "Only-1n" not in str(raised.value)


def test_a_real_user_has_a_password_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it: what to set. With it, a token that ends before the drill may is refused."""
    with pool() as (url, _):
        real = target_at(url, "remittance.example")
        monkeypatch.delenv("DRILL_SIGN_ON_PASSWORD", raising=False)
        with pytest.raises(UsageError, match="set DRILL_SIGN_ON_PASSWORD to the password of drill"):
            signed_on(real)
        monkeypatch.setenv("DRILL_SIGN_ON_PASSWORD", "secret")
        assert signed_on(real)["Authorization"].startswith("token-")
        long = real.model_copy(update={"safety": real.safety.model_copy(update={"max_duration_s": LIVES_S + 1.0})})
        with pytest.raises(Refused, match="lives 3600 s and a drill may last 3601 s"):
            signed_on(long)


@pytest.mark.parametrize("given", [{}, {"password": "x", "password_env": "Y"}], ids=["none", "both"])
def test_there_is_one_way_to_a_password(given: dict[str, str]) -> None:
    """Exactly one of the two must be named."""
    with pytest.raises(ValueError, match="either password_env"):
        SignOn(region="us-east-1", client_id="c", user="u", **given)
