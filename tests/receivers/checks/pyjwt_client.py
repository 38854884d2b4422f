"""PyJWT's own JWKS client accepts what Signet sends, and refuses everything that only looks like it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from unittest.mock import patch

import jwt

from driver.tokens import altered, header_of, keyed_with_public_key, replaced, token_of, unsigned
from python.verify import verify

TITLE = "PyJWKClient can be tried"
USER = b'{"id":"usr_1","role":"user"}'
LATER_S = 400


@dataclass(frozen=True)
class Received:
    """A delivery together with what its rightful receiver knows."""

    body: bytes
    jwks: jwt.PyJWKClient
    audience: str
    issuer: str

    @property
    def token(self):
        return token_of(self.body)


class LaterClock(datetime):
    @classmethod
    def now(cls, tz=None):
        return super().now(tz) + timedelta(seconds=LATER_S)


def check(report, stage, signet):
    for algorithm in ["RS256", "EdDSA"]:
        tenant = signet.create_tenant(name=algorithm.lower(), algorithm=algorithm)
        received = receive(stage, tenant, f"/{algorithm.lower()}")
        report.check(f"PyJWKClient accepts a delivery of an {algorithm} tenant", accepts, received, algorithm)

    ours = receive(stage, signet, "/es256")
    report.check("PyJWKClient accepts a delivery of an ES256 tenant, the default", accepts, ours, "ES256")
    check_refusals(report, ours)
    report.check(f"PyJWT refuses the token {LATER_S} s later", refuses_later, ours)

    theirs = receive(stage, signet.create_tenant(name="other"), "/other")
    report.check("PyJWKClient accepts another tenant's delivery under that tenant's issuer", accepts, theirs, "ES256")
    forged = Received(theirs.body, ours.jwks, theirs.audience, ours.issuer)
    report.check("PyJWKClient refuses another tenant's token", refuses, forged, jwt.PyJWKClientError)
    forged = Received(theirs.body, theirs.jwks, theirs.audience, ours.issuer)
    report.check("PyJWT refuses another tenant's token by its issuer alone", refuses, forged, jwt.InvalidIssuerError)


def check_refusals(report, ours):
    public_key = ours.jwks.get_signing_key_from_jwt(ours.token).key
    tampered = altered(ours.token, b'"role":"user"', b'"role":"usez"')
    confused = keyed_with_public_key(ours.token, public_key)
    elsewhere = f"{ours.audience}/elsewhere"

    for sentence, forged, error in [
        ("for another audience", changed(ours, audience=elsewhere), jwt.InvalidAudienceError),
        ("of another issuer", changed(ours, issuer=f"{ours.issuer}/elsewhere"), jwt.InvalidIssuerError),
        ("with an altered payload", changed(ours, token=tampered), jwt.InvalidSignatureError),
        ("with alg none", changed(ours, token=unsigned(ours.token)), jwt.InvalidAlgorithmError),
        ("signed HS256 with the public key", changed(ours, token=confused), jwt.InvalidAlgorithmError),
        ("under another event's name", changed(ours, event="user.deleted"), jwt.InvalidTokenError),
    ]:
        report.check(f"PyJWT refuses a token {sentence}", refuses, forged, error)


def receive(stage, signet, path):
    """The audience is the webhook's URL without its query."""
    url = f"{stage.inbox.url}{path}"
    signet.create_webhook(f"{url}?team=7", ["user.created"])
    signet.publish("user.created", USER)
    return Received(stage.inbox.first_at(path).body, jwt.PyJWKClient(signet.jwks_url), url, signet.issuer)


def changed(received, audience=None, issuer=None, **members):
    return Received(
        replaced(received.body, **members), received.jwks, audience or received.audience, issuer or received.issuer
    )


def accepts(received, algorithm):
    claims = verify(received.body, received.jwks, received.audience, received.issuer)

    assert claims["evt"] == "user.created", f"evt is {claims['evt']}"
    assert claims["data"] == {"id": "usr_1", "role": "user"}, f"data is {claims['data']}"
    assert header_of(received.token)["alg"] == algorithm, f"the header is {header_of(received.token)}"


def refuses(received, error):
    """Refused for this very reason: any other would prove nothing about the forgery."""
    try:
        verify(received.body, received.jwks, received.audience, received.issuer)
    except jwt.PyJWTError as refusal:
        if type(refusal) is not error:
            raise
    else:
        raise AssertionError("it was accepted")


def refuses_later(received):
    with patch("jwt.api_jwt.datetime", LaterClock):
        refuses(received, jwt.ExpiredSignatureError)
