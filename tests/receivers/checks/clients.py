"""Other people's libraries verify a delivery per second each while keys rotate twenty times.

The timeline is compressed: keys live so many times faster than `PERIOD_S` and its fellows say, and so do the libraries'
caches. With `--in-real-time` both keep their own times, and it takes forty minutes.
"""

from checks import revocation
from driver.cast import ANOTHER_AUDIENCE, start_queues, start_webhooks, start_witness
from driver.libraries import libraries
from driver.stage import wait_until
from driver.stream import Stream

TITLE = "libraries can be tried while keys rotate"
SERVER = "signet-clients"
TICK = "clients.tick"

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

TRIES_WITHIN_S = 15
# What a busy machine may add to each rotation.
SLACK_S = 2.5


def check(report, stage, _signet):
    compression = 1 if stage.in_real_time else COMPRESSION
    present = build_present(report, libraries(compression))
    instance = stage.start_signet(SERVER, **key_settings(compression))
    signet = instance.create_tenant(name="clients", token_ttl=TOKEN_TTL_S)
    settings = {"COMPRESSION": str(compression), "PUBLISH_AHEAD_S": str(PUBLISH_AHEAD_S / compression)}
    webhooks = start_webhooks(stage, signet, present, TICK, settings)
    witness = start_witness(stage, signet, TICK)
    other = start_witness(stage, signet, TICK, ANOTHER_AUDIENCE)

    with Stream(signet, TICK) as before:
        limit_s = 2 * ROTATIONS * (PERIOD_S / compression + SLACK_S)
        wait_until(f"keys rotate {ROTATIONS} times", lambda: len(witness.kids()) > ROTATIONS, limit_s)
    # A server that is ending finishes its deliveries, but whoever needs a key for one of them can no longer fetch it.
    wait_until_tried(signet, webhooks)
    stage.restart_signet(SERVER, SIGNET_KEY_PERIOD=QUIET_PERIOD)
    with Stream(signet, TICK) as after:
        queues = start_queues(stage, signet, present, settings)
        scene = revocation.Scene(signet, webhooks, queues, witness, other, compression)
        report.survives("a key can be revoked", revocation.check, report, scene)
    wait_until_tried(signet, webhooks)

    for client in webhooks:
        name, log = client.library.name, {each["event_id"]: each for each in signet.deliveries(client.webhook_id)}
        sentence = f"{name} verified a delivery per second through {ROTATIONS} rotations, each at the first attempt"
        report.check(sentence, verified, log, before.sent, ROTATIONS + 1)
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


def wait_until_tried(signet, webhooks):
    def has_pending(client):
        return any(signet.deliveries(client.webhook_id, status="pending"))

    wait_until("everything was tried once", lambda: not any(map(has_pending, webhooks)), TRIES_WITHIN_S)


def verified(log, sent, kids_min):
    missing = sent - log.keys()
    assert not missing, f"{len(missing)} of {len(sent)} events were never delivered"
    imperfect = [log[event_id] for event_id in sent if not revocation.is_perfect(log[event_id])]
    assert not imperfect, f"{len(imperfect)} of {len(sent)} were not, the first: {imperfect[0]['log'][:1]}"
    kids = {log[event_id]["log"][0]["kid"] for event_id in sent}
    assert len(kids) >= kids_min, f"{len(kids)} keys signed, fewer than {kids_min}"
