"""Sends a receiver by hand what was delivered elsewhere: as it was, or changed."""

import urllib.error
import urllib.request
from datetime import datetime, timedelta

ANSWERS_WITHIN_S = 10
# What HTTP says about the connection, and not the delivery about itself.
OF_THE_CONNECTION = {"host", "content-length", "connection", "accept-encoding"}


def headers_of(delivery, **changed):
    """A delivery's headers; `changed` names some with underscores, and none takes one away."""
    kept = {name.lower(): value for name, value in delivery.headers.items() if name.lower() not in OF_THE_CONNECTION}
    changed = {name.replace("_", "-"): value for name, value in changed.items()}
    return {name: value for name, value in (kept | changed).items() if value is not None}


def resend(url, body, headers):
    """What the receiver answers: its status and its words."""
    request = urllib.request.Request(url, body, headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=ANSWERS_WITHIN_S) as response:
            return response.status, response.read().decode(errors="replace")
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode(errors="replace")


def clock_ahead(seconds):
    """A `datetime` whose now is later."""

    class Ahead(datetime):
        @classmethod
        def now(cls, tz=None):
            return super().now(tz) + timedelta(seconds=seconds)

    return Ahead
