"""The AWS side of the remittance lab: the API server, what makes it live, and the system's resources in it."""

from __future__ import annotations

import http.client
import json
import os
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from psycopg.conninfo import conninfo_to_dict

from lab.adapters import Aurora
from lab.aws.arc import ENDPOINT_REGIONS, Arc
from lab.aws.cloudwatch import AlarmEngine
from lab.aws.dynamodb import GlobalTables
from lab.aws.events import Events
from lab.aws.functions import FunctionContext, Functions
from lab.aws.rds import RdsGlobal
from lab.aws.route53 import Route53
from lab.aws.scheduler import Scheduler
from lab.aws.secrets import Secrets
from lab.aws.server import Tapped
from lab.aws.ssm import Automation
from lab.aws.stacks import Stacks
from lab.aws.synthetics import CanaryRunner
from lab.balancer import BalancerProcess
from lab.base_cloud import BaseCloud
from lab.knobs import KnobsWriter
from lab.postgres import PostgresPair
from lab.remittance import infra, names, runbook
from lab.remittance.names import EAST, PLACES, SERVING
from lab.tasks import Tasks

GATEWAY, EDGE = "gateway", "edge"
"""Names of the tasks, their services and target groups; the edge is an entrance beside those of the Regions."""
REQUEST_TIMEOUT_S = 3.0


class Gateways:
    """Where the names of API Gateway lead, for Route 53: the shared custom domains and each API's own name."""

    def __init__(self) -> None:
        self._places: dict[str, Sequence[str]] = {place.api_host: place.gateways for place in PLACES.values()}

    def assign(self, dns_name: str, region: str) -> None:
        """From now on the Region's API Gateway has that name too."""
        self._places[dns_name.lower()] = PLACES[region].gateways

    def addresses(self, dns_name: str) -> list[str]:
        """Addresses of the name; empty when unknown."""
        return list(self._places.get(dns_name.lower().rstrip("."), ()))

    def healthy(self, dns_name: str) -> bool:
        """For EvaluateTargetHealth: an API Gateway is there as long as its Region is."""
        return bool(self.addresses(dns_name))


