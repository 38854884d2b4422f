"""Hooks without a shared secret: jose and joserfc verify who asks, and answers count only when they are signed for that question."""

import hashlib
import json

from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, UnsupportedAlgorithmError
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey
from joserfc.jwt import JWTClaimsRegistry
from joserfc.util import urlsafe_b64encode

from driver.stage import VENDORS, receiver_url
from driver.tokens import altered, unsigned

TITLE = "hooks whose answers are signed can be tried"
COPIES = "/hooks/tokens"
ALICE = b'{"email":"alice@acme.com"}'
EVE = b'{"email":"eve@evil.example"}'


def check(report, stage, signet):
    for algorithm in ["ES256", "RS256", "EdDSA"]:
        tenant = signet.create_tenant(name=f"hooks {algorithm}", algorithm=algorithm)
        path = f"{COPIES}/{algorithm}"
        url = f"{stage.inbox.url}{path}"
        tenant.configure_hooks(post_sign_in=f"{url}?key=1")
        answer = tenant.ask_hook("post_sign_in", ALICE)
        copy = stage.inbox.first_at(path)
        sentence = f"joserfc verifies the token of a question by an {algorithm} tenant, and it names its body"
        report.check(sentence, is_token, tenant, copy, algorithm, (url, answer["id"]))
        sentence = f"joserfc refuses an altered, an unsigned and a foreign token of an {algorithm} tenant"
        report.check(sentence, refuses_forged, signet, tenant, copy, algorithm)

    for algorithm in ["ES256", "ES384", "EdDSA", "RS256", "PS256"]:
        sentence = f"an answer that jose signs with {algorithm} is believed, and what else it signs is not"
        report.check(sentence, believes_its_own, stage, signet, algorithm)


def claims_of(tenant, token, algorithm):
    keys = KeySet.import_key_set({"keys": tenant.published_keys()})
    return jwt.decode(token, keys, algorithms=[algorithm])


def is_token(tenant, copy, algorithm, expected):
    decoded = claims_of(tenant, copy.headers["Signet-Hook-Token"], algorithm)

    url, execution = expected
    JWTClaimsRegistry(
        iss={"essential": True, "value": tenant.issuer}, aud={"essential": True, "value": url}, exp={"essential": True}
    ).validate(decoded.claims)
    digest = urlsafe_b64encode(hashlib.sha256(copy.body).digest()).decode()
    assert decoded.header["typ"] == "hook+jwt", f"the header is {decoded.header}"
    assert decoded.claims["jti"] == execution == copy.headers["webhook-id"], f"the claims are {decoded.claims}"
    assert decoded.claims["hook"] == "post_sign_in", f"the claims are {decoded.claims}"
    assert decoded.claims["body_sha256"] == digest, f"the claims are {decoded.claims}"
    assert decoded.claims["exp"] - decoded.claims["iat"] == 60, f"the claims are {decoded.claims}"


def refuses_forged(signet, tenant, copy, algorithm):
    token = copy.headers["Signet-Hook-Token"]
    for flaw, keys, forged, error in [
        ("an altered payload", tenant, altered(token, b"post_sign_in", b"post_sign_up"), BadSignatureError),
        ("no signature", tenant, unsigned(token), UnsupportedAlgorithmError),
        ("another tenant's key", signet, token, InvalidKeyIdError),
    ]:
        try:
            claims_of(keys, forged, algorithm)
        except error:
            continue
        raise AssertionError(f"it believed a token with {flaw}")


def believes_its_own(stage, signet, algorithm):
    tenant = signet.create_tenant(name=f"signed answers {algorithm}")
    own, foreign = key_of(algorithm), key_of(algorithm)
    url = receiver_url()
    settings = {
        "AUDIENCE": url,
        "ISSUER": tenant.issuer,
        "JWKS_URL": tenant.jwks_url,
        "PRIVATE_JWK": json.dumps(own.as_dict(private=True)),
        "FOREIGN_JWK": json.dumps(foreign.as_dict(private=True)),
    }
    stage.start_listening(f"hooks-{algorithm}", ["node", VENDORS / "hooks.js"], url, settings)
    signed = {"url": url, "on_failure": "block", "signed_answer": {"keys": [own.as_dict(private=False)]}}
    tenant.configure_hooks(pre_sign_up=signed, jwt=signed)

    says(tenant, "pre_sign_up", ALICE, outcome="allowed", allow=True)
    says(tenant, "pre_sign_up", EVE, outcome="blocked", allow=False)
    says(tenant, "jwt", ALICE, outcome="amended", claims={"plan": "pro"})
    for flaw in ["jti", "aud", "iat", "key", "unsigned", "none"]:
        payload = json.dumps({"email": "alice@acme.com", "flaw": flaw}).encode()
        says(tenant, "pre_sign_up", payload, outcome="error", failure="untrusted", allow=False)


def key_of(algorithm):
    parameters = {"alg": algorithm, "use": "sig", "kid": f"receiver-{algorithm}"}
    match algorithm:
        case "ES256":
            return ECKey.generate_key("P-256", parameters)
        case "ES384":
            return ECKey.generate_key("P-384", parameters)
        case "EdDSA":
            return OKPKey.generate_key("Ed25519", parameters)
        case _:
            return RSAKey.generate_key(2048, parameters)


def says(tenant, kind, payload, **expected):
    answer = tenant.ask_hook(kind, payload)
    told = {name: answer.get(name) for name in expected}
    assert told == expected, f"{payload} was answered {answer}"
