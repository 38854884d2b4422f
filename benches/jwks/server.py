"""Servers as children on one core: started, waited for, asked what they cost, and ended with the comparison."""

import os
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

STARTS_WITHIN_S = 30
ENDS_WITHIN_S = 40


class Server:
    """A child that answers at `url`, and its own children."""

    def __init__(self, command, log, environment, url, core):
        self.url = url
        self.log = log
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("SIGNET_")}
        with open(log, "ab") as outputs:
            self.child = subprocess.Popen(
                # The kernel ends it when we die.
                ["setpriv", "--pdeathsig=TERM", "--", "taskset", "-c", str(core), *map(str, command)],
                env=inherited | environment,
                stdin=subprocess.DEVNULL,
                stdout=outputs,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self):
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.child.terminate()
        try:
            self.child.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()

    def _wait_until_it_answers(self):
        give_up_at = time.monotonic() + STARTS_WITHIN_S
        while self.child.poll() is None and time.monotonic() < give_up_at:
            try:
                with urllib.request.urlopen(self.url, timeout=5):
                    return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"{self.url} does not answer:\n{self.log.read_text()}")

    def cpu_s(self):
        """CPU that it and its children have used so far."""
        ticks = 0
        for pid in [self.child.pid, *children(self.child.pid)]:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


class Signet(Server):
    """The default tenant of an installation that nobody has used."""

    def __init__(self, binary, folder, database, core):
        port = free_port()
        environment = {
            "SIGNET_LISTEN": f"127.0.0.1:{port}",
            "SIGNET_DATABASE_URL": database or f"sqlite://{folder}/signet.db",
            "SIGNET_MASTER_KEY_FILE": f"{folder}/master.key",
            "SIGNET_LOG": "warn",
        }
        url = f"http://127.0.0.1:{port}/.well-known/jwks.json"
        super().__init__([binary, "serve"], folder / "signet.log", environment, url, core)


def children(pid):
    lists = (task / "children" for task in Path(f"/proc/{pid}/task").iterdir())
    return [int(child) for each in lists for child in each.read_text().split()]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
