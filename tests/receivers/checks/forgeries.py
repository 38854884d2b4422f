"""Tokens that resemble a true one and that nobody may believe."""

import json

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from driver.tokens import altered, header_of, keyed_with_public_key, payload_of, unsigned


def beside(token, misdirected, jwks_url):
    """By what is wrong with them, the one under a kid that nobody has at last."""
    kid = header_of(token)["kid"]
    public_key = jwt.PyJWKClient(jwks_url).get_signing_key(kid).key
    return {
        "another's audience": misdirected,
        "an altered payload": altered(token, b'"number":', b'"numbex":'),
        "no signature": unsigned(token),
        "HS256 with the public key": keyed_with_public_key(token, public_key),
        "a stranger's signature": by_stranger(token, kid),
        "a stranger's key": by_stranger(token, "a-kid-that-nobody-has"),
    }


def by_stranger(token, kid):
    stranger = ec.generate_private_key(ec.SECP256R1())
    return jwt.encode(json.loads(payload_of(token)), stranger, algorithm="ES256", headers={"kid": kid})
