"""UserHub's SDK for Python in the Flask receiver of its guide: activation, events, and what it refuses."""

import base64
import datetime
import json
import secrets
import sys
from types import SimpleNamespace
from unittest.mock import patch
from urllib.parse import urlsplit

from userhub_sdk.webhook import Webhook

from driver.resending import clock_ahead, headers_of
from driver.stage import VENDORS, receiver_url, wait_until

TITLE = "UserHub's SDK can be tried"
USER = b'{"user":{"id":"usr_1","displayName":"Ada","email":"ada@example.com","emailVerified":true}}'
ORGANIZATION = b'{"organization":{"id":"org_1","displayName":"Engines"}}'
COPIES = "/userhub/copies"
PRINTS_WITHIN_S = 15
MISMATCH = "Signatures do not match"


def check(report, stage, signet):
    tenant = signet.create_tenant(name="userhub", dialect={"header_prefix": "UserHub"})
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    url = receiver_url()
    flask = [sys.executable, "-m", "flask", "--app", VENDORS / "userhub.py", "run", "--port", str(urlsplit(url).port)]
    stage.start_listening("userhub", flask, url, {"SIGNING_SECRET": secret, "PYTHONUNBUFFERED": "1"})
    log = stage.log_of("userhub")
    asked = {"format": "action", "activation": {"method": "challenge"}}
    webhook = tenant.create_webhook(f"{url}?team=7", ["*"], secret=secret, **asked)

    report.check("UserHub's SDK answers the challenge, and its webhook is active", activates, tenant, webhook)
    sentence = "a receiver that knows another secret is not activated"
    report.check(sentence, stays_pending, tenant, tenant.create_webhook(url, ["*"], **asked))
    for event_type, content, words in [
        ("users.changed", USER, " - User: usr_1 Ada"),
        ("organizations.changed", ORGANIZATION, " - Organization: org_1 Engines"),
    ]:
        printed = f"Event: {event_type}\n{words}"
        report.check(f"UserHub's SDK reads {event_type}", reads, tenant, (event_type, content), printed, log)

    copied = tenant.create_webhook(f"{stage.inbox.url}{COPIES}?a=1", ["users"], format="action", secret=secret)
    tenant.publish("users.changed", USER)
    copy = stage.inbox.first_at(COPIES)
    report.check("the action joins the query that a URL has", has_query, copy)
    report.check("UserHub's SDK believes a copy", answers, secret, copy.body, headers_of(copy), 200, None)
    altered = copy.body.replace(b"Ada", b"Eve")
    report.check("UserHub's SDK refuses an altered body", answers, secret, altered, headers_of(copy), 500, MISMATCH)
    foreign = "whsec_" + "A" * 44
    report.check("UserHub's SDK refuses another webhook's", answers, foreign, copy.body, headers_of(copy), 500, MISMATCH)
    report.check("UserHub's SDK refuses a delivery that is 301 s old", refuses_stale, secret, copy)
    report.check("UserHub's SDK refuses another timestamp", refuses_another_time, secret, copy)
    sentence = "UserHub's SDK believes a delivery that was relabelled as users.delete: its scheme does not cover the action"
    report.check(sentence, believes_relabelled, secret, copy)
    report.check("UserHub's SDK verifies with either of two overlapping secrets", verifies_overlap, stage, tenant, copied)


def activates(tenant, webhook):
    assert webhook["status"] == "pending", f"it is {webhook['status']}"

    activated = tenant.activate_webhook(webhook["id"])

    assert activated["activated"] and activated["status"] == "active", f"it answered {activated}"


def stays_pending(tenant, webhook):
    refused = tenant.activate_webhook(webhook["id"])

    assert not refused["activated"] and "500" in refused["reason"], f"it answered {refused}"


def reads(tenant, event, words, log):
    tenant.publish(*event)

    wait_until(f"it prints {words}", lambda: words in log.read_text(), PRINTS_WITHIN_S)


def has_query(copy):
    assert copy.query == "a=1&action=events.handle", f"the query is {copy.query}"
    assert copy.headers["UserHub-Action"] == "events.handle", f"the header is {copy.headers['UserHub-Action']}"


def asked(secret, body, headers, on_delete=None):
    webhook = Webhook(secret, on_error=lambda _: None)
    webhook.on_event(lambda _: None)
    webhook.on_delete_user(on_delete)
    answer = webhook(headers=headers, body=body)
    return answer.status_code, json.loads(answer.body)


def answers(secret, body, headers, status, message):
    answered = asked(secret, body, headers)
    assert answered[0] == status and answered[1].get("message") == message, f"it answered {answered}"


def refuses_stale(secret, copy):
    for ahead_s, is_stale in [(290, False), (301, True)]:
        later = SimpleNamespace(datetime=clock_ahead(ahead_s), timezone=datetime.timezone)
        with patch("userhub_sdk.webhook._base.datetime", later):
            status, words = asked(secret, copy.body, headers_of(copy))
        assert (status == 500) == is_stale, f"{ahead_s} s later it answered {status}: {words}"
        assert not is_stale or "too far in the past" in words["message"], f"it answered {words}"


def refuses_another_time(secret, copy):
    later = str(int(copy.headers["UserHub-Timestamp"]) + 1)
    answers(secret, copy.body, headers_of(copy, userhub_timestamp=later), 500, MISMATCH)


def believes_relabelled(secret, copy):
    deleted = []
    body = copy.body

    status, _ = asked(secret, body, headers_of(copy, userhub_action="users.delete"), on_delete=deleted.append)

    assert status == 200 and len(deleted) == 1, f"it answered {status} and deleted {deleted}"


def verifies_overlap(stage, tenant, webhook):
    seen = len(stage.inbox.at(COPIES))
    second = tenant.rotate_secret(webhook["id"], overlap_seconds=3600)["signing_secret"]

    tenant.publish("users.changed", USER)

    copy = stage.inbox.next_at(COPIES, seen)
    for secret in [webhook["signing_secret"], second]:
        answers(secret, copy.body, headers_of(copy), 200, None)
