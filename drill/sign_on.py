"""Signing on to a system that serves nobody without a token: a synthetic user of its Cognito user pool.

Each process signs on for itself, so that no token is ever written down; `redact` knows it from then on.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from drill.errors import Invalid, Refused, UsageError
from drill.redact import keep_secret
from drill.write_path import Table

if TYPE_CHECKING:
    from drill.target import Target

CONNECT_S, READ_S, ATTEMPTS = 2.0, 5.0, 3
"""Wall seconds, and how often it is tried."""


class SignOn(Table):
    """Who writes: `user` of the user pool whose app client `client_id` allows USER_PASSWORD_AUTH.

    password_env: the environment variable with the password; password: only for a lab, whose users are nobody;
    header: the request header that carries the token.
    """

    region: str
    client_id: str = Field(min_length=1)
    user: str = Field(min_length=1)
    password_env: str = ""
    password: str = ""
    header: str = "Authorization"

    @model_validator(mode="after")
    def _one_password(self) -> SignOn:
        if bool(self.password_env) == bool(self.password):
            raise ValueError("either password_env (a real user's) or password (of a lab) must be given")
        return self


def signed_on(target: Target) -> dict[str, str]:
    """The headers that every request of a client must carry; {} for a system that asks for none.

    One token for each process. UsageError without the password; Invalid when the sign-on does not give a token;
    Refused when the token would end before the drill may.
    """
    how = target.sign_on
    if how is None:
        return {}
    password = how.password or os.environ.get(how.password_env, "")
    if not password:
        raise UsageError(f"[sign_on] of target {target.name}: set {how.password_env} to the password of {how.user}")
    token, lives_s = _token(how, password, target.connection.aws_endpoint)
    if target.kind == "aws" and lives_s < target.safety.max_duration_s:
        raise Refused(
            f"a token of {how.user} lives {lives_s:g} s and a drill may last {target.safety.max_duration_s:g} s: "
            "lower safety.max_duration_s, or let the app client's tokens live longer"
        )
    return {how.header: token}


@functools.lru_cache(maxsize=4)
def _token(how: SignOn, password: str, endpoint_url: str | None) -> tuple[str, float]:
    import botocore.session  # late: a target file is read by many who never sign on
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    config = Config(
        signature_version=UNSIGNED,
        connect_timeout=CONNECT_S,
        read_timeout=READ_S,
        retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
    )
    client = botocore.session.get_session().create_client(
        "cognito-idp", region_name=how.region, endpoint_url=endpoint_url, config=config
    )
    parameters = {"USERNAME": how.user, "PASSWORD": password}
    try:
        reply: dict[str, Any] = client.initiate_auth(
            ClientId=how.client_id, AuthFlow="USER_PASSWORD_AUTH", AuthParameters=parameters
        )
        result = reply["AuthenticationResult"]
    except (ClientError, BotoCoreError, KeyError) as error:
        raise Invalid(f"{how.user} could not sign on in {how.region}: {type(error).__name__}: {error}") from error
    token = str(result["IdToken"])
    keep_secret(token)
    return token, float(result["ExpiresIn"])
