"""Receivers without a public address: Security Event Tokens collected as RFC 8936 has it, verified by joserfc and by jose, and other formats
collected alike, verified by the library of Standard Webhooks."""

import json
import os
import subprocess

from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidClaimError, InvalidKeyIdError, UnsupportedAlgorithmError
from joserfc.jwk import KeySet
from joserfc.jwt import JWTClaimsRegistry
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from driver.stage import VENDORS
from driver.tokens import altered, unsigned

TITLE = "receivers that collect can be tried"
REVOKED = "caep.session_revoked"
REVOKED_URI = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
SESSION = b'{"sub_id":{"format":"email","email":"ada@example.com"},"event_timestamp":1700000000}'
CHANGED = b"1700000000", b"1700000001"
ENDS_WITHIN_S = 30


def check(report, stage, signet):
    for algorithm in ["ES256", "RS256"]:
        tenant = signet.create_tenant(name=f"pull {algorithm}", algorithm=algorithm)
        report.check(f"joserfc verifies polled SETs of an {algorithm} tenant until they are acknowledged", collects, tenant)
        report.check(
            f"joserfc refuses altered, unsigned and foreign polled SETs of an {algorithm} tenant", refuses, signet, tenant
        )
    tenant = signet.create_tenant(name="pull receivers")
    report.check("a poller with jose believes every SET and is given none again", believes, tenant)
    for flaw, settings, code in [
        ("another's audience", {"AUDIENCE": "https://receivers.example/others"}, "invalid_audience"),
        ("another's issuer", {"ISSUER": "https://issuer.example"}, "invalid_issuer"),
        ("another's key", {"JWKS_URL": signet.jwks_url}, "invalid_key"),
    ]:
        sentence = f"a poller with jose refuses {flaw}, is given it no more, and the delivery log says why"
        report.check(sentence, says_why, tenant, settings, code)
    report.check("the library of Standard Webhooks verifies what is collected, and notices any altered part", verifies, tenant)


def made(tenant, **settings):
    webhook = tenant.create_pulling_webhook([REVOKED], **settings)
    for _ in range(5):
        tenant.publish(REVOKED, SESSION)
    return webhook


def collects(tenant):
    webhook = made(tenant, format="set")
    keys = KeySet.import_key_set({"keys": tenant.published_keys()})

    first = tenant.poll(webhook, maxEvents=3)
    again = tenant.poll(webhook, ack=list(first["sets"])[:1], maxEvents=3)
    rest = tenant.poll(webhook, ack=list(first["sets"]) + list(again["sets"]), returnImmediately=True)
    nothing = tenant.poll(webhook, ack=list(rest["sets"]), returnImmediately=True)

    assert first["moreAvailable"] is True, f"it is {first.get('moreAvailable')}"
    assert list(again["sets"])[:2] == list(first["sets"])[1:], "what was not acknowledged comes first again"
    seen = first["sets"] | again["sets"] | rest["sets"]
    assert len(seen) == 5 and nothing == {"sets": {}}, f"{len(seen)} were seen, and then {nothing}"
    for jti, token in seen.items():
        decoded = jwt.decode(token, keys, algorithms=[key["alg"] for key in tenant.published_keys()])
        registry = JWTClaimsRegistry(
            iss={"essential": True, "value": tenant.issuer}, aud={"essential": True, "value": webhook["url"]}
        )
        registry.validate(decoded.claims)
        assert decoded.header["typ"] == "secevent+jwt" and decoded.claims["jti"] == jti, f"{decoded.header}"
        assert decoded.claims["events"] == {REVOKED_URI: json.loads(SESSION)}, f"{decoded.claims}"
        assert "exp" not in decoded.claims and "sub" not in decoded.claims, f"{set(decoded.claims)}"
    statuses = {delivery["status"] for delivery in tenant.deliveries(webhook["id"])}
    assert statuses == {"delivered"}, f"they are {statuses}"


