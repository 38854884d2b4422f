"""Other people's libraries verify a delivery per second each while keys rotate twenty times, and hear of a revocation.

The timeline is compressed: keys live so many times faster than `PERIOD_S` and its fellows say, and so do the libraries'
caches. With `--in-real-time` both keep their own times, and it takes forty minutes.
"""

import time
from concurrent.futures import ThreadPoolExecutor

from checks import forgeries
from driver.cast import ANOTHER_AUDIENCE, start_clients, start_witness
from driver.libraries import FOR_EVER, libraries
from driver.stage import wait_until
from driver.stream import Stream
from driver.tokens import header_of

TITLE = "libraries can be tried while keys rotate"
SERVER = "signet-clients"
TICK = "clients.tick"
REVOKED = "signet.key.revoked"

COMPRESSION = 40
# Before they are divided. A standby must be published for longer than any library waits until it asks again: 30 s.
PERIOD_S = 80
PUBLISH_AHEAD_S = 40
GRACE_S = 1600
ROTATIONS = 20
# Trust in a revoked key is measured while nothing rotates: a key that a cache lacks would renew it.
QUIET_PERIOD = "1d"
# Nothing here lasts so long: no token is refused for its age.
TOKEN_TTL_S = 3600

GONE_WITHIN_S = 10
ARRIVES_WITHIN_S = 15
ASKS_EVERY_S = 0.25
# A second until the next token, and a busy machine.
SLACK_S = 2.5


def check(report, stage, _signet):
    compression = 1 if stage.in_real_time else COMPRESSION
    present = build_present(report, libraries(compression))
    instance = stage.start_signet(SERVER, **key_settings(compression))
    signet = instance.create_tenant(name="clients", token_ttl=TOKEN_TTL_S)
    settings = {"COMPRESSION": str(compression), "PUBLISH_AHEAD_S": str(PUBLISH_AHEAD_S / compression)}
    clients = start_clients(stage, signet, present, TICK, settings)
    witness = start_witness(stage, signet, TICK)
    other = start_witness(stage, signet, TICK, ANOTHER_AUDIENCE)

    with Stream(signet, TICK) as before:
        limit_s = 2 * ROTATIONS * (PERIOD_S / compression + SLACK_S)
        wait_until(f"keys rotate {ROTATIONS} times", lambda: len(witness.kids()) > ROTATIONS, limit_s)
    # A server that is ending finishes its deliveries, but whoever needs a key for one of them can no longer fetch it.
    for client in clients:
        wait_until_tried(signet, client)
    stage.restart_signet(SERVER, SIGNET_KEY_PERIOD=QUIET_PERIOD)
    with Stream(signet, TICK) as after:
        report.survives("a key can be revoked", check_revocation, report, signet, clients, (witness, other))

    for client in clients:
        wait_until_tried(signet, client)
        log = {delivery["event_id"]: delivery for delivery in signet.deliveries(client.webhook_id)}
        name, kids = client.library.name, ROTATIONS + 1
        sentence = f"{name} verified a delivery per second through {ROTATIONS} rotations, each at the first attempt"
        report.check(sentence, verified, log, before.sent, kids)
        sentence = f"{name} verified each delivery around a revocation at the first attempt"
        report.check(sentence, verified, log, after.sent, 2)


def key_settings(compression):
    def divided(span_s):
        return f"{round(1000 * span_s / compression)}ms"

    return {
        "SIGNET_KEY_PROFILE": "development",
        "SIGNET_KEY_PERIOD": divided(PERIOD_S),
        "SIGNET_KEY_PUBLISH_AHEAD": divided(PUBLISH_AHEAD_S),
        "SIGNET_KEY_GRACE": divided(GRACE_S),
    }


def build_present(report, known):
    present = []
    for library in known:
        if library.is_missing():
            report.skip(library.name, "this machine lacks its packages")
            continue
        library.build_receiver()
        present.append(library)
    return present


