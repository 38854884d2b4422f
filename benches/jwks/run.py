"""Compares how many key sets Signet and nginx serve on one core: the same bytes with the same headers, in turns.

Servers have the first core and what asks has the second. nginx comes twice: as Debian sets it up, and as it is fastest for
one small file. Installs nginx and wrk by package name where they are missing. Figures are of one machine at one time: what
counts is the ratio within a run.
"""

import argparse
import contextlib
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from nginx import AS_INSTALLED, FASTEST, Nginx
from server import Signet

WARM_UP_S = 1
# More is at work than this comparison.
BUSY_AT_LOAD = 1.5


def main():
    arguments = parse()
    need("nginx", "nginx")
    need("wrk", "wrk")
    folder = Path(tempfile.mkdtemp(prefix="signet-jwks-"))
    # The worker of nginx has an account of its own.
    folder.chmod(0o711)
    try:
        with contextlib.ExitStack() as stack:
            compare(arguments, folder, stack)
    finally:
        shutil.rmtree(folder)


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--signet", type=Path, required=True, help="path of the signet binary, built for release")
    parser.add_argument("--runs", type=int, default=5, help="turns of each server (%(default)s)")
    parser.add_argument("--seconds", type=int, default=5, help="of each turn (%(default)s)")
    parser.add_argument("--connections", type=int, default=64, help="kept alive (%(default)s)")
    parser.add_argument("--database", help="URL of an empty PostgreSQL database (default: SQLite)")
    parser.add_argument("--at-least", type=float, help="ends with 1 when the ratio to the fastest nginx is less")
    return parser.parse_args()


def need(command, package):
    """Debian keeps some commands where only root looks for them."""
    if shutil.which(command) or Path("/usr/sbin", command).exists():
        return
    root = [] if os.getuid() == 0 else ["sudo"]
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", package]
    subprocess.run([*root, "apt-get", "update", "-qq"], check=True)
    subprocess.run([*root, "env", "DEBIAN_FRONTEND=noninteractive", *install], check=True, stdout=subprocess.DEVNULL)


def compare(arguments, folder, stack):
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("two cores are needed: one that serves, and one that asks")
    servers = started(arguments, folder, cores[0], stack)
    if os.getloadavg()[0] > BUSY_AT_LOAD:
        print(f"this machine has more to do (load {os.getloadavg()[0]:.1f}): trust the ratios alone")
    print(f"{arguments.connections} connections, turns of {arguments.seconds} s; requests/s, CPU us per request, p99 ms")
    print("".join(f"{name:>30}" for name in ["", *servers]))
    turns = {name: [] for name in servers}
    for number in range(arguments.runs):
        # Nobody is always the first after somebody else.
        names = list(servers)[number % 3 :] + list(servers)[: number % 3]
        for name in names:
            turns[name].append(turn(servers[name], arguments, cores[1]))
        print(row(f"run {number + 1}", [turns[name][-1] for name in servers]), flush=True)
    print(row("median", [medians(turns[name]) for name in servers]))
    fastest = ratio(turns["signet"], turns["nginx, fastest"])
    print(f"signet serves {ratio(turns['signet'], turns['nginx, installed']):.2f} times as many as nginx as installed,")
    print(f"and {fastest:.2f} times as many as nginx at its fastest (medians of the ratios of each run)")
    if arguments.at_least and fastest < arguments.at_least:
        sys.exit(f"that is less than {arguments.at_least}")


def started(arguments, folder, core, stack):
    signet = stack.enter_context(Signet(arguments.signet.resolve(), folder, arguments.database, core))
    ours = fetched(signet.url)
    servers = {"signet": signet}
    for name, settings in [("nginx, installed", AS_INSTALLED), ("nginx, fastest", FASTEST)]:
        servers[name] = stack.enter_context(Nginx(folder, ours, settings, core))
        check_alike(ours, fetched(servers[name].url))
    return servers


def fetched(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return headers, answer.read()


def check_alike(ours, theirs):
    (our_headers, our_body), (their_headers, their_body) = ours, theirs
    # It tells its name, whoever forbids it.
    their_headers.pop("server")
    differing = {name for name, _ in our_headers.items() ^ their_headers.items()} - {"date"}
    if differing or our_body != their_body:
        sys.exit(f"the answers differ, also in {differing or 'the body'}")


def turn(server, arguments, core):
    """What one server did in its turn."""
    asked(server.url, arguments.connections, WARM_UP_S, core)
    cpu_before_s = server.cpu_s()
    said = asked(server.url, arguments.connections, arguments.seconds, core)
    cpu_s = server.cpu_s() - cpu_before_s
    if complaint := re.search(r"Socket errors.*|Non-2xx.*", said):
        sys.exit(f"{server.url}: {complaint.group()}")
    requests = int(re.search(r"(\d+) requests in", said).group(1))
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", said).groups()
    return {
        "per_s": float(re.search(r"Requests/sec:\s+([\d.]+)", said).group(1)),
        "cpu_us": cpu_s * 1e6 / requests,
        "p99_ms": float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit],
    }


def asked(url, connections, seconds, core):
    command = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--latency", url]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def medians(turns):
    return {figure: statistics.median(turn[figure] for turn in turns) for figure in turns[0]}


def ratio(ours, theirs):
    return statistics.median(our["per_s"] / their["per_s"] for our, their in zip(ours, theirs))


def row(name, turns):
    cells = [f"{turn['per_s']:>14.0f} {turn['cpu_us']:>7.2f} {turn['p99_ms']:>7.2f}" for turn in turns]
    return f"{name:>30}" + "".join(cells)


if __name__ == "__main__":
    main()
