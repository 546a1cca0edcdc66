"""The AWS API of a lab: moto in this process behind a front door of our own.

The door reads the SigV4 credential scope of each request and hands it to a service of ours (`serve`) or to
moto. What moto leaves bare becomes a typed error (an operation that nobody plays is 501 NotImplemented, with
its name); a service of a Region can be made unavailable, and the door can be told to misbehave as AWS at times does
(lab.aws.misbehave); taps see each successful call.

moto's state belongs to the process, and so does an AwsServer: one at a time, `start` begins with nothing.
"""

from __future__ import annotations

import functools
import logging
import os
import threading
from collections.abc import Collection, Mapping
from email.utils import format_datetime
from typing import Any

import boto3
import botocore.session
import moto.core.config
import moto.core.models
from botocore.config import Config
from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.core.responses import BaseResponse

from lab.aws import clocked, control, light
from lab.aws.misbehave import Misbehaviour, Rule, reads_only
from lab.aws.past import Past
from lab.aws.protocol import (
    ApiCall,
    AwsError,
    MotoDispatcher,
    Service,
    Tap,
    Tapped,
    access_key_of,
    dispatch,
    error_reply,
    misbehaving_reply,
    operation_of,
    scoped,
    tapped,
)
from lab.aws.wire import Door, HttpReply, HttpRequest, NoReply
from lab.clock import LabClock

__all__ = ["ApiCall", "AwsError", "AwsServer", "Service", "Tap", "Tapped", "reset_state"]

log = logging.getLogger(__name__)

LAB_ACCESS_KEY = "AKIALABLABLABLABLAB0"
"""Signs what the lab's engines call: on AWS that is AWS's own inside, which no silence of a Region's API stops."""
SYSTEM_ACCESS_KEY = "AKIALABLABLABLABLAB1"
"""Signs what the system under test calls by an SDK: its functions, state machines and runbooks."""


