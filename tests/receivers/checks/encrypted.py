"""Data that is encrypted to its receiver, through a gateway that logs every body: the README's receivers, with jose and with joserfc,
verify what is outside against the JWKS and open what is inside. Nobody in between finds the code that was sent."""

import base64
import json
import re
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from joserfc import jwe, jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

from driver.gateway import Gateway
from driver.publisher import Publisher
from driver.resending import headers_of, resend
from driver.stage import HANKO, is_listening, is_running, receiver_url, wait_until
from driver.tokens import altered, decoded, encoded, payload_of, replaced, token_of

TITLE = "receivers of encrypted data can be tried"
README = Path(__file__).resolve().parents[3] / "README.md"
EVENT = "user.code_sent"
CODE = b"493817"
ADDRESS = b"ada@example.com"
DATA = b'{"user_id":"usr_1","email":"ada@example.com","code":"493817","balance":12345678901234567890.10}'
ACCEPTED = ["ECDH-ES", "RSA-OAEP-256", "A256GCM"]
ARRIVES_WITHIN_S = 30
# For so long Signet keeps a set that asks for the least; no test can wait for less.
KEPT_FOR_S = 61
# What is shorter is no part of a token.
PART_CHARS_MIN = 8


def check(report, stage, signet):
    with ExitStack() as closing:
        # First, so that its keys grow old while the others are tried.
        rotating = report_scene(report, stage, signet, closing, "P-256", is_published=True, has_next=True)
        for kind in ["P-256", "X25519", "RSA"]:
            for is_published in [False, True]:
                report_scene(report, stage, signet, closing, kind, is_published)
        report.check("a receiver's next key is used once the set is no longer fresh", rotates, rotating)
        report.check("neither the gateway's log nor anything that was sent tells the code", tells_nothing, rotating)


def report_scene(report, stage, signet, closing, kind, is_published, has_next=False):
    scene = Scene(stage, signet, closing, kind, is_published, has_next)
    named = f"{scene.algorithm} ({kind}{', from a key set' if is_published else ''}{', rotating' if has_next else ''})"
    report.check(f"the README's receiver with jose verifies and opens {named}", opens_with_jose, scene)
    report.check(f"joserfc verifies and opens {named} to the byte", opens_with_joserfc, scene)
    report.check(f"jose and joserfc refuse altered and foreign tokens around {named}", refuse_tokens, signet, scene)
    report.check(f"jose and joserfc open no altered JWE, and none to another key, of {named}", open_nothing, scene)
    report.check(f"the gateway's log, and what was sent, tell nothing of {named}", tells_nothing, scene)
    return scene


