"""Receivers per library, of webhooks and of queues, and a witness that keeps every token that webhooks are sent."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from urllib.parse import urlsplit

from driver.libraries import Library
from driver.stage import receiver_url
from driver.tokens import header_of, token_of

AUDIENCE = "https://receivers.example/clients"
ANOTHER_AUDIENCE = "https://receivers.example/others"
ANSWERS_WITHIN_S = 10


@dataclass(frozen=True)
class Client:
    library: Library
    url: str
    # None where tokens come by other ways, as from a queue: Signet does not know of it then.
    webhook_id: str | None

    def refusal_of(self, token):
        """Its own words against a token that somebody sends it; none when it believes the token."""
        request = urllib.request.Request(self.url, json.dumps({"token": token}).encode())
        request.add_header("Content-Type", "application/json")
        try:
            urllib.request.urlopen(request, timeout=ANSWERS_WITHIN_S).close()
            return None
        except urllib.error.HTTPError as refusal:
            if refusal.code != 400:
                raise
            return refusal.read().decode(errors="replace")


class Witness:
    """A webhook of the same audience, so that whatever reaches it would be believed by every client."""

    def __init__(self, inbox, path):
        self._inbox = inbox
        self._path = path

    def tokens(self):
        """In the order of their coming."""
        return [token_of(delivery.body) for delivery in self._inbox.at(self._path)]

    def kids(self):
        """Those that signed, in the order of their coming."""
        return list(dict.fromkeys(header_of(token)["kid"] for token in self.tokens()))


def start_webhooks(stage, signet, libraries, event_type, settings):
    clients = []
    for library in libraries:
        url = start(stage, signet, library, "webhook", settings)
        webhook = signet.create_webhook(url, [event_type], audience=AUDIENCE)
        clients.append(Client(library, url, webhook["id"]))
    return clients


def start_queues(stage, signet, libraries, settings):
    return [Client(library, start(stage, signet, library, "queue", settings), None) for library in libraries]


def start(stage, signet, library, kind, settings):
    url = receiver_url()
    name = f"{library.name.replace(' ', '-')}-{kind}"
    pins = {"AUDIENCE": AUDIENCE, "ISSUER": signet.issuer, "JWKS_URL": signet.jwks_url}
    stage.start_listening(name, library.command_at(urlsplit(url).port), url, pins | settings)
    return url


def start_witness(stage, signet, event_type, audience=AUDIENCE):
    path = f"/witness/{audience.rsplit('/', 1)[1]}"
    signet.create_webhook(f"{stage.inbox.url}{path}", [event_type], audience=audience)
    return Witness(stage.inbox, path)
