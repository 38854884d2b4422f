"""PyJWT with its own PyJWKClient, as its documentation has it."""

import jwt

from serve import AUDIENCE, COMPRESSION, ISSUER, JWKS_URL, serve

# PyJWT's defaults, divided as the lives of the keys are: on a compressed timeline the next but one signs within 30 s, and the
# run is over before 5 min have passed.
LIFESPAN_S = 300
COOLDOWN_S = 30

KEYS = jwt.PyJWKClient(JWKS_URL, lifespan=LIFESPAN_S / COMPRESSION, cooldown_duration=COOLDOWN_S / COMPRESSION)


def verify(token):
    key = KEYS.get_signing_key_from_jwt(token)
    jwt.decode(token, key, algorithms=["ES256"], audience=AUDIENCE, issuer=ISSUER)


serve(verify)