class Scene:
    """A tenant with two encrypted webhooks: the README's receiver behind a gateway, and one that keeps what it gets."""

    def __init__(self, stage, signet, closing, kind, is_published, has_next):
        name = f"encrypted-{kind}{'-published' if is_published else ''}{'-rotating' if has_next else ''}"
        self.algorithm = "RSA-OAEP-256" if kind == "RSA" else "ECDH-ES"
        self.key, self.next_key = new_key(kind, f"{name}-1"), has_next and new_key(kind, f"{name}-2")
        self.foreign_key = new_key(kind, f"{name}-1")
        self.folder, self.stage = stage.new_folder(name), stage
        self.tenant = signet.create_tenant(name=name)
        url = receiver_url()
        self.gateway_log = self.folder / "gateway.log"
        self.receiver_url, self.gateway = url, closing.enter_context(Gateway(url, self.gateway_log))
        self._write_receiver()
        process = stage.start_shell(name, "node receiver.mjs", self.folder, {})
        port = urlsplit(url).port
        wait_until(f"{name} listens", lambda: is_running(process) and is_listening(port), ARRIVES_WITHIN_S)
        self.log = stage.log_of(name)
        encryption = {"jwk": self.key.as_dict(private=False)}
        if is_published:
            self.publisher = closing.enter_context(Publisher())
            self.publisher.publish(self.key)
            encryption = {"jwks_url": self.publisher.url}
        self.path = f"/{name}"
        asked = {"encryption": encryption, "retry": {"schedule": []}}
        self.webhook = self.tenant.create_webhook(self.gateway.url, [EVENT], **asked)
        self.tenant.create_webhook(f"{stage.inbox.url}{self.path}", [EVENT], **asked)
        self.tenant.publish(EVENT, DATA)
        self.published_at = time.monotonic()
        self.copy = stage.inbox.first_at(self.path)
        # The other key of the set is made known when it is too late for what was just sent.
        if has_next:
            self.publisher.publish(self.next_key)

    def _write_receiver(self):
        """The README's receiver, which opens what it verified as the README says."""
        (self.folder / "node_modules").symlink_to(HANKO / "node_modules")
        keys = [key.as_dict(private=True) for key in [self.key, self.next_key] if key]
        (self.folder / "private-keys.json").write_text(json.dumps({"keys": keys}))
        receiver, opening = blocks("js")
        for printed, ours in [
            ("http://127.0.0.1:8080", self.tenant.issuer),
            ("http://127.0.0.1:3000/webhook", self.gateway.url),
            ("listen(3000)", f"listen({urlsplit(self.receiver_url).port})"),
            ("payload.data)", "await opened(payload.data))"),
        ]:
            assert printed in receiver, f"the README's receiver has no {printed}"
            receiver = receiver.replace(printed, ours)
        (self.folder / "receiver.mjs").write_text(f'import {{ opened }} from "./opened.mjs";\n{receiver}')
        (self.folder / "opened.mjs").write_text(opening)
        ask = 'import { opened } from "./opened.mjs";\nconsole.log(JSON.stringify(await opened(process.argv[2])));\n'
        (self.folder / "ask.mjs").write_text(ask)
        (self.folder / "opened.py").write_text(blocks("python")[1])
        ask = "import json, sys\nfrom opened import opened\nprint(json.dumps(opened(sys.argv[1])))\n"
        (self.folder / "ask.py").write_text(ask)

    def opened_by_readme(self, runner, script, text):
        """What the README's code finds in a JWE; None when it opens nothing."""
        done = subprocess.run([runner, script, text], cwd=self.folder, capture_output=True, timeout=ARRIVES_WITHIN_S, text=True)
        return json.loads(done.stdout) if done.returncode == 0 else None


def new_key(kind, kid):
    parameters = {"kid": kid}
    if kind == "RSA":
        return RSAKey.generate_key(2048, parameters)
    return OKPKey.generate_key(kind, parameters) if kind == "X25519" else ECKey.generate_key(kind, parameters)


def blocks(language):
    return [code for said, code in re.findall(r"```(\w+)\n(.*?)```", README.read_text(), re.DOTALL) if said == language]


def verified(tenant, token):
    return jwt.decode(token, KeySet.import_key_set({"keys": tenant.published_keys()}), algorithms=["ES256"]).claims


def jwe_of(delivery):
    return json.loads(payload_of(token_of(delivery.body)))["data"]


def opens_with_jose(scene):
    wait_until("it prints the code", lambda: CODE.decode() in scene.log.read_text(), ARRIVES_WITHIN_S)
    assert_first_attempts(scene, 1)


def assert_first_attempts(scene, count):
    """So many deliveries, each taken at its first attempt; the log is written after the answer."""
    deliveries = []

    def are_over():
        deliveries[:] = scene.tenant.deliveries(scene.webhook["id"])
        return len(deliveries) == count and all(delivery["status"] == "delivered" for delivery in deliveries)

    wait_until("the log tells of the deliveries", are_over, ARRIVES_WITHIN_S)
    attempts = [delivery["attempts"] for delivery in deliveries]
    assert attempts == [1] * count, f"the deliveries took {attempts} attempts"


def opens_with_joserfc(scene):
    claims = verified(scene.tenant, token_of(scene.copy.body))

    opened = jwe.decrypt_compact(claims["data"], KeySet([scene.key]), algorithms=ACCEPTED)

    assert opened.plaintext == DATA, f"it holds {opened.plaintext}"
    header = {name: value for name, value in opened.protected.items() if name != "epk"}
    assert header == {"alg": scene.algorithm, "enc": "A256GCM", "cty": "json", "kid": scene.key.kid}, f"its header is {header}"
    for runner, script in [("node", "ask.mjs"), (sys.executable, "ask.py")]:
        told = scene.opened_by_readme(runner, script, claims["data"])
        assert told and told["code"] == CODE.decode(), f"{script} found {told}"


