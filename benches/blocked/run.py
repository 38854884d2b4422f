#!/usr/bin/env python3
"""Whether somebody who may only register webhooks can tell ports of a private network apart by how long the answer takes.

Names of a name server of its own lead to ports of this machine that are open, closed and silent, and to an address that nobody
has. A test delivery to each is asked for in turns, and the medians are compared; they are to differ by less than 5 ms.

    python3 benches/blocked/run.py --signet target/release/signet --rounds 300
"""

import argparse
import http.client
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

KEY = "an-operators-key-of-more-than-32-characters"
BOUND_MS = 5.0


def serve_names(server):
    """Answers every question for an IPv4 address; where to is in the name."""
    while True:
        question, asker = server.recvfrom(1500)
        end = 12
        first = question[13 : 13 + question[12]]
        while question[end]:
            end += 1 + question[end]
        kind = struct.unpack("!H", question[end + 1 : end + 3])[0]
        head = question[:2] + b"\x81\x80\x00\x01" + struct.pack("!HHH", 1 if kind == 1 else 0, 0, 0)
        address = b"\x0a\xff\xff\x01" if first == b"nobody" else b"\x7f\x00\x00\x01"
        record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04" + address if kind == 1 else b""
        server.sendto(head + question[12 : end + 5] + record, asker)


def free_port():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        return other.getsockname()[1]


def ask(port, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    begun = time.perf_counter()
    connection.request(method, path, json.dumps(body) if body is not None else None, headers)
    answer = connection.getresponse()
    text = answer.read()
    took = (time.perf_counter() - begun) * 1e3
    connection.close()
    return answer.status, json.loads(text) if text.startswith(b"{") else None, took


def until_ready(port):
    for _ in range(300):
        try:
            if ask(port, "GET", "/readyz")[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)
    sys.exit("the server does not become ready")


def measure(port, rounds):
    opened = socket.create_server(("127.0.0.1", 0))
    silent = socket.socket()
    silent.bind(("127.0.0.1", 0))
    targets = {
        "open": f"http://here.test:{opened.getsockname()[1]}/",
        "closed": f"http://here.test:{free_port()}/",
        "silent": f"http://here.test:{silent.getsockname()[1]}/",
        "nobody": "http://nobody.test:8080/",
    }
    webhooks = {}
    for name, url in targets.items():
        status, made, _ = ask(port, "POST", "/v1/webhooks", {"url": url, "events": ["user"]})
        assert status == 201, made
        webhooks[name] = made["id"]
    times = {name: [] for name in targets}
    for turn in range(rounds + 20):
        for name, webhook in webhooks.items():
            status, told, took = ask(port, "POST", f"/v1/webhooks/{webhook}/test", {"event": "user.created"})
            assert status == 200 and told["attempt"]["failure"] == "blocked", told
            if turn >= 20:
                times[name].append(took)
    return times


def main():
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--signet", required=True)
    words.add_argument("--rounds", type=int, default=300)
    args = words.parse_args()
    names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    names.bind(("127.0.0.1", 0))
    threading.Thread(target=serve_names, args=(names,), daemon=True).start()
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(os.environ, SIGNET_LISTEN=f"127.0.0.1:{port}", SIGNET_ADMIN_KEY=KEY, SIGNET_ALLOW_HTTP="true")
        environment["SIGNET_DNS_SERVERS"] = f"127.0.0.1:{names.getsockname()[1]}"
        binary = os.path.abspath(args.signet)
        server = subprocess.Popen([binary, "serve"], cwd=folder, env=environment, stdout=subprocess.DEVNULL)
        try:
            until_ready(port)
            times = measure(port, args.rounds)
        finally:
            server.terminate()
            server.wait()
    medians = {name: statistics.median(each) for name, each in times.items()}
    for name, median in medians.items():
        print(f"{name:8} median {median:7.3f} ms, p90 {statistics.quantiles(times[name], n=10)[-1]:7.3f} ms")
    apart = max(medians.values()) - min(medians.values())
    print(f"medians are {apart:.3f} ms apart, the bound is {BOUND_MS} ms")
    sys.exit(0 if apart < BOUND_MS else 1)


if __name__ == "__main__":
    main()
