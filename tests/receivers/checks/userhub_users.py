"""Users that a receiver with UserHub's SDK keeps: asked for over Signet, with every way in which that SDK refuses."""

import json
import secrets
import sys
from urllib.parse import quote, urlsplit

from userhub_sdk.types import Code

from driver.resending import headers_of, resend
from driver.stage import VENDORS, receiver_url

TITLE = "users can be asked for at UserHub's SDK"
COPIES = "/userhub/calls"
ADA = {
    "displayName": "Ada Lovelace",
    "email": "ada@example.com",
    "emailVerified": True,
    "phoneNumber": "+12125550123",
    "phoneNumberVerified": False,
    "imageUrl": "https://example.com/ada.png",
    "disabled": False,
}
# What the SDK says of a request that it does not believe, by what was done to it on its way.
UNBELIEVED = {
    "no secret": "Signing secret is required",
    "no headers": "Headers are required",
    "no body": "Body is required",
    "no action": "UserHub-Action header is missing",
    "no timestamp": "UserHub-Timestamp header is missing",
    "no signature": "UserHub-Signature header is missing",
    "blank signature": "UserHub-Signature header normalized to nothing",
    "no number": "Timestamp is invalid: x",
    "301 s old": "Timestamp is too far in the past: ",
    "302 s ahead": "Timestamp is too far in the future: ",
    "altered": "Signatures do not match",
    "another secret": "Signatures do not match",
}
# What an error that a handler raises is answered with, by its code.
RAISED = {
    "CANCELLED": 502,
    "UNKNOWN": 502,
    "INVALID_ARGUMENT": 422,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "UNAUTHENTICATED": 502,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 409,
    "ABORTED": 502,
    "OUT_OF_RANGE": 502,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 502,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 502,
}


def check(report, stage, signet):
    tenant = signet.create_tenant(name="userhub users", dialect={"header_prefix": "UserHub"})
    # As UserHub's console shows them: no whsec_, no base64.
    secret = f"{secrets.token_urlsafe(24)}~!"
    url = receiver_url()
    flask = [sys.executable, "-m", "flask", "--app", VENDORS / "userhub_users.py", "run", "--port", str(urlsplit(url).port)]
    stage.start_listening("userhub-users", flask, url, {"SIGNING_SECRET": secret})

    def webhook(fault="", at=url, of=tenant):
        asked = {"format": "action", "secret": secret}
        return of.create_webhook(f"{at}?fault={quote(fault)}" if fault else at, ["none"], **asked)

    asked = tenant.create_webhook(url, ["none"], format="action", secret=secret, activation={"method": "challenge"})
    report.check("a receiver's own secret activates its webhook", activates, tenant, asked)
    report.check("users are created, listed, shown, changed and deleted", keeps_users, tenant, asked)
    report.check("a user who is not there is told from a webhook that is not there", misses, tenant, asked)
    for code, status in RAISED.items():
        report.check(f"an error of code {code} is answered {status}", raises, tenant, asked, code, status)
    report.check("there is no code that the SDK knows and Signet does not", knows_all_codes)
    sentence = "what a handler raises unforeseen is answered 502 and told to nobody"
    report.check(sentence, raises_unforeseen, tenant, asked)
    report.check("a receiver without a handler is answered 501", has_no_handler, tenant, webhook("no handlers"))
    for fault, message in UNBELIEVED.items():
        sentence = f"what the SDK does not believe, because of {fault}, is told from a receiver that fails"
        report.check(sentence, is_unbelieved, tenant, webhook(fault), message)
    stranger = signet.create_tenant(name="userhub stranger")
    sentence = "a tenant that speaks with another prefix is told which header its receiver lacks"
    report.check(sentence, is_unbelieved, stranger, webhook(of=stranger), "UserHub-Action header is missing")
    copied = webhook(at=f"{stage.inbox.url}{COPIES}")
    sentence = "a users.get that is relabelled as users.delete is believed: the SDK's scheme does not cover the action"
    report.check(sentence, believes_relabelled, stage, tenant, asked, copied, url)


