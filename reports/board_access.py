"""Who may open a board, and by whose token: one for everybody who may look, one for each role that may decide.

A browser types a token once and then holds a cookie, which is not the token. Whoever has the token of a role is taken
for that role; nobody else is, whatever they claim.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping

COOKIE = "failover-drill-board"


class Access:
    """shared: the token that lets in and names no role, None for none; roles: role -> its token.

    Without any token everybody is let in, and nobody is known by a role.
    """

    def __init__(self, shared: str | None = None, roles: Mapping[str, str] | None = None) -> None:
        self._tokens = {**({} if shared is None else {"": shared}), **(roles or {})}
        self._sessions = {role: secrets.token_urlsafe(32) for role in self._tokens}
        self.by_role = bool(roles)

    @property
    def free(self) -> bool:
        """Whether no token is needed."""
        return not self._tokens

    def role_of(self, token: str) -> str | None:
        """The role whose token it is, "" for the shared one; None for one that is none.

        Told in the same time whether nearly right or not at all.
        """
        return _found(self._tokens, token)

    def caller(self, bearer: str, cookie: str) -> str | None:
        """The role that somebody with this is known by, "" for none in particular; None for who is not let in."""
        if self.free:
            return ""
        by_token, by_cookie = _found(self._tokens, bearer), _found(self._sessions, cookie)
        return by_cookie if by_token is None else by_token

    def cookie(self, role: str) -> str:
        """The header that lets a browser in after it has typed that role's token."""
        return f"{COOKIE}={self._sessions[role]}; HttpOnly; SameSite=Strict; Path=/"


def _found(secrets_: Mapping[str, str], said: str) -> str | None:
    found = [role for role, secret in secrets_.items() if _same(said, secret)]
    return found[0] if found else None


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(*(hashlib.sha256(text.encode()).digest() for text in (one, other)))