def refuse_tokens(signet, scene):
    token = token_of(scene.copy.body)
    jwe_text = json.loads(payload_of(token))["data"]
    swapped = jwe.encrypt_compact({"alg": scene.algorithm, "enc": "A256GCM", "kid": scene.key.kid}, DATA, scene.key, algorithms=ACCEPTED)
    for flaw, keys, forged, error in [
        ("another claim", scene.tenant, altered(token, EVENT.encode(), b"user.code_sent2"), BadSignatureError),
        ("another JWE, to the right key", scene.tenant, altered(token, jwe_text.encode(), swapped.encode()), BadSignatureError),
        ("another tenant's keys", signet, token, InvalidKeyIdError),
    ]:
        try:
            verified(keys, forged)
            raise AssertionError(f"joserfc believed a token with {flaw}")
        except error:
            pass
        if keys is scene.tenant:
            status, words = resend(scene.receiver_url, replaced(scene.copy.body, token=forged), headers_of(scene.copy))
            assert status == 400, f"jose answered {status} to {flaw}: {words}"
    # One that is signed rightly, for somebody else.
    status, words = resend(scene.receiver_url, scene.copy.body, headers_of(scene.copy))
    assert status == 400 and "aud" in words, f"it answered {status}: {words}"


def open_nothing(scene):
    text = jwe_of(scene.copy)
    parts = text.split(".")
    flipped = [".".join([*parts[:at], flipped_bit(parts[at]), *parts[at + 1 :]]) for at in range(5) if parts[at]]
    foreign = jwe.encrypt_compact(
        {"alg": scene.algorithm, "enc": "A256GCM", "kid": scene.key.kid}, DATA, scene.foreign_key, algorithms=ACCEPTED
    )
    for forged in [*flipped, foreign]:
        try:
            opened = jwe.decrypt_compact(forged, KeySet([scene.key]), algorithms=ACCEPTED)
        except (JoseError, ValueError, KeyError, UnicodeDecodeError):
            continue
        raise AssertionError(f"joserfc opened {opened.plaintext}")
    for forged in [flipped[-1], foreign]:
        for runner, script in [("node", "ask.mjs"), (sys.executable, "ask.py")]:
            told = scene.opened_by_readme(runner, script, forged)
            assert told is None, f"{script} found {told}"
    try:
        jwe.decrypt_compact(text, KeySet([scene.foreign_key]), algorithms=ACCEPTED)
    except (JoseError, ValueError):
        return
    raise AssertionError("a foreign key opened it")


def flipped_bit(part):
    content = decoded(part)
    return encoded(bytes([content[0] ^ 1]) + content[1:])


def rotates(scene):
    remaining = scene.published_at + KEPT_FOR_S - time.monotonic()
    if remaining > 0:
        time.sleep(remaining)
    seen = len(scene.stage.inbox.at(scene.path))

    scene.tenant.publish(EVENT, DATA)

    copy = scene.stage.inbox.next_at(scene.path, seen)
    opened = jwe.decrypt_compact(jwe_of(copy), KeySet([scene.next_key]), algorithms=ACCEPTED)
    assert opened.plaintext == DATA and opened.protected["kid"] == scene.next_key.kid, f"it holds {opened.plaintext}"
    printed_twice = lambda: scene.log.read_text().count(CODE.decode()) == 2
    wait_until("the receiver opens it too", printed_twice, ARRIVES_WITHIN_S)
    assert_first_attempts(scene, 2)
    assert scene.publisher.asked == 2, f"the set was fetched {scene.publisher.asked} times"


def tells_nothing(scene):
    deliveries = scene.stage.inbox.at(scene.path)
    sent = [scene.gateway_log.read_bytes(), *(delivery.headers.as_bytes() + delivery.body for delivery in deliveries)]
    layers = 0
    while sent:
        content = sent.pop()
        for secret in [CODE, ADDRESS, b"usr_1", b"12345678901234567890"]:
            assert secret not in content, f"{secret} stands in {content}"
        for part in re.findall(rb"[A-Za-z0-9_-]{%d,}" % PART_CHARS_MIN, content):
            inside = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)) if len(part) % 4 != 1 else b""
            if inside.startswith(b"{"):
                layers += 1
                sent.append(inside)
    # The headers of the tokens, their claims, and the headers of the JWEs inside.
    assert layers >= 3 * (len(deliveries) + 1), f"{layers} layers were taken off"
