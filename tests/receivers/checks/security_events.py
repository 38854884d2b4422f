"""Security Event Tokens, pushed as RFC 8935 has it: joserfc takes them apart, and a receiver with jose answers as the RFC says."""

import json

from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, UnsupportedAlgorithmError
from joserfc.jwk import KeySet
from joserfc.jwt import JWTClaimsRegistry

from driver.resending import headers_of, resend
from driver.stage import VENDORS, receiver_url, wait_until
from driver.tokens import altered, unsigned

TITLE = "receivers of security events can be tried"
SESSION = b'{"sub_id":{"format":"email","email":"ada@example.com"},"event_timestamp":1700000000,"txn":"8675309"}'
REVOKED = "caep.session_revoked"
REVOKED_URI = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
# A part of it, and what else might stand there.
CHANGED = b"1700000000", b"1700000001"
COPIES = "/set/copies"
DELIVERS_WITHIN_S = 15


def check(report, stage, signet):
    for algorithm in ["ES256", "RS256"]:
        tenant = signet.create_tenant(name=f"set {algorithm}", algorithm=algorithm)
        copy = copied(stage, tenant, f"{COPIES}/{algorithm}")
        sentence = f"joserfc verifies a SET of an {algorithm} tenant, and it is as RFC 8417 says"
        report.check(sentence, is_set, tenant, copy, algorithm)
        sentence = f"joserfc refuses an altered, a foreign and an unsigned SET of an {algorithm} tenant"
        report.check(sentence, refuses_forged, signet, tenant, copy, algorithm)

    tenant = signet.create_tenant(name="set receivers")
    url = receiver_url()
    pins = {"ISSUER": tenant.issuer, "JWKS_URL": tenant.jwks_url}
    start(stage, "security-events", url, pins)
    webhook = tenant.create_webhook(url, [REVOKED], format="set")
    report.check("a receiver with jose acknowledges a SET with 202", acknowledges, tenant, webhook)
    for flaw, settings, code in [
        ("another's audience", {"AUDIENCE": "https://receivers.example/others"}, "invalid_audience"),
        ("another's issuer", {"ISSUER": "https://issuer.example"}, "invalid_issuer"),
        ("another's key", {"JWKS_URL": signet.jwks_url}, "invalid_key"),
        ("an age of 400 s", {"CLOCK_AHEAD_S": "400"}, "invalid_request"),
    ]:
        sentence = f"a receiver with jose refuses {flaw}, and the delivery log says why"
        report.check(sentence, refuses_with_reason, stage, tenant, pins | settings, code)
    copy = copied(stage, tenant, f"{COPIES}/replayed", audience=url)
    report.check("a receiver with jose refuses an altered SET", refuses, url, copy, altered(copy.body.decode(), *CHANGED))
    report.check("a SET that is sent again has the jti by which a receiver knows it", keeps_jti, url, copy)


def start(stage, name, url, settings):
    stage.start_listening(name, ["node", VENDORS / "security_events.js"], url, {"AUDIENCE": url} | settings)


def copied(stage, tenant, path, **settings):
    tenant.create_webhook(f"{stage.inbox.url}{path}", [REVOKED], format="set", **settings)
    tenant.publish(REVOKED, SESSION)
    return stage.inbox.first_at(path)


def claims_of(tenant, token, algorithm):
    decoded = jwt.decode(token, key_set(tenant), algorithms=[algorithm])
    return decoded.header, decoded.claims


def key_set(tenant):
    return KeySet.import_key_set({"keys": tenant.published_keys()})


def is_set(tenant, copy, algorithm):
    token = copy.body.decode()
    header, claims = claims_of(tenant, token, algorithm)

    JWTClaimsRegistry(iss={"essential": True, "value": tenant.issuer}, aud={"essential": True}).validate(claims)
    assert header == {"alg": algorithm, "kid": header["kid"], "typ": "secevent+jwt"}, f"the header is {header}"
    assert set(claims) == {"iss", "iat", "jti", "aud", "txn", "toe", "sub_id", "events"}, f"the claims are {set(claims)}"
    assert claims["jti"] == copy.headers["webhook-id"], f"jti is {claims['jti']}"
    assert claims["sub_id"] == {"format": "email", "email": "ada@example.com"}, f"sub_id is {claims['sub_id']}"
    assert claims["txn"] == "8675309", f"txn is {claims['txn']}"
    assert claims["events"] == {REVOKED_URI: json.loads(SESSION)}, f"events are {claims['events']}"
    assert copy.headers["Content-Type"] == "application/secevent+jwt", f"it is {copy.headers['Content-Type']}"
    assert copy.headers["Accept"] == "application/json", f"it accepts {copy.headers['Accept']}"


def refuses_forged(signet, tenant, copy, algorithm):
    token = copy.body.decode()
    for flaw, keys, forged, error in [
        ("an altered payload", tenant, altered(token, *CHANGED), BadSignatureError),
        ("no signature", tenant, unsigned(token), UnsupportedAlgorithmError),
        ("another tenant's key", signet, token, InvalidKeyIdError),
    ]:
        try:
            claims_of(keys, forged, algorithm)
        except error:
            continue
        raise AssertionError(f"it believed a SET with {flaw}")


def logged(tenant, webhook):
    attempts = []

    def is_logged():
        attempts[:] = [attempt for each in tenant.deliveries(webhook["id"]) for attempt in each["log"]]
        return bool(attempts)

    wait_until("an attempt is logged", is_logged, DELIVERS_WITHIN_S)
    return attempts[-1]


def acknowledges(tenant, webhook):
    tenant.publish(REVOKED, SESSION)

    attempt = logged(tenant, webhook)
    assert attempt["status_code"] == 202, f"the attempt was {attempt}"


def refuses_with_reason(stage, tenant, settings, code):
    url = receiver_url()
    start(stage, f"security-events-{code}", url, settings)
    webhook = tenant.create_webhook(url, [REVOKED], format="set", retry={"schedule": []})

    tenant.publish(REVOKED, SESSION)

    attempt = logged(tenant, webhook)
    assert attempt["status_code"] == 400, f"the attempt was {attempt}"
    assert attempt["refusal"]["err"] == code and attempt["refusal"]["description"], f"the attempt was {attempt}"


def refuses(url, copy, token):
    status, words = resend(url, token.encode(), headers_of(copy))
    assert status == 400 and json.loads(words)["err"] == "invalid_key", f"it answered {status}: {words}"


def keeps_jti(url, copy):
    """Believed twice: RFC 8935 has it acknowledged again, and what to do with a jti that is known is the receiver's to say."""
    for _ in range(2):
        status, words = resend(url, copy.body, headers_of(copy))
        assert status == 202, f"it answered {status}: {words}"