def refuses(signet, tenant):
    webhook = made(tenant, format="set")
    token = next(iter(tenant.poll(webhook)["sets"].values()))
    algorithms = [key["alg"] for key in tenant.published_keys()]
    for flaw, keys, forged, error in [
        ("an altered payload", tenant, altered(token, *CHANGED), BadSignatureError),
        ("no signature", tenant, unsigned(token), UnsupportedAlgorithmError),
        ("another tenant's key", signet, token, InvalidKeyIdError),
    ]:
        key_set = KeySet.import_key_set({"keys": keys.published_keys()})
        assert raises(error, lambda: jwt.decode(forged, key_set, algorithms=algorithms)), f"it believed {flaw}"
    claims = jwt.decode(token, KeySet.import_key_set({"keys": tenant.published_keys()}), algorithms=algorithms).claims
    elsewhere = JWTClaimsRegistry(aud={"essential": True, "value": "https://receivers.example/others"})
    assert raises(InvalidClaimError, lambda: elsewhere.validate(claims)), "it believed what is meant for another"


def run_poller(tenant, webhook, **settings):
    pins = {
        "AUDIENCE": webhook["url"],
        "ISSUER": tenant.issuer,
        "JWKS_URL": tenant.jwks_url,
        "POLL_URL": webhook["url"],
        "PULL_KEY": webhook["pull_key"],
    }
    command = ["node", VENDORS / "collector.js"]
    ended = subprocess.run(command, env=os.environ | pins | settings, capture_output=True, text=True, timeout=ENDS_WITHIN_S)
    assert ended.returncode == 0, f"it ended with {ended.returncode}: {ended.stderr}"
    return [json.loads(line) for line in ended.stdout.splitlines()]


def believes(tenant):
    webhook = made(tenant, format="set")

    lines = run_poller(tenant, webhook)

    jtis = [line["believed"]["jti"] for line in lines]
    assert len(jtis) == len(set(jtis)) == 5, f"it was given {lines}"
    assert jtis == sorted(jtis), "the oldest first"
    assert tenant.poll(webhook, returnImmediately=True) == {"sets": {}}, "something is left"


def says_why(tenant, settings, code):
    webhook = made(tenant, format="set")

    lines = run_poller(tenant, webhook, **settings)

    assert [line["refused"]["err"] for line in lines] == [code] * 5, f"it was given {lines}"
    deliveries = list(tenant.deliveries(webhook["id"]))
    assert {delivery["status"] for delivery in deliveries} == {"exhausted"}, f"they are {deliveries}"
    for delivery in deliveries:
        refusal = delivery["log"][-1]["refusal"]
        assert refusal["err"] == code and refusal["description"], f"the log says {refusal}"


def verifies(tenant):
    webhook = made(tenant, format="standard")
    library = Webhook(webhook["signing_secret"])

    collected = tenant.poll(webhook, lease_seconds=30)["deliveries"]

    assert len(collected) == 5 and tenant.poll(webhook, returnImmediately=True) == {"deliveries": []}, "they are leased"
    for delivery in collected:
        body, headers = delivery["body"], delivery["headers"]
        assert library.verify(body, headers)["data"] == json.loads(SESSION), f"it read {body}"
        for flaw, words, sent in [
            ("an altered body", body + " ", headers),
            ("another id", body, headers | {"webhook-id": "evt_other"}),
            ("another time", body, headers | {"webhook-timestamp": str(int(headers["webhook-timestamp"]) - 1)}),
        ]:
            assert raises(WebhookVerificationError, lambda: library.verify(words, sent)), f"it believed {flaw}"
    tenant.poll(webhook, ack=[delivery["id"] for delivery in collected], maxEvents=0)
    statuses = {delivery["status"] for delivery in tenant.deliveries(webhook["id"])}
    assert statuses == {"delivered"}, f"they are {statuses}"


def raises(error, act):
    try:
        act()
    except error:
        return True
    return False
