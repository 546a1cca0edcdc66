"""Keys from PEM files, for signing evidence and for checking it.

openssl genpkey -algorithm ed25519 -out drill-key.pem
openssl pkey -in drill-key.pem -pubout -out drill-key.pub.pem
"""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from securesystemslib.exceptions import Error as SecureSystemsError
from securesystemslib.signer import CryptoSigner, SSlibKey

from drill.errors import UsageError

PASSWORD = "DRILL_KEY_PASSWORD"
"""The environment variable with the password of an encrypted private key."""
UNUSABLE = (OSError, ValueError, TypeError, UnsupportedAlgorithm, SecureSystemsError)


def load_signer(path: Path) -> CryptoSigner:
    """The signer of a private key (Ed25519, ECDSA, RSA). UsageError when the file is none, or its password wrong."""
    password = os.environ.get(PASSWORD)
    try:
        key = load_pem_private_key(path.read_bytes(), password.encode() if password else None)
        return CryptoSigner(key)
    except UNUSABLE as error:
        raise UsageError(
            f"{path}: no private key that can sign ({_line(error)}); make one with: openssl genpkey -algorithm "
            f"ed25519 -out {path.name} (the password of an encrypted one is taken from {PASSWORD})"
        ) from error


def load_public_key(path: Path) -> SSlibKey:
    """A public key. UsageError when the file is none."""
    try:
        return SSlibKey.from_crypto(load_pem_public_key(path.read_bytes()))
    except UNUSABLE as error:
        raise UsageError(
            f"{path}: no public key ({_line(error)}); get it from the private one with: openssl pkey -in KEY -pubout"
        ) from error


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
