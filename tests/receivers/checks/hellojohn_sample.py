"""HelloJohn's sample for Express as its guide prints it, beside a tenant that speaks its dialect."""

import base64
import secrets

from driver.resending import headers_of, resend
from driver.stage import VENDORS, free_port, wait_until

TITLE = "HelloJohn's sample can be tried"
EVENT_TYPES = ["user.created", "session.created", "org.member.added"]
USER = b'{"user":{"id":"usr_1","email":"ada@example.com","roles":["owner"]}}'
PATH = "/webhooks/hellojohn"
COPIES = "/hellojohn/copies"
# The second attempt comes 5 to 6 s after the first.
DELIVERS_WITHIN_S = 15


def check(report, stage, signet):
    tenant = signet.create_tenant(name="hellojohn sample", dialect={"header_prefix": "HelloJohn"})
    secret = new_secret()
    url = f"http://127.0.0.1:{free_port()}{PATH}"
    stage.start_listening("hellojohn", ["node", VENDORS / "hellojohn.js"], url, {"WEBHOOK_SECRET": secret})
    log = stage.log_of("hellojohn")
    webhook = tenant.create_webhook(url, ["*"], format="signed", secret=secret)
    # Where others would look on: what it gets is signed with the same secret.
    tenant.create_webhook(f"{stage.inbox.url}{COPIES}", ["user"], format="signed", secret=secret)

    for event_type in EVENT_TYPES:
        report.check(f"HelloJohn's sample verifies a delivery of {event_type}", reads, tenant, webhook, event_type, log)
    copy = stage.inbox.first_at(COPIES)
    report.check("HelloJohn's sample refuses an altered body", refuses, url, copy.body + b" ", headers_of(copy))
    foreign = headers_of(copy, hellojohn_signature=f"sha256={'0' * 64}")
    report.check("HelloJohn's sample refuses a foreign signature", refuses, url, copy.body, foreign)
    report.check("HelloJohn's sample refuses a delivery of another webhook", refuses_another_s, stage, tenant, url)
    unsigned = headers_of(copy, hellojohn_signature=None)
    report.check("HelloJohn's sample refuses a delivery without a signature", refuses, url, copy.body, unsigned)
    sentence = "HelloJohn's sample believes a delivery that is sent again: its scheme has no time that is signed"
    report.check(sentence, believes, url, copy)
    sentence = "HelloJohn's sample, which knows one of two overlapping secrets, verifies the first or the second attempt"
    report.check(sentence, verifies_overlap, tenant, webhook)


def new_secret():
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def reads(tenant, webhook, event_type, log):
    event = tenant.publish(event_type, USER)

    wait_until("it printed the type", lambda: f"Received event: {event_type}" in log.read_text(), DELIVERS_WITHIN_S)
    assert statuses(tenant, webhook, event) == [200], "it was not acknowledged at the first attempt"


def refuses(url, body, headers):
    status, words = resend(url, body, headers)
    # Without a signature it stumbles, which is no acknowledgement either.
    assert status == 401 or ("hellojohn-signature" not in headers and status == 500), f"it answered {status}: {words}"


def refuses_another_s(stage, tenant, url):
    tenant.create_webhook(f"{stage.inbox.url}{COPIES}/others", ["user"], format="signed")
    tenant.publish("user.deleted", USER)
    other = stage.inbox.first_at(f"{COPIES}/others")

    refuses(url, other.body, headers_of(other))


def believes(url, delivery):
    status, words = resend(url, delivery.body, headers_of(delivery))
    assert status == 200, f"it answered {status}: {words}"


def verifies_overlap(tenant, webhook):
    tenant.rotate_secret(webhook["id"], overlap_seconds=3600)

    event = tenant.publish("user.created", USER)

    assert statuses(tenant, webhook, event) == [401, 200], "an attempt with each secret was expected, the new one first"


def statuses(tenant, webhook, event):
    """What was answered to each attempt, once the delivery is done."""
    found = []

    def is_delivered():
        found[:] = [each for each in tenant.deliveries(webhook["id"]) if each["event_id"] == event["id"]]
        return bool(found) and found[0]["status"] == "delivered"

    wait_until("it is delivered", is_delivered, DELIVERS_WITHIN_S)
    return [attempt.get("status_code") for attempt in found[0]["log"]]
