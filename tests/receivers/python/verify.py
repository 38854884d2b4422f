"""A receiver's verification in Python, with PyJWT alone. It trusts nothing that the token does not say."""

import json

import jwt

ALGORITHMS = ["ES256", "ES384", "RS256", "PS256", "EdDSA"]
REQUIRED_CLAIMS = ["iss", "aud", "iat", "exp", "jti", "evt", "data"]


def verify(body: bytes, jwks: jwt.PyJWKClient, audience: str, issuer: str) -> dict:
    """The claims of a delivery `{"event", "token"}`; raises `jwt.PyJWTError` when it is not ours to believe."""
    delivery = json.loads(body)
    token = delivery["token"]
    claims = jwt.decode(
        token,
        jwks.get_signing_key_from_jwt(token),
        algorithms=ALGORITHMS,
        audience=audience,
        issuer=issuer,
        options={"require": REQUIRED_CLAIMS},
    )
    if claims["evt"] != delivery["event"]:
        raise jwt.InvalidTokenError(f"the body says {delivery['event']}, the token {claims['evt']}")
    return claims
