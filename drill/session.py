"""Sessions with AWS: whose credentials, from where, and whether they last.

Credentials are never read, written or handed on by the harness: a target names a profile and a role, botocore finds
and renews the keys. A child of the drill opens its own session from the same words.
"""

from __future__ import annotations

import functools
from typing import Any

import boto3
import botocore.loaders
import botocore.session
from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    CredentialProvider,
    CredentialResolver,
    DeferredRefreshableCredentials,
    RefreshableCredentials,
)
from botocore.exceptions import BotoCoreError, ClientError

from drill.errors import Refused
from drill.redact import keep_secret, redact
from drill.rights import Rights

STS = Config(connect_timeout=2.0, read_timeout=10.0, retries={"total_max_attempts": 3, "mode": "standard"})
"""Bounded retries and timeouts (wall seconds) for assuming a role."""
LAB_KEYS = {"aws_access_key_id": "lab", "aws_secret_access_key": "lab"}
EXPIRED = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "RequestExpired",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "InvalidToken",
    }
)
"""How AWS's services say that credentials have ended or are not known."""
NOT_RENEWED = frozenset({"env"})
"""Sources whose credentials carry an end but are only read again, never made anew."""
LONGEST_S = 365 * 86400.0


def open_session(endpoint_url: str | None, access: Rights, region: str | None = None) -> Any:
    """A boto3 session with the target's rights. No call is made yet.

    endpoint_url: a lab's, or None for AWS; region: where STS is asked, which must lie outside the blast radius.
    Refused when the profile does not exist.
    """
    try:
        core = _core(None if endpoint_url else access.profile)
        # A lab accepts any credentials, and must never be shown real ones.
        source = _session(core, **(LAB_KEYS if endpoint_url else {}))
    except BotoCoreError as error:
        raise Refused(f"[access] profile {access.profile!r}: {error}; see ~/.aws/config, or correct it") from error
    return source if access.role_arn is None else _assumed(source, endpoint_url, access, region)


def outlive(session: Any, wall_s: float) -> str:
    """How the session's credentials last at least `wall_s` wall seconds. Refused when they may not, or are none."""
    credentials = _credentials(session)
    if isinstance(credentials, RefreshableCredentials):
        if credentials.method not in NOT_RENEWED:
            return f"renewed as needed ({credentials.method})"
        if credentials.refresh_needed(refresh_in=min(wall_s, LONGEST_S)):
            raise Refused(f"the credentials ({credentials.method}) end within {wall_s:g} s of wall time; {_RENEW}")
        return f"last longer than {wall_s:g} s ({credentials.method})"
    if credentials.get_frozen_credentials().token:
        raise Refused(f"nobody knows when the session token ({credentials.method}) ends; {_RENEW}")
    return f"do not expire ({credentials.method})"


def failure(error: Exception) -> str:
    """AWS's words without secrets, and what to do about credentials that have ended."""
    words = redact(str(error))
    code = error.response.get("Error", {}).get("Code", "") if isinstance(error, ClientError) else ""
    missing = type(error).__name__ in ("NoCredentialsError", "CredentialRetrievalError", "TokenRetrievalError")
    return f"{words}; {_ENDED}" if code in EXPIRED or missing else words


_RENEW = "log in again for longer, or name a role, which is renewed by itself: [access] role_arn"
_ENDED = (
    "the credentials have ended or are none: log in again (aws sso login, AWS_PROFILE), then `drill restore` puts "
    "back what is still changed"
)


class _Assuming(CredentialProvider):  # type: ignore[misc]
    """The one provider of a session that has assumed a role."""

    METHOD = "assume-role"

    def __init__(self, fetcher: Any) -> None:
        super().__init__()
        self._fetcher = fetcher

    def load(self) -> Any:
        """Credentials that are fetched when first needed, and again before they end."""
        return DeferredRefreshableCredentials(
            refresh_using=functools.partial(_fetched, self._fetcher), method=self.METHOD
        )


def _core(profile: str | None) -> Any:
    """A session of botocore's that reads no service's model again which this process has read before."""
    core = botocore.session.Session(profile=profile)
    core.register_component("data_loader", _models(core.get_config_variable("data_path")))
    return core


@functools.cache
def _models(data_path: str | None) -> Any:
    return botocore.loaders.create_loader(data_path)


def _session(core: Any, **keys: str) -> Any:
    session = boto3.Session(botocore_session=core, **keys)
    paths = core.get_component("data_loader").search_paths
    paths[:] = dict.fromkeys(paths)  # each session of boto3's adds its own folder, here to one loader
    return session


def _assumed(source: Any, endpoint_url: str | None, access: Rights, region: str | None) -> Any:
    extra = {"RoleSessionName": access.session_name}
    extra |= {"ExternalId": access.external_id} if access.external_id else {}
    sts = functools.partial(source._session.create_client, region_name=region, endpoint_url=endpoint_url)
    creator = functools.partial(sts, config=STS)
    fetcher = AssumeRoleCredentialFetcher(creator, source.get_credentials(), access.role_arn, extra_args=extra)
    core = _core(access.profile)
    core.register_component("credential_provider", CredentialResolver([_Assuming(fetcher)]))
    return _session(core)


def _fetched(fetcher: Any) -> dict[str, Any]:
    """New credentials; from now on their secrets are known and never shown."""
    found = dict(fetcher.fetch_credentials())
    keep_secret(found["secret_key"], found["token"])
    return found


def _credentials(session: Any) -> Any:
    try:
        credentials = session.get_credentials()
    except BotoCoreError as error:
        raise Refused(f"there are no credentials: {failure(error)}") from error
    if credentials is None:
        raise Refused("there are no AWS credentials; log in (aws sso login, AWS_PROFILE), or set [access] profile")
    try:
        frozen = credentials.get_frozen_credentials()
    except (BotoCoreError, ClientError) as error:
        raise Refused(f"there are no credentials: {failure(error)}") from error
    keep_secret(frozen.secret_key, frozen.token)
    return credentials
