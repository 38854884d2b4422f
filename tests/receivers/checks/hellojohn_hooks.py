"""HelloJohn's samples for hooks as its guide prints them, beside a tenant that speaks its dialect."""

import base64
import secrets

from driver.resending import headers_of, resend
from driver.stage import VENDORS, free_port, wait_until

TITLE = "HelloJohn's samples for hooks can be tried"
COPIES = "/hellojohn/hooks"
ALICE = b'{"email":"alice@acme.com","name":"Alice Smith","provider":"email","tenant_id":"tnt_01HABCDEF654321"}'
EVE = ALICE.replace(b"alice@acme.com", b"eve@evil.example")
USER = b'{"user":{"id":"usr_1","email":"alice@acme.com"},"tenant_id":"tnt_01HABCDEF654321"}'
PRINTS_WITHIN_S = 15
LOGGED_WITHIN_S = 15


def check(report, stage, signet):
    tenant = signet.create_tenant(name="hellojohn hooks", dialect={"header_prefix": "HelloJohn"})
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    tenant.rotate_hook_secret(secret=secret)
    url = f"http://127.0.0.1:{free_port()}/hooks"
    command = ["node", VENDORS / "hellojohn_hooks.js"]
    stage.start_listening("hellojohn-hooks", command, f"{url}/pre-sign-up", {"HOOK_SECRET": secret})
    hooks = {kind: f"{url}/{kind.replace('_', '-')}" for kind in ["pre_sign_up", "post_sign_up", "pre_sign_in", "jwt"]}
    # Where others would look on: what it gets is signed with the same secret.
    tenant.configure_hooks(**hooks, pre_password_reset=f"{stage.inbox.url}{COPIES}")

    report.check("HelloJohn's sample lets @acme.com sign up", says, tenant, "pre_sign_up", ALICE, ("allowed", True))
    report.check("HelloJohn's sample blocks @evil.example", blocks, tenant, "pre_sign_up", EVE, "Only @acme.com email addresses are allowed.")
    report.check("HelloJohn's sample blocks who is banned", blocks, tenant, "pre_sign_in", sign_in(b"usr_banned"), "Account suspended.")
    report.check("HelloJohn's sample lets others sign in", says, tenant, "pre_sign_in", sign_in(b"usr_1"), ("allowed", True))
    report.check("HelloJohn's sample is told of a sign-up", is_told, stage, tenant)
    report.check("HelloJohn's jwt hook adds claims", adds_claims, tenant)
    copy = copied(stage, tenant)
    report.check("HelloJohn's sample believes a copy", answers, url, copy.body, headers_of(copy), 200)
    report.check("HelloJohn's sample refuses an altered body", answers, url, copy.body + b" ", headers_of(copy), 401)
    foreign = headers_of(copy, hellojohn_hook_signature=f"sha256={'0' * 64}")
    report.check("HelloJohn's sample refuses a foreign signature", answers, url, copy.body, foreign, 401)
    sentence = "a refused signature is no consent where the hook blocks on failure, and HelloJohn's fail-open where it allows"
    report.check(sentence, follows_on_failure, signet, f"{url}/pre-sign-up")
    sentence = "HelloJohn's sample, which knows the secret before, answers while secrets overlap"
    report.check(sentence, answers_during_overlap, tenant)


def sign_in(user_id):
    return b'{"user":{"id":"%s","disabled":false},"ip_address":"203.0.113.42","user_agent":"Mozilla/5.0"}' % user_id


def says(tenant, kind, payload, expected):
    answer = tenant.ask_hook(kind, payload)
    assert (answer["outcome"], answer["allow"]) == expected, f"it was answered {answer}"


def blocks(tenant, kind, payload, reason):
    answer = tenant.ask_hook(kind, payload)
    assert (answer["outcome"], answer["allow"], answer["reason"]) == ("blocked", False, reason), f"it was answered {answer}"


def is_told(stage, tenant):
    says(tenant, "post_sign_up", USER, ("allowed", True))
    log = stage.log_of("hellojohn-hooks")
    wait_until("it made a profile", lambda: '"hj_user_id":"usr_1"' in log.read_text(), PRINTS_WITHIN_S)


def adds_claims(tenant):
    answer = tenant.ask_hook("jwt", USER)
    expected = ("amended", {"plan": "pro", "team_id": "team_42"})
    assert (answer["outcome"], answer["claims"]) == expected, f"it was answered {answer}"


def copied(stage, tenant):
    tenant.ask_hook("pre_password_reset", ALICE)
    return stage.inbox.first_at(COPIES)


def answers(url, body, headers, expected):
    status, words = resend(f"{url}/pre-sign-up", body, headers)
    assert status == expected, f"it answered {status}: {words}"


def follows_on_failure(signet, url):
    """Another tenant's questions, signed with a secret that the sample does not know."""
    other = signet.create_tenant(name="another's hooks", dialect={"header_prefix": "HelloJohn"})
    for on_failure, allow in [("allow", True), ("block", False)]:
        other.configure_hooks(pre_sign_up={"url": url, "on_failure": on_failure})
        answer = other.ask_hook("pre_sign_up", ALICE)
        expected = ("error", "status", allow)
        assert (answer["outcome"], answer["failure"], answer["allow"]) == expected, f"it was answered {answer}"
        wait_until("it is in the log", lambda: answer["id"] in logged(other), LOGGED_WITHIN_S)


def logged(tenant):
    """The questions that were answered 401."""
    return [line["id"] for line in tenant.hook_log(outcome="error") if line["status_code"] == 401]


def answers_during_overlap(tenant):
    tenant.rotate_hook_secret(overlap_seconds=3600)
    says(tenant, "pre_sign_up", ALICE, ("allowed", True))
    blocks(tenant, "pre_sign_up", EVE, "Only @acme.com email addresses are allowed.")