def check_revocation(report, signet, clients, witnesses):
    stolen, misdirected = (next_token(witness) for witness in witnesses)
    kid = header_of(stolen)["kid"]
    # The last of them names a kid that nobody has. So every set that is kept is fresh then, and has the standby in it:
    # trust cannot last longer than it will from here, and what the standby signs renews no set.
    forged = forgeries.beside(stolen, misdirected, signet.jwks_url)
    for client in clients:
        sentence = f"{client.library.name} refuses {', '.join(forged)}"
        report.check(sentence, refuses, client, forged)

    successor = signet.revoke_key(kid, "stolen")["active_kid"]
    revoked_at = time.monotonic()
    longest_s = max(client.library.trusts_here_for_s or 0 for client in clients) + SLACK_S
    with ThreadPoolExecutor(len(clients)) as beside:
        measured = [beside.submit(trust_in, client, stolen, revoked_at, longest_s) for client in clients]
        report.check(f"a revoked key leaves the JWKS within {GONE_WITHIN_S} s", leaves, signet, kid)
        for client in clients:
            sentence = f"{client.library.name} verified {REVOKED}, signed by the new key"
            report.check(sentence, is_told, signet, client, successor)
    for client, trust in zip(clients, measured, strict=True):
        report.note(told_trust(client.library, trust.result()))
        if client.library.trusts_for_s is not FOR_EVER:
            sentence = f"{client.library.name} refuses a revoked key's token when its cache has run out"
            report.check(sentence, is_within, trust.result(), client.library.trusts_here_for_s + SLACK_S)

    signet.rotate_keys()
    for client in clients:
        if client.library.trusts_for_s is FOR_EVER:
            sentence = f"{client.library.name} refuses a revoked key's token once it has met a kid that it lacked"
            report.check(sentence, refuses_in_the_end, client, stolen)


def next_token(witness):
    seen = len(witness.tokens())
    wait_until("another event arrives", lambda: len(witness.tokens()) > seen, ARRIVES_WITHIN_S)
    return witness.tokens()[-1]


def refuses(client, forged):
    for flaw, token in forged.items():
        assert client.refusal_of(token), f"it believed a token with {flaw}"


def trust_in(client, token, revoked_at, longest_s):
    """For how long it goes on believing a token; none when that is longer."""
    while True:
        asked_after_s = time.monotonic() - revoked_at
        if client.refusal_of(token):
            return asked_after_s
        if asked_after_s > longest_s:
            return None
        time.sleep(ASKS_EVERY_S)


def told_trust(library, trust_s):
    seen = "to the end of the measurement" if trust_s is None else f"for {trust_s:.1f} s"
    if library.trusts_for_s is FOR_EVER:
        limit = "no limit until it meets a kid that it lacks"
    else:
        limit = f"the limit is {library.trusts_for_s} s, here {library.trusts_here_for_s:g} s"
    return f"{library.name} {library.keeps}: it believed the revoked key {seen}; {limit}"


def is_within(trust_s, most_s):
    assert trust_s is not None and trust_s <= most_s, f"it believed the key for {trust_s} s, more than {most_s} s"


def leaves(signet, kid):
    wait_until("the JWKS is without it", lambda: kid not in signet.published_kids(), GONE_WITHIN_S)


def is_told(signet, client, successor):
    def deliveries():
        return list(signet.deliveries(client.webhook_id, event=REVOKED))

    wait_until(f"{REVOKED} is acknowledged", lambda: [each for each in deliveries() if each["log"]], ARRIVES_WITHIN_S)
    delivery, = deliveries()
    assert is_perfect(delivery), f"it is {delivery['status']}; its attempts were {delivery['log']}"
    assert delivery["log"][0]["kid"] == successor, f"it was signed by {delivery['log'][0]['kid']}, not by {successor}"


def refuses_in_the_end(client, token):
    wait_until("it refuses the token", lambda: client.refusal_of(token), ARRIVES_WITHIN_S)


def wait_until_tried(signet, client):
    def has_pending():
        return any(signet.deliveries(client.webhook_id, status="pending"))

    wait_until("everything was tried once", lambda: not has_pending(), ARRIVES_WITHIN_S)


def verified(log, sent, kids_min):
    missing = sent - log.keys()
    assert not missing, f"{len(missing)} of {len(sent)} events were never delivered"
    imperfect = [log[event_id] for event_id in sent if not is_perfect(log[event_id])]
    assert not imperfect, f"{len(imperfect)} of {len(sent)} were not, the first: {imperfect[0]['log'][:1]}"
    kids = {log[event_id]["log"][0]["kid"] for event_id in sent}
    assert len(kids) >= kids_min, f"{len(kids)} keys signed, fewer than {kids_min}"


def is_perfect(delivery):
    return delivery["status"] == "delivered" and delivery["attempts"] == 1
