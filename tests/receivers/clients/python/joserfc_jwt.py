"""joserfc, which fetches nothing by itself: the application keeps the key set, and fetches it again when it lacks a kid."""

import json
import threading
import time
import urllib.request

from joserfc import jwt
from joserfc.errors import InvalidKeyIdError
from joserfc.jwk import KeySet

from serve import AUDIENCE, COMPRESSION, ISSUER, JWKS_URL, serve

# The application's choice, and PyJWT's; divided as the lives of the keys are, for a compressed run is over before 5 min have
# passed.
KEPT_FOR_S = 300

CLAIMS = jwt.JWTClaimsRegistry(
    iss={"essential": True, "value": ISSUER},
    aud={"essential": True, "value": AUDIENCE},
    exp={"essential": True},
)


class CachedKeys:
    def __init__(self):
        self._turn = threading.Lock()
        self._keys = None
        self._fetched_at = 0.0

    def get(self):
        with self._turn:
            if self._keys is None or time.monotonic() - self._fetched_at > KEPT_FOR_S / COMPRESSION:
                self._fetch()
            return self._keys

    def renewed(self):
        with self._turn:
            self._fetch()
            return self._keys

    def _fetch(self):
        with urllib.request.urlopen(JWKS_URL, timeout=5) as response:
            self._keys = KeySet.import_key_set(json.load(response))
        self._fetched_at = time.monotonic()


KEYS = CachedKeys()


def verify(token):
    try:
        decoded = jwt.decode(token, KEYS.get(), algorithms=["ES256"])
    except InvalidKeyIdError:
        decoded = jwt.decode(token, KEYS.renewed(), algorithms=["ES256"])
    CLAIMS.validate(decoded.claims)


serve(verify)
