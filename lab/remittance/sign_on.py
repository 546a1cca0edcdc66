"""TokenAuthorizer: whether a token was signed by the user pool, whose keys lie in the sign-on's Region alone."""

from __future__ import annotations

import time

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from lab import web
from lab.json_client import scope_headers
from lab.remittance.names import EAST

TIMEOUT_S = 3.0
"""Wall seconds for the keys: it measures this machine."""


class AuthorizerLost(Exception):
    """The authorizer itself failed: nobody knows whether the token is good."""


class TokenAuthorizer:
    """One Region's authorizer. pool: the user pool's id."""

    def __init__(self, aws_host: str, aws_port: int, pool: str) -> None:
        self._client = web.Client(aws_host, aws_port)
        self._path = f"/{pool}/.well-known/jwks.json"

    async def good(self, token: str) -> bool:
        """Whether the pool has signed it and it has not expired; AuthorizerLost without the pool's keys."""
        keys = await self._keys()
        try:
            claims = jwt.decode(token, keys, algorithms=["RS256"]).claims
        except (JoseError, ValueError):
            return False
        # The pool stamps its tokens by this machine's date, so that is what they are held against.
        return float(claims.get("exp", 0)) > time.time()

    async def _keys(self) -> KeySet:
        request = web.Request("GET", self._path, scope_headers(EAST, "cognito-idp"))
        try:
            response = await self._client.request(request, TIMEOUT_S)
            if response.status != 200:
                raise AuthorizerLost(f"the keys of the user pool: status {response.status}")
            return KeySet.import_key_set(response.json())
        except (OSError, TimeoutError, web.HttpError) as error:
            raise AuthorizerLost(f"the keys of the user pool: {error}") from error
