"""HelloJohn's schemes that sign a time, `v1=` and `t=,v1=`: verified by a receiver as its verification page describes one, and the
second by Stripe's library too, which writes and reads its signatures so."""

import secrets

from driver.resending import headers_of, resend
from driver.stage import VENDORS, receiver_url, wait_until

TITLE = "receivers of HelloJohn's schemes with a time can be tried"
COPIES = "/hellojohn/stamped"
USER = b'{"user":{"id":"usr_1","name":"J\xc3\xbcrgen","balance":1.10}}'
DELIVERS_WITHIN_S = 15
OURS, STRIPE = "hellojohn_stamped.js", "stripe.js"
# The words with which each refuses.
NO_MATCH = {OURS: "no signature matches", STRIPE: "No signatures found matching"}
TOO_OLD = {OURS: "outside of the tolerance", STRIPE: "Timestamp outside the tolerance zone"}
NO_TIME = {OURS: "no timestamp", STRIPE: ""}


def check(report, stage, signet):
    for scheme, script in [("v1", OURS), ("t,v1", OURS), ("t,v1", STRIPE)]:
        report.survives(f"{scheme} can be verified by {script}", check_scheme, report, stage, signet, scheme, script)


def check_scheme(report, stage, signet, scheme, script):
    tenant = signet.create_tenant(name=f"{scheme} {script}", dialect={"header_prefix": "X-HelloJohn", "signature_scheme": scheme})
    # An opaque token, as HelloJohn's own build makes them: Signet takes it over.
    setting = {"SCHEME": scheme, "WEBHOOK_SECRET": secrets.token_urlsafe(32)}
    started = f"{scheme} {script}".replace(",", "-")
    url = start(stage, started, script, setting)
    path = f"{COPIES}/{started.replace(' ', '/')}"
    webhook = tenant.create_webhook(url, ["user"], format="signed", secret=setting["WEBHOOK_SECRET"])
    copied = tenant.create_webhook(f"{stage.inbox.url}{path}", ["user"], format="signed", secret=setting["WEBHOOK_SECRET"])
    name = f"Stripe's library, given {scheme}=," if script == STRIPE else f"a receiver of {scheme}="

    report.check(f"{name} verifies a delivery at its first attempt", is_delivered, tenant, webhook)
    copy = stage.inbox.first_at(path)
    sent_at = int(copy.headers["X-HelloJohn-Timestamp"])
    signature = copy.headers["X-HelloJohn-Signature"]
    report.check(f"{name} verifies a copy", answers, url, copy.body, headers_of(copy), 200, '"type":"user.created"')
    for flaw, body, headers, words in [
        ("an altered body", copy.body.replace(b"usr_1", b"usr_2"), headers_of(copy), NO_MATCH[script]),
        ("another time", copy.body, at_another_time(copy, scheme, sent_at + 1), NO_MATCH[script]),
        ("a signature of nobody's", copy.body, changed(copy, signature[:-64] + "0" * 64), NO_MATCH[script]),
        ("a signature without its scheme", copy.body, changed(copy, signature.replace("v1=", "v0=")), ""),
        ("no signature", copy.body, changed(copy, None), NO_TIME[script] if scheme != "v1" else NO_MATCH[script]),
    ]:
        report.check(f"{name} refuses {flaw}", answers, url, body, headers, 401, words)
    report.check(f"{name} refuses what another webhook is sent", refuses_another_s, stage, tenant, url, (path, script))
    # Stripe's library looks at age alone.
    offsets = [300, 301] if script == STRIPE else [300, 301, -300, -301]
    for offset_s in offsets:
        late = start(stage, f"{started} {offset_s}", script, setting | {"NOW_S": str(sent_at + offset_s)})
        expected = (401, TOO_OLD[script]) if abs(offset_s) > 300 else (200, "user.created")
        word = "refuses" if expected[0] == 401 else "verifies"
        sentence = f"{name} {word} a delivery when its clock is {offset_s} s from when it was signed"
        report.check(sentence, answers, late, copy.body, headers_of(copy), *expected)
    if scheme == "t,v1":
        sentence = f"{name} verifies with either of two overlapping secrets"
        report.check(sentence, verifies_overlap, stage, tenant, copied, (url, path, script, setting))


def start(stage, name, script, setting):
    url = receiver_url()
    stage.start_listening(name.replace(" ", "-"), ["node", VENDORS / script], url, setting)
    return url


def is_delivered(tenant, webhook):
    tenant.publish("user.created", USER)

    def log():
        return [attempt for each in tenant.deliveries(webhook["id"], status="delivered") for attempt in each["log"]]

    wait_until("it is delivered", log, DELIVERS_WITHIN_S)
    assert [attempt["status_code"] for attempt in log()] == [200], f"the attempts were {log()}"


def changed(copy, signature):
    return headers_of(copy, x_hellojohn_signature=signature)


def at_another_time(copy, scheme, seconds):
    if scheme == "v1":
        return headers_of(copy, x_hellojohn_timestamp=str(seconds))
    _, rest = copy.headers["X-HelloJohn-Signature"].split(",", 1)
    return changed(copy, f"t={seconds},{rest}")


def answers(url, body, headers, status, words):
    answered = resend(url, body, headers)
    assert answered[0] == status and words in answered[1], f"it answered {answered}"


def refuses_another_s(stage, tenant, url, place):
    path, script = place
    tenant.create_webhook(f"{stage.inbox.url}{path}/others", ["other"], format="signed")
    tenant.publish("other.created", USER)
    other = stage.inbox.first_at(f"{path}/others")

    answers(url, other.body, headers_of(other), 401, NO_MATCH[script])


def verifies_overlap(stage, tenant, copied, place):
    url, path, script, setting = place
    second = tenant.rotate_secret(copied["id"], overlap_seconds=3600)["signing_secret"]
    changed_over = start(stage, f"{script} changed over", script, setting | {"WEBHOOK_SECRET": second})
    seen = len(stage.inbox.at(path))

    tenant.publish("user.deleted", USER)

    copy = stage.inbox.next_at(path, seen)
    assert copy.headers["X-HelloJohn-Signature"].count("v1=") == 2, copy.headers["X-HelloJohn-Signature"]
    for either in [url, changed_over]:
        answers(either, copy.body, headers_of(copy), 200, '"type":"user.deleted"')
