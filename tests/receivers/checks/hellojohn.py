"""The curl commands of HelloJohn's webhook guide, run by curl; only host, key and ids are replaced."""

import json
import re
import subprocess
import time

import jwt

from python.verify import verify

TITLE = "HelloJohn's commands can be tried"
CREATE = """curl -X POST "https://api.hellojohn.dev/v1/webhooks" \\
  -H "Authorization: Bearer sk_live_abc123" \\
  -H "X-Tenant-ID: tnt_01HABCDEF654321" \\
  -H "Content-Type: application/json" \\
  -d '{
    "url": "https://api.your-app.com/webhooks/hellojohn",
    "events": ["user.created", "user.deleted", "session.created"],
    "description": "User lifecycle events"
  }'"""
TEST = """curl -X POST "https://api.hellojohn.dev/v1/webhooks/wh_01HABCDEF777001/test" \\
  -H "Authorization: Bearer sk_live_abc123" \\
  -H "X-Tenant-ID: tnt_01HABCDEF654321" \\
  -H "Content-Type: application/json" \\
  -d '{"event": "user.created"}'"""
DISABLE = """curl -X PATCH "https://api.hellojohn.dev/v1/webhooks/wh_01HABCDEF777001" \\
  -H "Authorization: Bearer sk_live_abc123" \\
  -H "X-Tenant-ID: tnt_01HABCDEF654321" \\
  -H "Content-Type: application/json" \\
  -d '{"enabled": false}'"""
PATH = "/webhooks/hellojohn"
WITNESS_PATH = "/webhooks/witness"
# The created webhook of the guide does not subscribe to it: nothing is sent to a stranger's host.
EVENT_TYPE = "org.member.added"
ANSWERS_WITHIN_S = 60
STAYS_QUIET_FOR_S = 1


def check(report, stage, signet):
    tenant = signet.create_tenant(name="hellojohn")
    url = f"{stage.inbox.url}{PATH}"
    webhook = tenant.create_webhook(url, ["user.created", EVENT_TYPE])

    report.check("HelloJohn's create command answers 201 with the documented members", creates, tenant)
    report.check("HelloJohn's test command answers 200", answers_test, tenant, webhook)
    report.check("HelloJohn's test command delivers what PyJWT verifies", test_verifies, stage, tenant, url)
    report.check("HelloJohn's disable command answers 200", disables, tenant, webhook)
    report.check("a disabled webhook receives no further event", stays_quiet, stage, tenant)


def creates(tenant):
    status, webhook = curl(CREATE, tenant)

    assert status == 201, f"it answered {status}: {webhook}"
    assert webhook["id"].startswith("wh_"), f"id is {webhook['id']}"
    assert webhook["url"] == "https://api.your-app.com/webhooks/hellojohn", f"url is {webhook['url']}"
    assert webhook["events"] == ["user.created", "user.deleted", "session.created"], f"events are {webhook['events']}"
    assert webhook["signing_secret"].startswith("whsec_"), "signing_secret does not start with whsec_"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", webhook["created_at"]), webhook["created_at"]


def answers_test(tenant, webhook):
    status, outcome = curl(TEST, tenant, webhook)

    assert status == 200, f"it answered {status}: {outcome}"


def test_verifies(stage, tenant, url):
    delivery = stage.inbox.first_at(PATH)

    claims = verify(delivery.body, jwt.PyJWKClient(tenant.jwks_url), url, tenant.issuer)

    assert claims["evt"] == "user.created", f"evt is {claims['evt']}"


def disables(tenant, webhook):
    status, changed = curl(DISABLE, tenant, webhook)

    assert status == 200, f"it answered {status}: {changed}"
    assert changed["enabled"] is False, f"it answered {changed}"


def stays_quiet(stage, tenant):
    """A second webhook of the same tenant witnesses that the event did go out."""
    tenant.create_webhook(f"{stage.inbox.url}{WITNESS_PATH}", [EVENT_TYPE])
    received = len(stage.inbox.at(PATH))

    tenant.publish(EVENT_TYPE, b'{"id":"usr_1"}')

    stage.inbox.first_at(WITNESS_PATH)
    time.sleep(STAYS_QUIET_FOR_S)
    assert len(stage.inbox.at(PATH)) == received, "it received the event"


def curl(documented, tenant, webhook=None):
    """Runs a command of the guide; tells the status and the JSON that came back."""
    command = (
        documented.replace("https://api.hellojohn.dev", tenant.url)
        .replace("sk_live_abc123", tenant.admin_key)
        .replace("tnt_01HABCDEF654321", tenant.tenant_id)
        .replace("wh_01HABCDEF777001", webhook["id"] if webhook else "")
    )
    printed = subprocess.run(
        ["sh", "-c", f"{command} --silent --show-error --write-out '\\n%{{http_code}}'"],
        capture_output=True,
        timeout=ANSWERS_WITHIN_S,
        check=True,
        text=True,
    ).stdout
    answer, status = printed.rsplit("\n", 1)
    return int(status), json.loads(answer)
