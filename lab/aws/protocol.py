"""Requests and replies of the AWS API: credential scopes, operations, parameters, typed errors.

Everything that must know botocore's service models or moto's request types is here; the protocols themselves
(query, JSON, REST, CBOR) are read and written by moto from those models.
"""

from __future__ import annotations

import io
import json
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar
from urllib.parse import unquote

from botocore.exceptions import UnknownServiceError
from moto.core.exceptions import ServiceException
from moto.core.model import OperationModel
from moto.core.request import (
    PRESERVED_HEADER_NAMES_ENVIRON_KEY,
    Request,
    determine_request_protocol,
    environ_key_for_header,
    should_preserve_original_header_name,
)
from moto.core.responses import BaseResponse
from moto.core.serialize import get_serializer_class
from moto.core.utils import get_service_model
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from lab.aws.wire import HttpReply, HttpRequest

T = TypeVar("T")

_SCOPE = re.compile(r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/aws4_request")
_SCOPE_4A = re.compile(r"AWS4-ECDSA-P256-SHA256 Credential=([^/]+)/(\d+)/([^/]+)/aws4_request")

_ACCESS_KEY = re.compile(r"Credential=([^/]+)/")

BOTOCORE_NAME = {
    "monitoring": "cloudwatch",
    "states": "stepfunctions",
    "elasticloadbalancing": "elbv2",
    "eventbridge": "events",
    "tagging": "resourcegroupstaggingapi",
    "email": "ses",
    "servicequotas": "service-quotas",
}
"""Signing names that differ from botocore's service names, by which all other code calls the services."""


UNROUTED = ("s3",)
"""Services whose operations cannot be told by moto's generic routing: paths of their models begin with no slash."""


class AwsError(ServiceException):
    """An API error by its code: AwsError("GlobalClusterNotFoundFault", "sentence"). It lives outside the moto
    package because moto looks its own errors up by module name."""


@dataclass(frozen=True)
class ApiCall:
    """One request with its credential scope; service is botocore's name, "" when the call is unsigned."""

    region: str
    service: str
    http: HttpRequest

    @property
    def target_operation(self) -> str:
        """The operation in the X-Amz-Target header of the JSON protocols; "" for the others."""
        return self.http.headers.get("x-amz-target", "").rpartition(".")[2]


@dataclass(frozen=True)
class Tapped:
    """A successful call, as a tap sees it; params are named as in botocore's model."""

    region: str
    service: str
    operation: str
    params: dict[str, Any]


Service = Callable[[ApiCall], HttpReply]
Tap = Callable[[Tapped], None]


def scoped(request: HttpRequest, account: str, home: str = "us-east-1") -> ApiCall:
    """Read region and service from the Authorization header and name the owning account for moto.

    SigV4A (global endpoints) carries no Region in its scope but a set in a header; moto does not know it and
    would take the call for S3, so the scope is rewritten to the first Region of the set, or to `home` if it is all.
    """
    headers = {**request.headers, "x-moto-account-id": account}
    if found := _SCOPE_4A.search(headers.get("authorization", "")):
        region = headers.get("x-amz-region-set", "*").split(",")[0].replace("*", home)
        scope = f"{found[1]}/{found[2]}/{region}/{found[3]}/aws4_request"
        headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=x, Signature=x"
    http = HttpRequest(request.method, request.target, headers, request.body)
    found = _SCOPE.search(headers.get("authorization", ""))
    if not found:
        # Signing on is not signed itself: nobody has credentials yet.
        signs_on = headers.get("x-amz-target", "").startswith("AWSCognitoIdentityProviderService.")
        return ApiCall("us-east-1", "cognito-idp" if signs_on else "", http)
    service = BOTOCORE_NAME.get(found[2], found[2])
    # Classic load balancers share the signing name and differ by the API version in the body.
    if service == "elbv2" and b"Version=2012-06-01" in request.body:
        service = "elb"
    return ApiCall(found[1], service, http)


def wsgi_environ(http: HttpRequest) -> dict[str, Any]:
    """The request as WSGI (PEP 3333) wants it."""
    path, _, query = http.target.partition("?")
    host, _, port = http.headers.get("host", "localhost").partition(":")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": http.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(path, "latin-1"),
        "QUERY_STRING": query,
        "RAW_URI": http.target,
        "REQUEST_URI": http.target,
        "SERVER_NAME": host,
        "SERVER_PORT": port or "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(http.body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    environ.update({environ_key_for_header(name): value for name, value in http.headers.items()})
    environ["CONTENT_LENGTH"] = str(len(http.body))
    environ[PRESERVED_HEADER_NAMES_ENVIRON_KEY] = {
        environ_key_for_header(name): name for name in http.headers if should_preserve_original_header_name(name)
    }
    return environ


class _WsgiRequest(Request):
    """moto's request type, which then leaves the Date header to the server."""

    from_wsgi_server = True


class MotoDispatcher(DomainDispatcherApplication):
    """moto's own dispatcher, called without a socket; raises what moto raises."""

    def __init__(self) -> None:
        super().__init__(create_backend_app)
        self._backends: dict[str | None, Any] = {}

    def get_backend_for_host(self, host: str | None) -> Any:
        """Cached: moto lists its package directory anew for every request."""
        if host not in self._backends:
            self._backends[host] = super().get_backend_for_host(host)
        return self._backends[host]

    def infer_service_region_host(self, environ: dict[str, Any], path: str) -> str | None:
        """As moto does, but a service that moto does not know is NotImplementedError, not a crash."""
        host: str | None = super().infer_service_region_host(environ, path)
        if host is not None and self.get_backend_for_host(host) is None:
            raise NotImplementedError(host)
        return host

    def answer(self, call: ApiCall) -> HttpReply:
        """Answer one call; raises NotImplementedError for an operation that moto lacks."""
        status: list[int] = []
        headers: dict[str, str] = {}

        def start(line: str, pairs: list[tuple[str, str]], _exc: object = None) -> Callable[[bytes], None]:
            status[:] = [int(line.split(" ", 1)[0])]
            headers.update(pairs)
            return lambda _data: None

        environ = wsgi_environ(call.http)
        body = b"".join(self.get_application(environ)(environ, start))
        # An operation without a URL rule ends in Flask's own HTML page.
        if status[0] in {404, 405} and headers.get("Content-Type", "").startswith("text/html"):
            raise NotImplementedError(f"no route for {call.http.method} {call.http.path}")
        return HttpReply(status[0], headers, body)


def dispatch(responses: type[BaseResponse], call: ApiCall) -> HttpReply:
    """Answer one call with a moto response class."""
    status, headers, body = responses.dispatch(_WsgiRequest(wsgi_environ(call.http)))
    raw = body.encode() if isinstance(body, str) else body
    return HttpReply(int(status), {str(k): str(v) for k, v in headers.items()}, raw)


def _reader(call: ApiCall, parse: bool) -> Any:
    reader = BaseResponse(service_name=call.service)
    reader.automated_parameter_parsing = parse
    reader.setup_class(_WsgiRequest(wsgi_environ(call.http)))
    return reader


def operation_of(call: ApiCall) -> str:
    """The operation's name, e.g. "DescribeClusters"; the request line when it is none of the service's."""
    name = call.target_operation
    if not name and call.service not in UNROUTED and _known(call.service):
        name = _reader(call, parse=False)._get_action()
    return name or f"{call.http.method} {call.http.path}"


def tapped(call: ApiCall) -> Tapped:
    """Operation and parameters of a call, parsed by botocore's model."""
    reader = _reader(call, parse=True)
    return Tapped(call.region, call.service, reader._get_action(), dict(reader.params))


@cache
def _known(service: str) -> bool:
    try:
        get_service_model(service)
    except UnknownServiceError:
        return False
    return True


def error_reply(call: ApiCall, status: int, code: str, message: str) -> HttpReply:
    """A typed error in the protocol of the call's service (JSON when botocore knows no such service)."""
    if not _known(call.service):
        body = json.dumps({"__type": code, "message": message}).encode()
        headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amzn-Errortype": code}
        return HttpReply(status, headers, body)
    model = get_service_model(call.service)
    protocol = _protocol(call)
    serializer = get_serializer_class(model.service_name, protocol)(OperationModel({}, model))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # moto warns of codes outside the model; these are AWS's common ones
        done = serializer.serialize(AwsError(code, message))
    body = done["body"] if isinstance(done["body"], bytes) else done["body"].encode()
    return HttpReply(status, {str(k): str(v) for k, v in done["headers"].items()}, body)


_REFUSALS: dict[str, dict[str, tuple[int, str]]] = {
    "throttle": {
        "query": (400, "Throttling"),
        "ec2": (503, "RequestLimitExceeded"),
        "rest-xml": (400, "Throttling"),
        "rest-json": (429, "TooManyRequestsException"),
        "": (400, "ThrottlingException"),
    },
    "expired": {
        "query": (403, "ExpiredToken"),
        "ec2": (400, "RequestExpired"),
        "rest-xml": (403, "ExpiredToken"),
        "rest-json": (403, "ExpiredTokenException"),
        "": (400, "ExpiredTokenException"),
    },
    "error": {"": (500, "InternalFailure")},
    "unavailable": {"": (503, "ServiceUnavailable")},
}
"""Status and code by protocol, "" for all others (AWS's common errors of each)."""
_SAID = {
    "throttle": "Rate exceeded",
    "expired": "The security token included in the request is expired",
    "error": "An internal error occurred",
    "unavailable": "Service is unable to handle request",
}


def misbehaving_reply(call: ApiCall, manner: str) -> HttpReply:
    """What a call is told that the lab does not serve on purpose. manner: a key of _REFUSALS."""
    protocol = _protocol(call) if _known(call.service) else ""
    codes = _REFUSALS[manner]
    status, code = codes.get(protocol, codes[""])
    if call.service == "s3" and manner == "throttle":
        status, code = 503, "SlowDown"
    return error_reply(call, status, code, _SAID[manner])


def access_key_of(call: ApiCall) -> str:
    """The access key id that signed the call, "" when nobody did."""
    found = _ACCESS_KEY.search(call.http.headers.get("authorization", ""))
    return found[1] if found else ""


def _protocol(call: ApiCall) -> str:
    return str(determine_request_protocol(get_service_model(call.service), call.http.headers.get("content-type")))


def page(items: Sequence[T], limit: int, token: str | None) -> tuple[list[T], str | None]:
    """One page of at most `limit` items and the token of the next one (None at the end).

    A token is the position as text. Raises AwsError ValidationException for one that is not ours.
    """
    if token is not None and not (token.isdigit() and int(token) <= len(items)):
        raise AwsError("ValidationException", f"not a token of this listing: {token!r}")
    start = int(token or 0)
    end = start + max(1, limit)
    return list(items[start:end]), str(end) if end < len(items) else None
