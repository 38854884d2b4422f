"""Speaks to a running Signet over its API, as a platform would."""

import json
import urllib.error
import urllib.request
from urllib.parse import urlencode

ANSWERS_WITHIN_S = 30
# A poll may wait for half a minute.
POLL_WITHIN_S = 40
ANY_SUCCESS = range(200, 300)
PAGE_MAX = 100


class Signet:
    """One tenant of it, seen with the instance-wide admin key; without a `tenant_id`, the default tenant."""

    def __init__(self, url, admin_key, tenant_id=None):
        self.url = url
        self.admin_key = admin_key
        self.tenant_id = tenant_id
        self.issuer = f"{url}/{tenant_id}" if tenant_id else url
        self.jwks_url = f"{self.issuer}/.well-known/jwks.json"

    def create_tenant(self, **settings):
        tenant = self._post("/v1/admin/tenants", as_json(settings), [201])
        return Signet(self.url, self.admin_key, tenant["id"])

    def create_webhook(self, url, events, **settings):
        return self._post("/v1/webhooks", as_json({"url": url, "events": events} | settings), [201])

    def create_pulling_webhook(self, events, **settings):
        return self._post("/v1/webhooks", as_json({"delivery": "pull", "events": events} | settings), [201])

    def poll(self, webhook, **wish):
        """Collects as the receiver of a webhook that was made here."""
        headers = {"Authorization": f"Bearer {webhook['pull_key']}", "Content-Type": "application/json"}
        request = urllib.request.Request(webhook["url"], as_json(wish), headers, method="POST")
        with urllib.request.urlopen(request, timeout=POLL_WITHIN_S) as response:
            return json.load(response)

    def activate_webhook(self, webhook_id):
        return self._post(f"/v1/webhooks/{webhook_id}/activate", b"{}", [200])

    def rotate_secret(self, webhook_id, **settings):
        return self._post(f"/v1/webhooks/{webhook_id}/secret/rotate", as_json(settings), [200])

    def call_action(self, webhook_id, action, **asked):
        """The status and the answer, whichever they are."""
        return self._ask(f"/v1/webhooks/{webhook_id}/actions/{action}", as_json(asked))

    def configure_hooks(self, **hooks):
        return self._post("/v1/admin/config", as_json({"hooks": hooks}), [200], "PATCH")

    def rotate_hook_secret(self, **settings):
        return self._post("/v1/admin/hooks/secret/rotate", as_json(settings), [200])

    def ask_hook(self, kind, payload):
        """`payload` is JSON text, which goes to the receiver as it is."""
        return self._post(f"/v1/hooks/{kind}", payload, [200])

    def hook_log(self, **filters):
        """The latest first."""
        return self._get(f"/v1/admin/hooks/logs?{urlencode(filters)}")["data"]

    def publish(self, event_type, content):
        """`content` is the event's data as JSON text, sent as it is."""
        event = b'{"type":"%s","data":%s}' % (event_type.encode(), content)
        return self._post("/v1/events", event, [202])

    def deliveries(self, webhook_id, **filters):
        """A webhook's, newest first, each with its attempts as `log`."""
        path, query = f"/v1/webhooks/{webhook_id}/deliveries", filters | {"limit": PAGE_MAX}
        while query:
            page = self._get(f"{path}?{urlencode(query)}")
            for delivery in page["data"]:
                yield self._get(f"{path}/{delivery['event_id']}")
            cursor = page["pagination"]["next_cursor"]
            query = cursor and query | {"cursor": cursor}

    def published_keys(self):
        with urllib.request.urlopen(self.jwks_url, timeout=ANSWERS_WITHIN_S) as response:
            return json.load(response)["keys"]

    def published_kids(self):
        return [key["kid"] for key in self.published_keys()]

    def rotate_keys(self):
        return self._post("/v1/admin/keys/rotate", b"{}", ANY_SUCCESS)

    def revoke_key(self, kid, reason):
        return self._post(f"/v1/admin/keys/{kid}/revoke", as_json({"reason": reason}), ANY_SUCCESS)

    def _get(self, path):
        request = urllib.request.Request(self.url + path, headers=self._headers())
        with urllib.request.urlopen(request, timeout=ANSWERS_WITHIN_S) as response:
            return json.load(response)

    def _post(self, path, body, expected, method="POST"):
        status, answer = self._ask(path, body, method)
        if status not in expected:
            raise AssertionError(f"{method} {path} answered {status}, not {expected}: {answer}")
        return answer

    def _ask(self, path, body, method="POST"):
        request = urllib.request.Request(self.url + path, body, self._headers(), method=method)
        try:
            with urllib.request.urlopen(request, timeout=ANSWERS_WITHIN_S) as response:
                return response.status, json.loads(response.read() or b"null")
        except urllib.error.HTTPError as refusal:
            return refusal.code, json.loads(refusal.read() or b"null")

    def _headers(self):
        headers = {"Authorization": f"Bearer {self.admin_key}", "Content-Type": "application/json"}
        if self.tenant_id:
            headers["X-Tenant-ID"] = self.tenant_id
        return headers


def as_json(value):
    return json.dumps(value, separators=(",", ":")).encode()
