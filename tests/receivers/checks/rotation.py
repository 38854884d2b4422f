"""Keys change in the middle of a stream, and a receiver that cached the key set before notices nothing."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

from driver.stage import receiver_url, wait_until

TITLE = "keys can be rotated in the middle of a stream"
EVENTS = 120
EVENTS_PER_S = 20
VERIFIES_WITHIN_S = 15
# For so long after it fetched the key set, jose does not fetch it again, whatever kid it meets.
JOSE_COOLDOWN_S = 30


def check(report, stage, signet):
    url = receiver_url()
    log = stage.start_receiver("caching.js", url, JWKS_URL=signet.jwks_url, AUDIENCE=url, ISSUER=signet.issuer)
    signet.create_webhook(url, ["stream"])

    started_at = time.monotonic()
    sent = stream_with_rotation(signet)
    wait_until("every event of the stream is judged", lambda: sent <= judged(log), VERIFIES_WITHIN_S)
    lasted_for_s = time.monotonic() - started_at

    sentence = f"a caching receiver refused none of {EVENTS} deliveries, keys rotated in their midst"
    report.check(sentence, none_is_refused, log)
    report.check("at least two kids signed that stream", kids_differ, log)
    report.check("jose fetched no key set in between: all fell within its cooldown", within_cooldown, lasted_for_s)


def stream_with_rotation(signet):
    """Publishes at an even pace and rotates beside it, so that the stream does not wait for the new key."""
    sent = set()
    first_at = time.monotonic()
    with ThreadPoolExecutor(1) as beside:
        for number in range(EVENTS):
            time.sleep(max(0, first_at + number / EVENTS_PER_S - time.monotonic()))
            if number == EVENTS // 2:
                rotation = beside.submit(signet.rotate_keys)
            sent.add(signet.publish("stream.tick", b'{"number":%d}' % number)["id"])
    rotation.result()
    return sent


def none_is_refused(log):
    refused = [verdict for verdict in verdicts(log) if not verdict["ok"]]
    assert not refused, f"{len(refused)} refused, the first: {refused[0]}"


def kids_differ(log):
    kids = {verdict["kid"] for verdict in verdicts(log)}
    assert len(kids) >= 2, f"the kids were {kids}"


def within_cooldown(lasted_for_s):
    assert lasted_for_s < JOSE_COOLDOWN_S, f"the stream lasted for {lasted_for_s:.1f} s"


def judged(log):
    return {verdict.get("jti") for verdict in verdicts(log)}


def verdicts(log):
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{") and line.endswith("}")]
