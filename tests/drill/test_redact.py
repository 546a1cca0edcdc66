"""What must not be kept is hidden, in every form in which AWS, HTTP and people put it; nothing else is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drill.redact import HIDDEN, keep_secret, redact, redacted

SIGNATURE = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
TOKEN = "FwoGZXIvYXdzEBYaDPlantedPlantedPlanted+/="
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYPLANTEDKEY"
KEY_ID = "AKIAIOSFODNN7PLANTED"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: AWS4-HMAC-SHA256 Credential={KEY_ID}/20261122/us-west-2/ecs/aws4_request, "
        f"SignedHeaders=host;x-amz-date, Signature={SIGNATURE}",
        f"AWS4-HMAC-SHA256 Credential={KEY_ID}/2026/ecs/aws4_request, SignedHeaders=host, Signature={SIGNATURE}",
        f"https://h/?X-Amz-Credential={KEY_ID}%2F2026&X-Amz-Security-Token={TOKEN}&X-Amz-Signature={SIGNATURE}",
        json.dumps({"Credentials": {"SecretAccessKey": SECRET, "SessionToken": TOKEN}}),
        f"<SecretAccessKey>{SECRET}</SecretAccessKey><SessionToken>{TOKEN}</SessionToken>",
        f"The Canonical String should have been\nhost:h\nx-amz-security-token:{TOKEN}\n",
        f"AWS_SECRET_ACCESS_KEY={SECRET} AWS_SESSION_TOKEN={TOKEN}",
        f"aws_secret_access_key = {SECRET}",
        f"Authorization: Bearer {TOKEN}",
        f"{{'Authorization': 'Digest username={SECRET}, response={SIGNATURE}'}}",
        f"Cookie: session={TOKEN}",
        f"--set password={SECRET}",
        f"postgresql://bank:{SECRET}@db/x".replace("/K7MDENG/", "."),
        f"the key {KEY_ID} does not exist",
    ],
)
def test_secrets_are_hidden_in_every_form(text: str) -> None:
    """No secret, token, signature or key id is left; hiding twice is hiding once."""
    told = redact(text)
    assert HIDDEN in told
    for planted in (SECRET, TOKEN, SIGNATURE, KEY_ID):
        assert planted not in told
    assert redact(told) == told


@pytest.mark.parametrize(
    "text",
    [
        "ecs:UpdateService in ap-northeast-1 failed: An error occurred (ThrottlingException): Rate exceeded",
        "arn:aws:ecs:ap-northeast-1:111111111111:service/bank/SampleMultiRegionAppTransactionFargateServiceA1",
        "The request signature we calculated does not match the signature you provided.",
        "arn:aws:secretsmanager:us-west-2:111111111111:secret:bank/db",
        "the security token included in the request is expired",
        "http://api.example.com:8080/transaction/deposit",
        "drill --target core-banking --set objectives.rto_s=300",
        f"evidence {SIGNATURE}",
    ],
)
def test_everything_else_stays_as_it_is(text: str) -> None:
    """What a person needs to act on is not taken away; digests of evidence are no signatures."""
    assert redact(text) == text


def test_what_is_known_to_be_secret_is_hidden_wherever_it_stands() -> None:
    """Without a name before it and inside other words; a short one would take words apart and is not searched for."""
    keep_secret("planted-known-secret", "lab", None)
    assert redact("see xplanted-known-secretx in the lab") == f"see x{HIDDEN}x in the lab"


def test_data_is_walked_through() -> None:
    """Every text at every depth, whole values under telling names; numbers and shape stay."""
    data = {"a": [1, (f"Bearer {TOKEN}",)], "Password": "hunter2", "password": "", "n": None, "max_tokens": 5}
    data |= {"DB_PASSWORD": "hunter2", "db_passwords": "none", "mypassword": "kept, as in a text"}
    told = {"DB_PASSWORD": HIDDEN, "db_passwords": "none", "mypassword": "kept, as in a text"}
    assert (
        redacted(data) == {"a": [1, [HIDDEN]], "Password": HIDDEN, "password": "", "n": None, "max_tokens": 5} | told
    )


@given(st.text(alphabet=st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=80))
def test_hiding_twice_is_hiding_once(text: str) -> None:
    """Whatever the text: evidence that is copied from evidence does not change."""
    assert redact(redact(text)) == redact(text)
