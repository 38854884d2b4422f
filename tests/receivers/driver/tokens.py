"""Takes tokens apart and forges them by hand: no library's caution stands between a forgery and its receiver."""

import base64
import hashlib
import hmac
import json

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def token_of(body):
    return json.loads(body)["token"]


def header_of(token):
    return json.loads(decoded(token.split(".")[0]))


def payload_of(token):
    return decoded(token.split(".")[1])


def replaced(body, **members):
    return json.dumps(json.loads(body) | members).encode()


def altered(token, part, other):
    """The same header and signature around a payload in which `part` became `other`."""
    header, payload, signature = token.split(".")
    if decoded(payload).count(part) != 1:
        raise AssertionError(f"the payload holds {part} not once: {decoded(payload)}")
    return f"{header}.{encoded(decoded(payload).replace(part, other))}.{signature}"


def unsigned(token):
    return f"{signing_input(token, 'none')}."


def keyed_with_public_key(token, public_key):
    """HS256 whose secret is the public key's PEM: the classic confusion of algorithms."""
    secret = public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed = signing_input(token, "HS256")
    return f"{signed}.{encoded(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def signing_input(token, algorithm):
    header = json.dumps(header_of(token) | {"alg": algorithm}).encode()
    return f"{encoded(header)}.{token.split('.')[1]}"


def decoded(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def encoded(content):
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
