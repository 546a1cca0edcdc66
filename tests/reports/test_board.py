"""The board's server: who may see it and who may say something; its page in a real browser."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from drill.errors import UsageError
from reports.board_server import LONGEST_BODY, MARK, BoardServer, serving

TOKEN = "correct horse battery staple"
JSON = {"Content-Type": "application/json", MARK: "board"}


@dataclass
class Stand:
    """A board of its own. said: what people have said."""

    title: str = "Game day <b>spring</b>"
    said: list[tuple[str, ...]] = field(default_factory=list)
    error: Exception | None = None

    def status(self) -> dict[str, Any]:
        """See Board."""
        return {"words": "waits <script>"}

    def release(self, step: str, role: str, who: str, proven: str) -> None:
        """See Board."""
        if self.error is not None:
            raise self.error
        self.said.append((step, role, who, *filter(None, [proven])))

    def observe(self, text: str, who: str, proven: str) -> None:
        """See Board."""
        self.said.append((text, who, *filter(None, [proven])))


@dataclass(frozen=True)
class Reply:
    """What a server answered."""

    status: int
    headers: dict[str, str]
    text: str


@dataclass(frozen=True)
class Served:
    """A board that is being served."""

    port: int
    stand: Stand

    def ask(self, method: str, path: str, body: str | None = None, **headers: str) -> Reply:
        """One request, on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): text for name, text in headers.items()})
            reply = connection.getresponse()
            return Reply(reply.status, dict(reply.getheaders()), reply.read().decode())
        finally:
            connection.close()

    def post(self, path: str, record: dict[str, Any], **headers: str) -> Reply:
        """As the page's script does it."""
        return self.ask("POST", path, json.dumps(record), **(JSON | headers))


@contextmanager
def served(token: str | None = None, roles: dict[str, str] | None = None) -> Iterator[Served]:
    """A board on a free port."""
    stand = Stand()
    with BoardServer(("127.0.0.1", 0), token, roles) as server, serving(server, stand):
        yield Served(int(server.server_address[1]), stand)


@pytest.fixture(scope="module")
def free() -> Iterator[Served]:
    """A board without a token."""
    with served() as one:
        yield one


@pytest.fixture(scope="module")
def locked() -> Iterator[Served]:
    """A board with a token."""
    with served(TOKEN) as one:
        yield one


def test_the_page_is_whole_escaped_and_may_load_nothing_from_elsewhere(free: Served) -> None:
    """Its policy allows its own files only, and the title is text."""
    page = free.ask("GET", "/")
    assert page.status == 200
    assert "Game day &lt;b&gt;spring&lt;/b&gt;" in page.text
    assert "<b>spring" not in page.text
    assert "{{" not in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "'unsafe-inline'" not in page.headers["Content-Security-Policy"]
    assert "://" not in page.text
    for path in ("/board.js", "/board.css"):
        assert free.ask("GET", path).status == 200
    assert json.loads(free.ask("GET", "/status").text) == {"words": "waits <script>"}


