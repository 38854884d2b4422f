"""What Schemathesis cannot draw from a schema: values that mean something to the server."""

import datetime
import itertools
import json
import os
import urllib.error
import urllib.request
from urllib.parse import quote

import schemathesis
from hypothesis import strategies

URL = os.environ["SIGNET_URL"]
AUTHORIZATION = {"Authorization": f"Bearer {os.environ['SIGNET_KEY']}"}
RECEIVER = os.environ["SIGNET_RECEIVER"]
UTC = datetime.timezone.utc
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

# A receiver on this machine: nothing is sent elsewhere.
paths = strategies.text("abcdefghijklmnopqrstuvwxyz0123456789-_/", max_size=20)
schemathesis.openapi.format("webhook-url", paths.map(lambda path: f"{RECEIVER}/{path}"))

schemathesis.openapi.format("event-base", paths.map(lambda path: f"https://example.com/{path}/"))

schemathesis.openapi.format("event-base", paths.map(lambda path: f"https://example.com/{path}/"))

# From 1970 on, which is as far back as events reach.
instants = strategies.datetimes(
    min_value=datetime.datetime(1970, 1, 2),
    max_value=datetime.datetime(9999, 12, 30),
    timezones=strategies.just(UTC),
)
schemathesis.openapi.format("date-time", instants.map(lambda instant: instant.isoformat().replace("+00:00", "Z")))

numbers = itertools.count()

# Bob's of RFC 8037, appendix A.6.
ENCRYPTION_KEY = {"kty": "OKP", "crv": "X25519", "x": "3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08"}


@schemathesis.hook
def before_call(context, case, kwargs):
    """Requests that are meant to be carried out name a cursor of the very list, and themselves as nobody else did."""
    generation = case.meta and case.meta.generation
    if not generation or not generation.mode.is_positive:
        return
    if case.query and "cursor" in case.query:
        cursor = next_cursor(case)
        case.query.pop("cursor")
        if cursor:
            case.query["cursor"] = cursor
    if case.operation.definition.raw.get("operationId") == "changeTenant" and isinstance(case.body, dict):
        # A closed catalogue refuses what other requests are right to expect, and schemas do too.
        case.body.pop("catalogue", None)
    if isinstance(case.body, dict) and "secret" in case.body and case.body.get("format") not in ("signed", "action"):
        # Which secrets there are depends on the webhook's format, which a rotation does not name.
        case.body["secret"] = SECRET
    if isinstance(case.body, dict) and isinstance(case.body.get("encryption"), dict):
        if "jwk" in case.body["encryption"]:
            # Few texts are points on a curve.
            case.body["encryption"]["jwk"] = ENCRYPTION_KEY
        if case.body.get("format") == "action":
            # Its receivers do not know data that is encrypted.
            case.body.pop("encryption")
    if isinstance(case.body, dict):
        # No schema describes a key that belongs to a certificate.
        case.body.pop("client_certificate", None)
    name = case.headers and case.headers.get("Idempotency-Key")
    if name:
        case.headers["Idempotency-Key"] = f"{name[:200]}-{next(numbers)}"


def next_cursor(case):
    """The one that a page of this list gives, if it has a second page."""
    path = case.path
    for parameter, value in (case.path_parameters or {}).items():
        path = path.replace("{" + parameter + "}", quote(str(value), safe=""))
    headers = dict(AUTHORIZATION)
    if case.headers and case.headers.get("X-Tenant-ID"):
        headers["X-Tenant-ID"] = case.headers["X-Tenant-ID"]
    log = (case.query or {}).get("log")
    query = f"?limit=1&log={log}" if log else "?limit=1"
    try:
        with urllib.request.urlopen(urllib.request.Request(URL + path + query, headers=headers)) as answer:
            return json.load(answer)["pagination"]["next_cursor"]
    except (urllib.error.HTTPError, ValueError, KeyError):
        return None
