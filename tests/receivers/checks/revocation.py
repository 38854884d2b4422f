"""A key is revoked under the eyes of libraries that hold it, some of which are told. For how long does each believe it?

Those of webhooks get `signet.key.revoked`. Those behind queues get no token at all, so that nothing renews their caches.
"""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from checks import forgeries
from driver.cast import Witness
from driver.libraries import FOR_EVER
from driver.signet import Signet
from driver.stage import wait_until
from driver.tokens import header_of, payload_of

REVOKED = "signet.key.revoked"
GONE_WITHIN_S = 10
ARRIVES_WITHIN_S = 15
ASKS_EVERY_S = 0.25
# jose and PyJWT do not ask again sooner than this after they fetched a set; undivided.
COOLDOWN_S = 30
# An event on its way, and a busy machine.
SLACK_S = 5


@dataclass(frozen=True)
class Scene:
    signet: Signet
    webhooks: list
    queues: list
    witness: Witness
    other: Witness
    compression: float


def check(report, scene):
    stolen, misdirected = next_token(scene.witness), next_token(scene.other)
    kid = header_of(stolen)["kid"]
    forged = forgeries.beside(stolen, misdirected, scene.signet.jwks_url)
    for client in scene.webhooks:
        sentence = f"{client.library.name} refuses {', '.join(forged)}"
        report.check(sentence, refuses_all, client, forged)
    # The last of them names a kid that nobody has, for which a set is fetched: from here, trust lasts as long as it can.
    for client in scene.queues:
        report.survives("what is stolen is still good", believes, client, stolen)
        report.survives("a stranger's key is refused", refuses_all, client, forged)
    time.sleep(COOLDOWN_S / scene.compression)

    successor = scene.signet.revoke_key(kid, "stolen")["active_kid"]
    revoked_at = time.monotonic()
    clients = scene.webhooks + scene.queues
    longest_s = max(client.library.left_alone_here_s or 0 for client in clients) + SLACK_S
    with ThreadPoolExecutor(len(clients)) as beside:
        measured = [beside.submit(trust_in, client, stolen, revoked_at, longest_s) for client in clients]
        report.check(f"a revoked key leaves the JWKS within {GONE_WITHIN_S} s", leaves, scene.signet, kid)
        for client in scene.webhooks:
            sentence = f"{client.library.name} verified {REVOKED}, signed by a key that it lacked"
            report.check(sentence, is_told, scene.signet, client, {kid, successor})
    trusts = [trust.result() for trust in measured]
    told, left_alone = trusts[: len(scene.webhooks)], trusts[len(scene.webhooks) :]
    for client, told_s, alone_s in zip(scene.webhooks, told, left_alone, strict=True):
        check_trust(report, client.library, told_s, alone_s)
    check_late_news(report, scene, stolen)


def check_trust(report, library, told_s, alone_s):
    seen, unseen = in_words(told_s), in_words(alone_s)
    report.note(f"{library.name} {library.keeps}: it believed the revoked key {seen} when told, {unseen} when left alone")
    if library.forgets_when_told:
        sentence = f"{library.name} refuses a revoked key's token as soon as it is told"
        report.check(sentence, is_within, told_s, SLACK_S)
    else:
        sentence = f"{library.name} refuses a revoked key's token, told or not, when its cache has run out"
        report.check(sentence, is_within, told_s, library.left_alone_here_s + SLACK_S)
    if library.left_alone_s is not FOR_EVER:
        sentence = f"{library.name} refuses a revoked key's token after {library.left_alone_here_s:g} s when left alone"
        report.check(sentence, is_within, alone_s, library.left_alone_here_s + SLACK_S)


def check_late_news(report, scene, stolen):
    """Those that would believe for ever have not been told yet."""
    tokens = scene.witness.tokens()
    news = next(token for token in tokens if json.loads(payload_of(token))["evt"] == REVOKED)
    for client in scene.queues:
        if client.library.left_alone_s is FOR_EVER:
            sentence = f"{client.library.name}, left alone, believes a revoked key for ever, and forgets it by the news"
            report.check(sentence, forgets_by, client, news, stolen)


def next_token(witness):
    seen = len(witness.tokens())
    wait_until("another event arrives", lambda: len(witness.tokens()) > seen, ARRIVES_WITHIN_S)
    return witness.tokens()[-1]


def believes(client, token):
    refusal = client.refusal_of(token)
    assert refusal is None, f"{client.library.name} refused it: {refusal}"


def refuses_all(client, forged):
    for flaw, token in forged.items():
        assert client.refusal_of(token), f"{client.library.name} believed a token with {flaw}"


def trust_in(client, token, revoked_at, longest_s):
    """For how long it goes on believing a token; none when that is longer."""
    while True:
        asked_after_s = time.monotonic() - revoked_at
        if client.refusal_of(token):
            return asked_after_s
        if asked_after_s > longest_s:
            return None
        time.sleep(ASKS_EVERY_S)


def in_words(trust_s):
    return "to the end of the measurement" if trust_s is None else f"for {trust_s:.1f} s"


def is_within(trust_s, most_s):
    assert trust_s is not None and trust_s <= most_s, f"it believed the key for {trust_s} s, more than {most_s} s"


def leaves(signet, kid):
    wait_until("the JWKS is without it", lambda: kid not in signet.published_kids(), GONE_WITHIN_S)


def is_told(signet, client, known_kids):
    def attempted():
        return [each for each in signet.deliveries(client.webhook_id, event=REVOKED) if each["log"]]

    wait_until(f"{REVOKED} is sent", attempted, ARRIVES_WITHIN_S)
    (delivery,) = attempted()
    assert is_perfect(delivery), f"it is {delivery['status']}; its attempts were {delivery['log']}"
    kid = delivery["log"][0]["kid"]
    assert kid not in known_kids, f"it was signed by {kid}, which is in every cache"


def forgets_by(client, news, stolen):
    believes(client, stolen)
    believes(client, news)
    assert client.refusal_of(stolen), "it still believes the token"


def is_perfect(delivery):
    return delivery["status"] == "delivered" and delivery["attempts"] == 1
