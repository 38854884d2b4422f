"""Verifies what was received, with PyJWT and the key set that the nodes published, as of the instant of its arrival."""

import jwt

ALGORITHMS = ["ES256"]
REQUIRED_CLAIMS = ["iss", "aud", "iat", "exp", "jti", "evt", "data"]
# The journal's instants are judged below: its tokens are read long after they came.
OPTIONS = {"require": REQUIRED_CLAIMS, "verify_exp": False, "verify_iat": False}


class Verifier:
    """`key_sets` are what the nodes publish; they should not differ, and another check says so when they do."""

    def __init__(self, key_sets, issuer, receiver_url):
        self._keys = {key.key_id: key for text in key_sets for key in jwt.PyJWKSet.from_json(text).keys}
        self._issuer = issuer
        self._receiver_url = receiver_url

    def claims_of(self, request):
        """The claims of a noted request; raises `jwt.PyJWTError` when a receiver could not have believed it."""
        token = request["token"]
        kid = jwt.get_unverified_header(token).get("kid")
        if kid not in self._keys:
            raise jwt.InvalidTokenError(f"no node publishes the key {kid}")
        audience = self._receiver_url + request["door"]
        claims = jwt.decode(token, self._keys[kid], ALGORITHMS, OPTIONS, audience=audience, issuer=self._issuer)
        if not claims["iat"] <= request["wall"] < claims["exp"]:
            raise jwt.InvalidTokenError(f"it is of {claims['iat']} to {claims['exp']} and came at {request['wall']}")
        for claim, told in [("jti", request["webhook_id"]), ("evt", request["event"])]:
            if claims[claim] != told:
                raise jwt.InvalidTokenError(f"its {claim} is {claims[claim]}, the request says {told}")
        return claims
