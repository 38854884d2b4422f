"""The Standard Webhooks headers that ride on every delivery, verified by hand as the public specification says."""

import base64
import hashlib
import hmac
import json
import time

from driver.tokens import payload_of, token_of

TITLE = "Standard Webhooks headers can be tried"
TOLERANCE_S = 300


def check(report, stage, signet):
    webhook = signet.create_webhook(f"{stage.inbox.url}/standard", ["user.created"])
    signet.publish("user.created", b'{"id":"usr_1"}')
    delivery = stage.inbox.first_at("/standard")
    secret, headers, body = webhook["signing_secret"], delivery.headers, delivery.body

    report.check("webhook-signature verifies with the webhook's whsec_ secret", verifies, secret, headers, body)
    report.check("webhook-signature fails once any one byte differs", notices_any_byte, secret, headers, body)
    report.check("webhook-id is the token's jti", id_is_jti, headers, body)


def verifies(secret, headers, body):
    assert secret.startswith("whsec_"), f"the secret starts with {secret[:6]}"
    assert is_signed(secret, signed_content(headers, body), headers), f"the headers are {headers.items()}"
    age_s = abs(time.time() - int(headers["webhook-timestamp"]))
    assert age_s <= TOLERANCE_S, f"webhook-timestamp is {age_s} s away"


def notices_any_byte(secret, headers, body):
    content = signed_content(headers, body)
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1
        assert not is_signed(secret, changed, headers), f"it verifies with byte {position} changed"


def id_is_jti(headers, body):
    jti = json.loads(payload_of(token_of(body)))["jti"]
    assert headers["webhook-id"] == jti, f"webhook-id is {headers['webhook-id']}, jti is {jti}"


def signed_content(headers, body):
    return f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body


def is_signed(secret, content, headers):
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    expected = "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
    return any(hmac.compare_digest(expected, signature) for signature in headers["webhook-signature"].split())