class AwsServer:
    """Starts and stops with its thread; `url` is valid after `start`.

    host, port: where to listen; port 0 takes a free one. account: twelve digits, owner of everything.
    """

    def __init__(self, host: str, port: int, clock: LabClock, account: str = "111111111111") -> None:
        light.install()
        self.clock = clock
        self.account = account
        self.host = host
        self._port = port
        self.url = ""
        self._door = Door(self._handle)
        self._regional: list[Door] = []
        self._moto: Service = _moto().answer
        self._services: dict[str, Service] = {}
        self._taps: dict[str, list[tuple[frozenset[str], Tap]]] = {}
        self._unavailable: set[tuple[str, str]] = set()
        self._silent: dict[str, frozenset[str]] = {}
        self._clients: dict[tuple[str, str, str], Any] = {}
        self._client_lock = threading.Lock()
        self._session = _session()
        self._misbehaviour = Misbehaviour()
        self._past = Past(clock, self._answer)
        self._control = control.Control(self._misbehaviour, self._past.forget)
        clocked.install(clock)

    def start(self) -> None:
        """Bind, reset moto's state and serve. OSError (EADDRINUSE) when the port is taken."""
        host, port = self._door.open(self.host, self._port)
        self.url = f"http://{host}:{port}"
        moto.core.config.default_user_config["stepfunctions"] = {"execute_state_machine": True}
        moto.core.config.default_user_config["lambda"] = {"use_docker": False}
        moto.core.config.default_user_config["batch"] = {"use_docker": False}
        reset_state()
        clocked.install(self.clock)

    def stop(self) -> None:
        """Close all sockets and drop moto's state; in-flight calls see a cut connection."""
        for door in (self._door, *self._regional):
            door.stop()
        with self._client_lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()
        reset_state()

    def listen(self, host: str, port: int = 0) -> tuple[str, int]:
        """A further address of the same API (a Region's own endpoint); returns what was bound."""
        return self._door.open(host, port)

    def listen_in(self, region: str, host: str, port: int) -> tuple[str, int]:
        """A further address, at which calls that are signed for all Regions (SigV4A) are meant for `region`."""
        door = Door(lambda request: self._handle(request, region))
        self._regional.append(door)
        return door.open(host, port)

    def close_listener(self, address: tuple[str, int]) -> None:
        """Take that address away: connections are cut and new ones refused; `listen` brings it back."""
        self._door.close(address)

    def client(self, service: str, region: str) -> Any:
        """A boto3 client (thread-safe, cached) of the lab's engines that talks to this server over HTTP."""
        return self._cached(service, region, LAB_ACCESS_KEY)

    def system_client(self, service: str, region: str) -> Any:
        """The same for what the system under test calls: where a Region's API is silent it gets no answer."""
        return self._cached(service, region, SYSTEM_ACCESS_KEY)

    def _cached(self, service: str, region: str, key: str) -> Any:
        with self._client_lock:
            wanted = (service, region, key)
            if wanted not in self._clients:
                self._clients[wanted] = self._new_client(service, region, self.url, key=key)
            return self._clients[wanted]

    def client_at(self, service: str, region: str, endpoint_url: str = "", config: Config | None = None) -> Any:
        """A client of the system under test, not cached: at another address of this API, or with a `config` over
        the lab's own.

        The caller closes it. All clients share one session, which has read each service's model once.
        """
        with self._client_lock:
            return self._new_client(service, region, endpoint_url or self.url, config, SYSTEM_ACCESS_KEY)

    def _new_client(
        self, service: str, region: str, url: str, over: Config | None = None, key: str = LAB_ACCESS_KEY
    ) -> Any:
        # `proxies={}` and explicit keys: nothing of the user's own AWS or proxy settings may reach the lab.
        config = Config(
            inject_host_prefix=False,
            connect_timeout=3,
            read_timeout=30,
            retries={"mode": "standard", "total_max_attempts": 2},
            max_pool_connections=32,
            proxies={},
        )
        merged = config if over is None else config.merge(over)
        keys = {"aws_access_key_id": key, "aws_secret_access_key": "lab"}
        return self._session.client(service, region_name=region, endpoint_url=url, config=merged, **keys)

    def serve(self, service: str, handler: Service) -> None:
        """Answer every call of `service` (botocore's name) with `handler` in place of moto."""
        self._services[service] = handler

    def to_moto(self, call: ApiCall) -> HttpReply:
        """moto's own answer to the call, for a service of ours that leaves some operations to moto."""
        return self._moto(call)

    def serve_class(self, service: str, responses: type[BaseResponse]) -> None:
        """Answer `service` with a moto response class: one method per operation, parsed and serialised by
        botocore's model; it raises AwsError for typed errors."""
        self._services[service] = lambda call: dispatch(responses, call)

    def tap(self, service: str, operations: Collection[str], fn: Tap) -> None:
        """Call `fn` after each successful call of these operations, in the request's thread, before the
        reply is sent; so it must be quick. An exception in it is logged and the reply stands."""
        self._taps.setdefault(service, []).append((frozenset(operations), fn))

    def unavailable(self, region: str, service: str = "") -> None:
        """The API of the Region (or of one service in it) answers 503 ServiceUnavailable from now on."""
        self._unavailable.add((region, service))

    def available(self, region: str, service: str = "") -> None:
        """Undo `unavailable` with the same arguments."""
        self._unavailable.discard((region, service))

    def is_available(self, region: str, service: str) -> bool:
        """Whether that service answers in the Region."""
        return not {(region, ""), (region, service)} & self._unavailable

    def silence(self, region: str, but: Collection[str] = ()) -> None:
        """The Region's API takes every request and answers none, whoever asks, except for the services in `but`.

        The lab's engines go on: what they play are not calls. What hangs already hangs on after `speak`.
        """
        self._silent[region] = frozenset(but)

    def speak(self, region: str) -> None:
        """Undo `silence`."""
        self._silent.pop(region, None)

    def is_silent(self, region: str, service: str) -> bool:
        """Whether that service leaves requests in the Region without an answer."""
        return region in self._silent and service not in self._silent[region]

    def misbehave(self, *rules: Rule) -> None:
        """Misbehave from now on, besides what was told before; see lab.aws.misbehave. RuleError for too many."""
        self._misbehaviour.add(*rules)

    def describes(self, world: Mapping[str, object]) -> None:
        """What the control path says of this lab, plain JSON values; see lab.aws.control."""
        self._control.world = dict(world)

    def misbehaving(self) -> list[dict[str, object]]:
        """The rules in force: {"rule": in words, "hits": requests}."""
        return self._misbehaviour.told()

    def behave(self) -> None:
        """No misbehaviour any more. What hangs already hangs on, until its client gives up."""
        self._misbehaviour.clear()
        self._past.forget()

    def _handle(self, request: HttpRequest, home: str = "us-east-1") -> HttpReply | NoReply:
        if request.path == "/ping":  # every public endpoint of AWS answers it
            return HttpReply(200, {"Content-Type": "text/plain"}, b"healthy")
        if request.path.startswith(control.PREFIX):
            return self._control.answer(request)
        call = scoped(request, self.account, home)
        if self.is_silent(call.region, call.service) and access_key_of(call) != LAB_ACCESS_KEY:
            return NoReply(silent=True)
        return self._misbehaved(call) if self._misbehaviour else self._behaved(call)

    def _misbehaved(self, call: ApiCall) -> HttpReply | NoReply:
        operation, own = operation_of(call), access_key_of(call) in (LAB_ACCESS_KEY, SYSTEM_ACCESS_KEY)
        manner = "" if own else self._misbehaviour.hit(call.service, operation, call.region)
        if manner in ("hang", "reset"):
            return NoReply(silent=manner == "hang")
        if manner and manner != "lose":
            return self._finished(misbehaving_reply(call, manner))
        old = self._old_reply(call, operation, own)
        reply = self._behaved(call) if old is None else self._finished(old)
        return NoReply(silent=False) if manner == "lose" else reply

    def _old_reply(self, call: ApiCall, operation: str, own: bool) -> HttpReply | None:
        delay_s = self._misbehaviour.stale_s(call.service, call.region)
        if not delay_s:
            return None
        if reads_only(operation):
            return None if own else self._past.reply(call)
        self._past.before_change(call.service, call.region, delay_s)
        return None

    def _behaved(self, call: ApiCall) -> HttpReply:
        if not self.is_available(call.region, call.service):
            what = f"{call.service or 'the API'} in {call.region} is unavailable"
            reply = error_reply(call, 503, "ServiceUnavailable", what)
        else:
            reply = self._answer(call)
            if call.service in self._taps and reply.status < 300:
                self._call_taps(call)
        return self._finished(reply)

    def _finished(self, reply: HttpReply) -> HttpReply:
        return HttpReply(reply.status, self._dated(reply.headers), reply.body)

    def _answer(self, call: ApiCall) -> HttpReply:
        handler = self._services.get(call.service, self._moto)
        try:
            return handler(call)
        except NotImplementedError as error:
            log.info("%s in %s: %s", call.service, call.region, error)
            what = f"this lab does not play {call.service} {operation_of(call)}"
            return error_reply(call, 501, "NotImplemented", what)
        except Exception as error:  # the edge of the process: a bug in a service becomes a typed 500
            log.exception("%s in %s failed", call.service, call.region)
            what = f"{call.service} {operation_of(call)}: {type(error).__name__}: {error}"
            return error_reply(call, 500, "InternalFailure", what)

    def _call_taps(self, call: ApiCall) -> None:
        wanted = frozenset().union(*(operations for operations, _ in self._taps[call.service]))
        if call.target_operation and call.target_operation not in wanted:
            return  # spares parsing the body of every call that nobody asked about
        seen = tapped(call)
        for operations, fn in self._taps[call.service]:
            if seen.operation in operations:
                _call_tap(fn, seen)

    def _dated(self, headers: dict[str, str]) -> dict[str, str]:
        kept = {name: value for name, value in headers.items() if name.lower() not in _HOP_HEADERS}
        kept["Date"] = format_datetime(self.clock.now(), usegmt=True)
        return kept


_HOP_HEADERS = frozenset({"date", "connection", "status", "transfer-encoding", "server"})


def reset_state() -> None:
    """Forget everything that moto stores in this process."""
    # moto's own decorator mocking must stay off: clients in this process talk over HTTP.
    moto.core.models.botocore_stubber.enabled = False
    BackendDict.reset()
    reset_model_data()


def _call_tap(fn: Tap, seen: Tapped) -> None:
    try:
        fn(seen)
    except Exception:  # the call itself succeeded; its reply must not change
        log.exception("a tap on %s %s failed", seen.service, seen.operation)


@functools.cache
def _moto() -> MotoDispatcher:
    """moto's dispatcher, of which a process needs one: its routes stay the same, what it stores is kept elsewhere."""
    return MotoDispatcher()


@functools.cache
def _session() -> boto3.Session:
    """A session with the lab's keys that reads none of the user's AWS files; one for all servers, with its models."""
    core = botocore.session.Session()
    core.set_config_variable("config_file", os.devnull)
    core.set_config_variable("credentials_file", os.devnull)
    return boto3.Session(LAB_ACCESS_KEY, "lab", botocore_session=core)
