"""No secret, token or signature in what is kept: everything that other parties say passes through here.

Used where words enter evidence (timeline, observations, requests, journal, header) and errors. What is known to be
secret (`keep_secret`: the drill's own credentials) is taken out wherever it stands; the rest is known by its form.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

HIDDEN = "[redacted]"
SHORTEST = 8
"""A known secret shorter than this is not searched for: it would take words apart ("lab")."""
NAMES = (
    r"aws_secret_access_key|aws_session_token|secret_?access_?key|session_?token|security_?token|secret_?key"
    r"|x-amz-security-token|x-amz-signature|x-amz-credential|authorization|proxy-authorization|x-api-key"
    r"|api_?key|access_?token|refresh_?token|id_?token|client_?secret|password|passwd|set-cookie|cookie|signature"
)
_FORMS = (
    # An Authorization header, whole, however its scheme looks; a signature's parts also without the header's name.
    re.compile(r"(?i)(?P<keep>(?<![a-z])authorization[\"']?\s*[:=]\s*+[\"']?+)(?P<hide>(?!\[redacted\])[^\"'\n]+)"),
    re.compile(r"AWS4-HMAC-SHA256\s+Credential=[^\s\"']+[^\"'\n]*?Signature=[0-9a-fA-F]+"),
    re.compile(r"\b(?:Bearer|Basic)\s+[A-Za-z0-9+/=._~-]{8,}"),
    # NAME=value, NAME: value, "NAME": "value", in text, JSON, headers and query strings.
    re.compile(
        rf"(?i)(?P<keep>(?<![a-z])(?:{NAMES})[\"']?\s*(?:[:=]|%3D)\s*+[\"']?+)(?P<hide>(?!\[redacted\])[^\s\"'&,;)}}\]<]+)"
    ),
    re.compile(
        r"(?i)(?P<keep><(?P<tag>SecretAccessKey|SessionToken|SignatureProvided)>)(?P<hide>(?!\[redacted\])[^<]+)"
    ),
    re.compile(r"(?P<keep>://)(?P<hide>(?!\[redacted\])[^/\s@:\"']+:[^/\s@\"']+)(?=@)"),
    re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b"),
    re.compile(r"\bIQoJb3JpZ2lu[A-Za-z0-9+/=%]{20,}"),  # how the session tokens of STS begin
)
_known: set[str] = set()
T = TypeVar("T")


def keep_secret(*values: str | None) -> None:
    """From now on these texts are hidden wherever they would be shown. Nothing for None and short ones."""
    _known.update(value for value in values if value and len(value) >= SHORTEST)


def redact(text: str) -> str:
    """The text without secrets."""
    for value in sorted(_known, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    for form in _FORMS:
        text = form.sub(_hidden, text)
    return text


def redacted(data: T) -> T:
    """JSON-like data with every text in it redacted; the value of a key that names a secret is hidden whole."""
    return _walk(data)  # type: ignore[no-any-return]


def _hidden(match: re.Match[str]) -> str:
    return f"{match['keep'] if 'keep' in match.re.groupindex else ''}{HIDDEN}"


_SECRET_NAME = re.compile(rf"(?i)(?:.*[^a-z])?(?:{NAMES})")
"""DB_PASSWORD is one as well, as it is in a text."""


def _walk(data: Any) -> Any:
    if isinstance(data, str):
        return redact(data)
    if isinstance(data, Mapping):
        return {key: _of(str(key), value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_walk(item) for item in data]
    return data


def _of(key: str, value: Any) -> Any:
    return HIDDEN if isinstance(value, str) and value and _SECRET_NAME.fullmatch(key) else _walk(value)
