"""The libraries of Standard Webhooks from PyPI and npm, and its asymmetric signatures, which no library knows yet, by two
implementations of Ed25519."""

import base64
import random
import secrets
from unittest.mock import patch

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from driver.resending import clock_ahead, headers_of, resend
from driver.signet import as_json
from driver.stage import VENDORS, receiver_url, wait_until

TITLE = "the libraries of Standard Webhooks can be tried"
COPIES = "/standard/copies"
FORMATS = ["standard", "token", "signed", "action", "set"]
BODIES = 100
DELIVERS_WITHIN_S = 15


def check(report, stage, signet):
    tenant = signet.create_tenant(name="standard")
    for format_name in FORMATS:
        sentence = f"the library from PyPI verifies deliveries of format {format_name} and notices any altered part"
        report.check(sentence, verifies_format, stage, tenant, format_name)
    report.check(f"the library from PyPI verifies {BODIES} random bodies", verifies_random, stage, tenant)
    check_npm(report, stage, tenant)


def check_npm(report, stage, tenant):
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    url = receiver_url()
    settings = {"format": "standard", "v1a": True, "secret": secret}
    webhook = tenant.create_webhook(url, ["npm"], **settings)
    environment = {"WEBHOOK_SECRET": secret, "PUBLIC_KEY": webhook["public_key"]}
    stage.start_listening("standardwebhooks", ["node", VENDORS / "standardwebhooks.js"], url, environment)
    copied = tenant.create_webhook(f"{stage.inbox.url}{COPIES}/npm", ["npm"], **settings)

    sentence = "the library from npm verifies deliveries, and node:crypto their signatures v1a"
    report.check(sentence, is_delivered, tenant, webhook)
    copy = stage.inbox.first_at(f"{COPIES}/npm")
    old = str(int(copy.headers["webhook-timestamp"]) - 400)
    for flaw, body, headers, words in [
        ("an altered body", copy.body + b" ", headers_of(copy), "No matching signature"),
        ("another id", copy.body, headers_of(copy, webhook_id="evt_other"), "No matching signature"),
        ("a timestamp of 400 s ago", copy.body, headers_of(copy, webhook_timestamp=old), "too old"),
        ("another webhook's key pair", copy.body, headers_of(copy), "no signature v1a verifies"),
    ]:
        report.check(f"the receiver with npm's library refuses {flaw}", refuses, url, body, headers, words)
    report.check("cryptography verifies v1a with the public key that is shown", verifies_v1a, copied, copy)
    report.check("during an overlap both key pairs sign", verifies_both, stage, tenant, copied)


def verifies_format(stage, tenant, format_name):
    path, name = f"{COPIES}/{format_name}", f"of_{format_name}"
    webhook = tenant.create_webhook(f"{stage.inbox.url}{path}", [name], format=format_name)
    tenant.publish(name, b'{"id":"usr_1","note":"\xc3\xbc\\u0000"}')
    copy = stage.inbox.first_at(path)
    verify = Webhook(webhook["signing_secret"]).verify

    verify(copy.body, headers_of(copy), json_parse=False)

    later = str(int(copy.headers["webhook-timestamp"]) + 1)
    for flaw, body, headers in [
        ("body", copy.body + b" ", headers_of(copy)),
        ("id", copy.body, headers_of(copy, webhook_id="evt_other")),
        ("timestamp", copy.body, headers_of(copy, webhook_timestamp=later)),
    ]:
        assert is_refused(verify, body, headers), f"another {flaw} was believed"
    foreign = Webhook("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())
    assert is_refused(foreign.verify, copy.body, headers_of(copy)), "another secret verified it"
    with patch("standardwebhooks.webhooks.datetime", clock_ahead(400)):
        assert is_refused(verify, copy.body, headers_of(copy)), "it was believed 400 s later"


def is_refused(verify, body, headers):
    try:
        verify(body, headers, json_parse=False)
        return False
    except WebhookVerificationError:
        return True


def verifies_random(stage, tenant):
    path = f"{COPIES}/random"
    webhook = tenant.create_webhook(f"{stage.inbox.url}{path}", ["random"], format="standard")
    chance = random.Random(7)
    for _ in range(BODIES):
        text = "".join(chr(chance.choice([chance.randrange(32, 127), chance.randrange(160, 0xD800)])) for _ in range(40))
        tenant.publish("random", as_json({"text": text, "padding": "x" * chance.randrange(20_000)}))

    wait_until("all arrived", lambda: len(stage.inbox.at(path)) == BODIES, DELIVERS_WITHIN_S)
    for copy in stage.inbox.at(path):
        Webhook(webhook["signing_secret"]).verify(copy.body, headers_of(copy))


def is_delivered(tenant, webhook):
    tenant.publish("npm", b'{"id":"usr_1"}')

    def log():
        return [attempt for each in tenant.deliveries(webhook["id"], status="delivered") for attempt in each["log"]]

    wait_until("it is delivered", log, DELIVERS_WITHIN_S)
    assert [attempt["status_code"] for attempt in log()] == [204], f"the attempts were {log()}"


def refuses(url, body, headers, words):
    status, answer = resend(url, body, headers)
    assert status == 400 and words in answer, f"it answered {status}: {answer}"


def is_signed(public_key, copy, body=None):
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key.removeprefix("whpk_"), validate=True))
    message = f"{copy.headers['webhook-id']}.{copy.headers['webhook-timestamp']}.".encode() + (body or copy.body)
    signatures = [text.split(",")[1] for text in copy.headers["webhook-signature"].split() if text.startswith("v1a,")]
    return any(verifies(key, base64.b64decode(signature), message) for signature in signatures)


def verifies(key, signature, message):
    try:
        key.verify(signature, message)
        return True
    except InvalidSignature:
        return False


def verifies_v1a(webhook, copy):
    assert is_signed(webhook["public_key"], copy), f"the signatures are {copy.headers['webhook-signature']}"
    assert not is_signed(webhook["public_key"], copy, copy.body + b" "), "an altered body verifies"
    assert not is_signed("whpk_" + base64.b64encode(bytes(31) + b"\x01").decode(), copy), "a stranger's key verifies"


def verifies_both(stage, tenant, webhook):
    seen = len(stage.inbox.at(f"{COPIES}/npm"))
    second = tenant.rotate_secret(webhook["id"], overlap_seconds=3600)
    tenant.publish("npm", b"{}")

    copy = stage.inbox.next_at(f"{COPIES}/npm", seen)

    for public_key in [webhook["public_key"], second["public_key"]]:
        assert is_signed(public_key, copy), f"{public_key} did not sign"
    for secret in [webhook["signing_secret"], second["signing_secret"]]:
        Webhook(secret).verify(copy.body, headers_of(copy))