def test_what_people_say_arrives_as_they_said_it(free: Served) -> None:
    """A release with its hold and role, an observation with its author."""
    assert free.post("/release", {"step": "ready", "role": "lead", "who": "<name>"}).status == 200
    assert free.post("/observe", {"text": "smoke", "who": ""}).status == 200
    assert free.stand.said[-2:] == [("ready", "lead", "<name>"), ("smoke", "")]


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (UsageError("hold 'ready' does not wait"), 409, "does not wait"),
        (OSError(28, "No space left"), 500, "cannot be kept"),
    ],
)
def test_what_is_not_done_is_said_with_its_reason(free: Served, error: Exception, status: int, words: str) -> None:
    """A hold that does not wait, a disk that is full."""
    free.stand.error = error
    try:
        reply = free.post("/release", {"step": "ready"})
    finally:
        free.stand.error = None
    assert (reply.status, words in reply.text) == (status, True)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "[::1"}, 403),
        ({"Host": ""}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_a_page_of_somebody_else_can_release_nothing(free: Served, headers: dict[str, str], status: int) -> None:
    """By another name of this machine (DNS rebinding), or from another origin."""
    before = list(free.stand.said)
    assert free.post("/release", {"step": "ready"}, **headers).status == status
    assert free.stand.said == before
    if "Host" in headers:
        assert free.ask("GET", "/status", **headers).status == 403


def test_a_form_of_somebody_else_can_release_nothing(free: Served) -> None:
    """A form cannot send the header that is asked for."""
    before = list(free.stand.said)
    assert free.ask("POST", "/release", '{"step": "ready"}', Content_Type="text/plain").status == 403
    assert free.stand.said == before


@pytest.mark.parametrize("body", ["", "[]", "{", '{"text": 1}', "\x00"])
def test_what_is_no_record_is_refused(free: Served, body: str) -> None:
    """400, and the server goes on."""
    assert free.ask("POST", "/observe", body, **JSON).status == 400
    assert free.ask("GET", "/status").status == 200


def test_too_much_is_refused_before_it_is_read(free: Served) -> None:
    """By its length, or for having none."""
    for length in (str(LONGEST_BODY + 1), "-1", "x"):
        assert free.ask("POST", "/observe", None, **(JSON | {"Content-Length": length})).status == 413


@pytest.mark.parametrize(("method", "path"), [("GET", "/etc/passwd"), ("GET", "/../board.py"), ("POST", "/stop")])
def test_there_is_nothing_else(free: Served, method: str, path: str) -> None:
    """No file of the machine can be had."""
    assert free.ask(method, path, "{}" if method == "POST" else None, **JSON).status == 404


def test_without_the_token_nothing_is_shown_and_nothing_is_done(locked: Served) -> None:
    """Neither with none, nor a wrong one, nor a made-up cookie."""
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Cookie": "failover-drill-board=made-up"},
        {"Cookie": "("},
    ):
        assert locked.ask("GET", "/status", **headers).status == 401
        assert locked.post("/release", {"step": "ready"}, **headers).status == 401
    page = locked.ask("GET", "/")
    assert page.status == 401
    assert "Token of this board" in page.text
    assert locked.stand.said == []


def test_the_token_is_typed_once_and_never_in_an_address(locked: Served) -> None:
    """The form gives a cookie that scripts cannot read and other sites cannot send, and not the token itself."""
    refused = locked.ask("POST", "/login", "token=wrong")
    assert (refused.status, "not the token" in refused.text) == (401, True)
    let_in = locked.ask("POST", "/login", f"token={TOKEN.replace(' ', '+')}")
    cookie = let_in.headers["Set-Cookie"]
    assert (let_in.status, let_in.headers["Location"]) == (303, "/")
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert TOKEN not in str(let_in.headers)
    pair = cookie.partition(";")[0]
    assert locked.ask("GET", "/status", Cookie=pair).status == 200
    assert locked.post("/observe", {"text": "seen"}, Cookie=pair).status == 200
    assert locked.ask("GET", "/status", Authorization=f"Bearer {TOKEN}").status == 200
    assert locked.ask("GET", f"/status?token={TOKEN.replace(' ', '+')}").status == 401


LEAD, OBSERVER = "the leads own token", "the observers own token"


def test_who_has_a_roles_token_is_known_by_that_role_and_by_no_other() -> None:
    """By the token itself and by its cookie; a claim beside it, or with the token of all, proves nothing."""
    with served(TOKEN, {"lead": LEAD, "observer <b>": OBSERVER}) as board:
        let_in = board.ask("POST", "/login", f"token={LEAD.replace(' ', '+')}")
        cookie = let_in.headers["Set-Cookie"].partition(";")[0]
        with_cookie, with_shared = {"Cookie": cookie}, {"Authorization": f"Bearer {TOKEN}"}
        observer = {"Authorization": f"Bearer {OBSERVER}"}
        told = [
            json.loads(board.ask("GET", "/status", **h).text)["you"] for h in (with_cookie, with_shared, observer)
        ]
        assert told == ["lead", "", "observer <b>"]
        for headers in (with_cookie, with_shared, with_cookie | observer):
            assert board.post("/observe", {"text": "seen", "role": "lead"}, **headers).status == 200
        assert board.stand.said == [("seen", "", "lead"), ("seen", ""), ("seen", "", "observer <b>")]
        assert board.post("/release", {"step": "ready", "role": "lead"}, **observer).status == 200
        assert board.stand.said[-1] == (
            "ready",
            "lead",
            "",
            "observer <b>",
        )  # whether that will do, the board decides
        assert board.ask("GET", "/status", Authorization="Bearer lead").status == 401
        assert board.ask("GET", "/status", Cookie=cookie + "x").status == 401
        page = board.ask("GET", "/login", **with_cookie)
        assert (page.status, "Token of this board" in page.text) == (200, True)