class Cloud(BaseCloud):
    """Everything that lives in the world process."""

    account, aws_host, dns_host = names.ACCOUNT, names.AWS_HOST, names.DNS_HOST

    def open(self, pair: PostgresPair, runner: Tasks, entrances: Mapping[str, BalancerProcess]) -> None:
        """Start the API and its engines and create what the stacks create."""
        self._runner, self._pair = runner, pair
        self._http_port = entrances[EAST].port
        self._start_server()
        self._knobs = KnobsWriter(self._plan.state_dir / "knobs.json")
        self._arc = Arc(self._server, self._truth)
        self._gateways = Gateways()
        delay_s = self._settings["route53.propagation_s"]
        route53 = Route53(self._server, self._arc, self._gateways, self._clock, self._truth, delay_s)
        self._start_names(route53.answer, {region: place.resolver for region, place in PLACES.items()})
        self._start_engines()
        self._create()

    def gateway_config(self) -> dict[str, Any]:
        """What every gateway process is told, besides where it is."""
        return {
            "aws_host": names.AWS_HOST,
            "aws_port": self.aws_port,
            "knobs": str(self._knobs.path),
            "pool": self._pool,
            "authorizer_ttl_s": self._settings["apigateway.authorizer_ttl_s"],
            "addresses": self._endpoints,
        }

    def edge_config(self) -> dict[str, Any]:
        """What the content delivery network's process is told, besides where it is."""
        used = SERVING if self._settings["cloudfront.origin_group"] else SERVING[:1]
        origins = {region: names.BUCKETS[region] for region in used}
        return {"aws_host": names.AWS_HOST, "aws_port": self.aws_port, "origins": origins}

    def run(self) -> None:
        """Start what needs a database and wait until both Regions serve."""
        self._runner.start(EDGE, EDGE, EDGE)
        for region in SERVING:
            self._runner.start(region, GATEWAY, f"{GATEWAY}-{region}")
        self._await("the gateways are healthy", lambda: self._runner.await_healthy(1.0))
        self._await("a remittance is made and read back in both Regions", self._serves)
        for region in ENDPOINT_REGIONS[: self._settings["arc.endpoints_down"]]:
            self._arc.endpoint_down(region)
        self._server.misbehave(*self._settings["misbehave"])

    # -- engines ----------------------------------------------------------------------------------------------

    def _start_engines(self) -> None:
        server, clock, truth = self._server, self._clock, self._truth
        aurora = RdsGlobal(server, clock, truth, self._settings["rds.switchover_s"], self._settings["rds.failover_s"])
        aurora.attach(names.GLOBAL_CLUSTER, Aurora(self._pair))
        self._closers.callback(aurora.stop)
        Secrets(server)
        self._functions = Functions(server, clock, truth, self._plan.state_dir)
        for engine in (
            GlobalTables(server, clock, truth, 1.0),
            self._functions,
            Events(server, clock, truth),
            AlarmEngine(server, clock, truth),
            Automation(server, clock, truth),
            CanaryRunner(server, clock, truth, {}),
            Scheduler(server, clock, truth),
            Stacks(),
        ):
            self._closers.callback(engine.stop)
            engine.start()

    def _create(self) -> None:
        # A target file names the app client: its id must be the same in every lab.
        os.environ["MOTO_COGNITO_IDP_USER_POOL_ID_STRATEGY"] = "HASH"
        os.environ["MOTO_COGNITO_IDP_USER_POOL_CLIENT_ID_STRATEGY"] = "HASH"
        client = self._server.client
        self._endpoints = infra.database(client)
        infra.functions(lambda region, name: self._functions.register(region, name, _through_the_api))
        self._apis = {region: infra.api(client, region) for region in SERVING}
        for region, made in self._apis.items():
            self._gateways.assign(made.dns_name, region)
        route = infra.routing(client, on=self._settings["arc.start"] != "off")
        infra.zone(client, self._apis, route)
        infra.secrets(client, route, self._connection())
        self._pool = infra.user_pool(client)
        infra.page(client)
        runbook.deploy(client)
        self._tap()

    def _connection(self) -> dict[str, Any]:
        """The database secret as it is at first: its host is the instance's endpoint, later a cluster's."""
        host = next(name for name in self._endpoints if name.startswith(PLACES[EAST].instance))
        reached = conninfo_to_dict(self._pair.conninfo(EAST))
        names_of = {"username": "user", "password": "password", "port": "port", "dbname": "dbname"}
        return {"host": host, **{name: reached[key] for name, key in names_of.items()}}

    # -- what the data plane obeys ----------------------------------------------------------------------------

    def _tap(self) -> None:
        self._limits: dict[str, dict[str, Any]] = {region: {} for region in SERVING}
        self._updates = 0
        self._server.tap("lambda", {"PutFunctionConcurrency", "DeleteFunctionConcurrency"}, self._concurrency)
        self._server.tap("apigateway", {"UpdateStage"}, self._throttle)
        self._server.tap("secretsmanager", {"PutSecretValue"}, self._secret)
        self._server.tap(
            "route53-recovery-cluster", {"UpdateRoutingControlState", "UpdateRoutingControlStates"}, self._turned
        )

    def _concurrency(self, seen: Tapped) -> None:
        from moto.awslambda.utils import get_backend

        functions = {name: get_backend(names.ACCOUNT, seen.region).get_function(name) for name in names.FUNCTIONS}
        reserved = {name: found.reserved_concurrency for name, found in functions.items()}
        limits = {name: int(value) for name, value in reserved.items() if value is not None}
        self._set(seen.region, concurrency=limits)

    def _throttle(self, seen: Tapped) -> None:
        from moto.apigateway.models import apigateway_backends

        backend = apigateway_backends[names.ACCOUNT][seen.region]
        every = backend.get_stage(self._apis[seen.region].id, names.STAGE).method_settings.get("*/*", {})
        self._set(seen.region, throttle=every.get("throttlingRateLimit"))

    def _set(self, region: str, **values: Any) -> None:
        self._limits[region] |= values
        self._knobs.set(region, self._limits[region])
        self._truth.record("knobs", region=region, **values)

    def _secret(self, seen: Tapped) -> None:
        if seen.params.get("SecretId") == "database":
            self._truth.record("secret", region=seen.region)

    def _turned(self, seen: Tapped) -> None:
        """After so many updates the cluster's first endpoint is gone: between the toggles of a runbook, say."""
        self._updates += 1
        if self._updates == self._settings["arc.first_fails_after"]:
            self._arc.endpoint_down(ENDPOINT_REGIONS[0])

    # -- readiness --------------------------------------------------------------------------------------------

    def _serves(self) -> bool:
        """A remittance that one Region takes is read in each."""
        account = f"lab-{uuid.uuid4()}"
        body = {
            "senderName": "lab", "senderBank": "lab", "senderAccount": account, "receiverName": "lab",
            "receiverBank": "lab", "receiverAccount": "lab", "amount": 1,
        }  # fmt: skip
        try:
            if self._ask(EAST, "POST", "/create-remittance", json.dumps(body)) != 200:
                return False
            return all(self._ask(region, "GET", f"/get-remittance/{account}") == 200 for region in SERVING)
        except (OSError, http.client.HTTPException):
            return False

    def _ask(self, region: str, method: str, path: str, body: str | None = None) -> int:
        connection = http.client.HTTPConnection(
            PLACES[region].gateways[0], self._http_port, timeout=REQUEST_TIMEOUT_S
        )
        try:
            connection.request(method, path, body, {"Authorization": self._token()})
            return connection.getresponse().status
        finally:
            connection.close()

    def _token(self) -> str:
        cognito = self._server.client("cognito-idp", EAST)
        client = cognito.list_user_pool_clients(UserPoolId=self._pool)["UserPoolClients"][0]["ClientId"]
        parameters = {"USERNAME": names.USER, "PASSWORD": names.PASSWORD}
        reply = cognito.initiate_auth(ClientId=client, AuthFlow="USER_PASSWORD_AUTH", AuthParameters=parameters)
        return str(reply["AuthenticationResult"]["IdToken"])


def _through_the_api(event: dict[str, Any], context: FunctionContext) -> Any:
    """The functions run in the gateways' processes; nobody of this system invokes them by Lambda's own API."""
    raise NotImplementedError(f"this lab plays {context.function_name} behind API Gateway only")