def activates(tenant, webhook):
    activated = tenant.activate_webhook(webhook["id"])

    assert activated["activated"], f"it answered {activated}"


def keeps_users(tenant, webhook):
    def answer(action, **asked):
        status, answered = tenant.call_action(webhook["id"], f"users.{action}", **asked)
        assert status == 200, f"users.{action} answered {status}: {answered}"
        return answered

    ada = answer("create", **ADA)
    grace = answer("create", email="grace@example.com", displayName="Grace \"\u00fc\u2028 Hopper")
    assert ada == ADA | {"id": "usr_1"}, f"it created {ada}"
    first = answer("list", pageSize=1)
    second = answer("list", pageSize=1, pageToken=first["nextPageToken"])
    assert (first["users"], second) == ([ada], {"users": [grace]}), f"it listed {first}, {second}"
    assert answer("get", id=grace["id"])["displayName"] == "Grace \"\u00fc\u2028 Hopper"
    changed = answer("update", id="usr_1", disabled=True, imageUrl="")
    assert changed == ada | {"disabled": True, "imageUrl": ""}, f"it changed {changed}"
    assert answer("delete", id=grace["id"]) == {}
    assert answer("list", pageSize=10) == {"users": [changed]}


def refused(tenant, webhook, action="users.get", **asked):
    """The status and the problem, and what it says."""
    status, problem = tenant.call_action(webhook["id"], action, **asked)
    return status, problem["code"], problem["detail"]


def misses(tenant, webhook):
    of_user = refused(tenant, webhook, id="usr_9")
    of_webhook = refused(tenant, {"id": "wh_01HZZZZZZZZZZZZZZZZZZZZZZZ"}, id="usr_9")

    assert of_user == (404, "receiver_not_found", "the receiver answered NOT_FOUND: User not found"), f"{of_user}"
    assert of_webhook[:2] == (404, "not_found"), f"{of_webhook}"
    for action in ["users.update", "users.delete"]:
        assert refused(tenant, webhook, action, id="usr_9") == of_user
    taken = refused(tenant, webhook, "users.create", email=ADA["email"])
    assert taken == (409, "receiver_already_exists", "the receiver answered ALREADY_EXISTS: email is taken"), f"{taken}"


def raises(tenant, webhook, code, status):
    answered = refused(tenant, webhook, id=f"raise {code}")

    expected = status, f"receiver_{code.lower()}", f"the receiver answered {code}: raised by the handler"
    assert answered == expected, f"it answered {answered}"


def knows_all_codes():
    assert {code.value for code in Code} == RAISED.keys() | {"OK"}


def raises_unforeseen(tenant, webhook):
    answered = refused(tenant, webhook, id="unforeseen")

    assert answered == (502, "receiver_internal", "the receiver answered INTERNAL: Webhook server error"), f"{answered}"


def has_no_handler(tenant, webhook):
    answered = refused(tenant, webhook, id="usr_1")

    words = "the receiver answered UNIMPLEMENTED: Handler not implemented: users.get"
    assert answered == (501, "receiver_unimplemented", words), f"{answered}"


def is_unbelieved(tenant, webhook, message):
    status, code, detail = refused(tenant, webhook, id="usr_1")

    assert (status, code) == (502, "receiver_unverified") and message in detail, f"{status} {code}: {detail}"


def believes_relabelled(stage, tenant, webhook, copied, url):
    # The inbox answers 204 with nothing in it, which is no answer.
    status, code, detail = refused(tenant, copied, id="usr_1")
    assert (status, code) == (502, "receiver_malformed"), f"{status} {code}: {detail}"
    copy = stage.inbox.first_at(COPIES)
    assert copy.query == "action=users.get" and json.loads(copy.body) == {"id": "usr_1"}, f"{copy}"

    relabelled = resend(url, copy.body, headers_of(copy, userhub_action="users.delete"))

    assert relabelled == (200, "{}"), f"it answered {relabelled}"
    assert refused(tenant, webhook, id="usr_1")[:2] == (404, "receiver_not_found"), "it was not deleted"
