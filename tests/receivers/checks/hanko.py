"""Hanko's published receiver, unchanged, and what its JavaScript cannot see: the numbers' own bytes."""

import re
import urllib.request

from driver.stage import receiver_url, wait_until
from driver.tokens import altered, payload_of, replaced, token_of

TITLE = "Hanko's sample can be tried"
SUBSCRIPTIONS = ["user", "session", "email.send"]
EVENT_TYPES = ["user.create", "user.update.email.create", "session.delete.explicit.logout", "email.send"]
USER = b'{"id":"c1d2","emails":[{"address":"ada@example.com","is_primary":true}]}'
NUMBERS = b'{"big":12345678901234567890,"price":1.10,"huge":1e400}'
PRINTS_WITHIN_S = 15
REFUSED = "Error processing the token:"


def check(report, stage, signet):
    url = receiver_url()
    log = stage.start_receiver("server.js", url, JWKS_URL=signet.jwks_url)
    signet.create_webhook(url, SUBSCRIPTIONS)

    for event_type in EVENT_TYPES:
        sentence = f"Hanko's sample verifies a delivery of {event_type} and finds the type in evt"
        report.check(sentence, sample_reads, signet, event_type, log)
    report.check("Hanko's sample refused none of them", sample_refused, log, 0)
    report.check("big numbers, 1.10 and 1e400 stand in the token byte for byte", numbers_are_exact, stage, signet)
    report.check("Hanko's sample tells an altered token from a true one", sample_notices, stage, url, log)


def sample_reads(signet, event_type, log):
    signet.publish(event_type, USER)

    wait_until(f"it prints evt: '{event_type}'", lambda: event_type in printed_types(log), PRINTS_WITHIN_S)


def numbers_are_exact(stage, signet):
    signet.create_webhook(f"{stage.inbox.url}/numbers", ["invoice.paid"])

    signet.publish("invoice.paid", NUMBERS)

    payload = payload_of(token_of(stage.inbox.first_at("/numbers").body))
    assert b'"data":' + NUMBERS in payload, f"the payload is {payload.decode()}"


def sample_notices(stage, url, log):
    body = stage.inbox.first_at("/numbers").body
    forged = replaced(body, token=altered(token_of(body), b'"price":1.10', b'"price":1.11'))

    urllib.request.urlopen(urllib.request.Request(url, forged, {"Content-Type": "application/json"})).close()

    sample_refused(log, 1)


def sample_refused(log, times):
    printed = log.read_text()
    assert printed.count(REFUSED) == times, f"it printed {printed}"


def printed_types(log):
    return re.findall(r"\bevt: '([^']+)'", log.read_text())
