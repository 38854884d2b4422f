"""Starts what the checks need on free ports in a temporary folder, and ends every process that it started."""

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from driver.inbox import Inbox
from driver.signet import Signet

HANKO = Path(__file__).resolve().parent.parent / "hanko"
VENDORS = Path(__file__).resolve().parent.parent / "vendors"
STARTS_WITHIN_S = 30
ENDS_WITHIN_S = 10
POLLS_EVERY_S = 0.05
LOG_LINES_MAX = 200


class Stage:
    """A context: leaving it by success, failure or interrupt ends all that runs on it."""

    def __init__(self, signet_path, in_real_time=False):
        self.in_real_time = in_real_time
        self._signet_path = Path(signet_path).resolve()
        self._signets = {}
        self._closing = ExitStack()

    def __enter__(self):
        self._folder = Path(self._closing.enter_context(tempfile.TemporaryDirectory(prefix="signet-receivers-")))
        self.inbox = self._closing.enter_context(Inbox())
        return self

    def __exit__(self, *_):
        self._closing.close()

    def start_signet(self, name="signet", **settings):
        """Starts one with a database of its own."""
        folder, admin_key = self.new_folder(name), secrets.token_hex(20)
        settings = {
            "SIGNET_LISTEN": f"127.0.0.1:{free_port()}",
            "SIGNET_DATABASE_URL": f"sqlite://{folder}/signet.db",
            "SIGNET_MASTER_KEY_FILE": f"{folder}/master.key",
            "SIGNET_ADMIN_KEY": admin_key,
            "SIGNET_EGRESS_ALLOW": "127.0.0.0/8",
            "SIGNET_ALLOW_HTTP": "true",
            "SIGNET_LOG": "info",
        } | settings
        return Signet(self._serve(name, settings), admin_key)

    def restart_signet(self, name, **changes):
        """Ends it as a supervisor would, and starts it again with some settings changed."""
        process, settings = self._signets[name]
        end(process)
        self._serve(name, settings | changes)

    def start_receiver(self, script, url, **settings):
        """Starts a script of the hanko folder to listen at `url`; tells the file that it prints to."""
        self.start_listening(script, ["node", HANKO / script], url, settings)
        return self.log_of(script)

    def start_listening(self, name, command, url, settings):
        port = urlsplit(url).port
        process = self._start(name, command, {"PORT": str(port)} | settings)
        wait_until(f"{name} listens", lambda: is_running(process) and is_listening(port), STARTS_WITHIN_S)

    def start_shell(self, name, command, folder, settings):
        """Starts a command as a shell does, in a folder of its own."""
        return self._start(name, ["sh", "-c", f"exec env {command}"], settings, folder)

    def log_of(self, name):
        return self._folder / f"{name}.log"

    def new_folder(self, name):
        folder = self._folder / name
        folder.mkdir()
        return folder

    def shimmed_environment(self, folder):
        """A PATH on which `signet`, and `cargo run --release`, are the binary under test."""
        shims = folder / "shims"
        shims.mkdir()
        write_script(shims / "signet", f'exec {self._signet_path} "$@"')
        write_script(shims / "cargo", f'shift 2; [ "$1" != -- ] || shift; exec {self._signet_path} "$@"')
        return {"PATH": f"{shims}:{os.environ['PATH']}"}

    def runner_of(self, language, folder):
        """The interpreter of a receiver, with the libraries that this suite installed."""
        if language == "python":
            return sys.executable
        (folder / "node_modules").symlink_to(HANKO / "node_modules")
        return "node"

    def print_logs(self):
        for log in sorted(self._folder.glob("*.log")):
            print(f"--- the end of {log.name}")
            print("\n".join(log.read_text(errors="replace").splitlines()[-LOG_LINES_MAX:]), flush=True)

    def _serve(self, name, settings):
        process = self._start(name, [self._signet_path, "serve"], settings)
        self._signets[name] = process, settings
        url = f"http://{settings['SIGNET_LISTEN']}"
        wait_until(f"{url}/healthz answers", lambda: is_running(process) and is_healthy(url), STARTS_WITHIN_S)
        return url

    def _start(self, name, command, settings, folder=None):
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("SIGNET_")}
        with open(self._folder / f"{name}.log", "ab") as log:
            process = subprocess.Popen(
                command, cwd=folder or self._folder, env=inherited | settings, stdout=log, stderr=subprocess.STDOUT
            )
        self._closing.callback(end, process)
        return process


def write_script(path, line):
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


def receiver_url():
    """A webhook URL on which nothing listens yet."""
    return f"http://127.0.0.1:{free_port()}/webhook"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_running(process):
    """Never false: a process that ended will not come back, so there is nothing to wait for."""
    if process.poll() is not None:
        raise AssertionError(f"it ended with {process.returncode}")
    return True


def is_healthy(url):
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=1) as response:
            return response.status == 200
    except OSError:
        return False


def is_listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def end(process):
    process.terminate()
    try:
        process.wait(ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_until(what, holds, within_s):
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {within_s} s")
        time.sleep(POLLS_EVERY_S)
