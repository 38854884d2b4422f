"""A private PostgreSQL that can be crashed, in two ways, and recovers.

It is durable as an operator's would be: nothing that it acknowledged may be lost with its processes.
"""

import asyncio
import os
import shutil
import signal
from pathlib import Path

import processes
from journal import now

PACKAGED = Path("/usr/lib/postgresql")
STARTS_WITHIN_S = 60
ENDS_WITHIN_S = 30
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "autovacuum": "on"}
# It does not run as root.
ACCOUNT = "postgres" if os.geteuid() == 0 else None


class Postgres:
    def __init__(self, folder, port, journal):
        self._folder = folder / "postgres"
        self._log = folder / "postgres.log"
        self._port = port
        self._journal = journal
        self._programs = programs()
        self._process = None
        self.url = f"postgres://postgres@127.0.0.1:{port}/postgres"

    async def create(self):
        self._folder.mkdir()
        if ACCOUNT:
            shutil.chown(self._folder, ACCOUNT, ACCOUNT)
        command = [self._programs / "initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale"]
        await processes.run([*command, "-D", self._folder], self._log, ACCOUNT)
        settings = DURABLE | {"listen_addresses": "127.0.0.1", "port": self._port, "unix_socket_directories": ""}
        with open(self._folder / "postgresql.conf", "a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    async def start(self):
        """Starts it and waits until it answers, after whatever recovery it needs."""
        await self._journal.note("database started")
        command = [self._programs / "postgres", "-D", self._folder]
        self._process = await processes.start(command, self._log, user=ACCOUNT)
        await processes.wait_until("PostgreSQL answers", self._answers, STARTS_WITHIN_S)
        await self._journal.note("database ready")

    async def check_durability(self):
        """Asks the running server, not the file, whether it keeps what it acknowledges. Answers its version."""
        for name, value in DURABLE.items():
            if await self._shown(name) != value:
                raise RuntimeError(f"{name} is not {value}, so a crash of the database would prove nothing")
        return await self._shown("server_version")

    async def crash_at_once(self):
        """What `pg_ctl stop -m immediate` does: every process ends without writing anything back."""
        await self._crash("immediate", lambda: self._process.send_signal(signal.SIGQUIT))

    async def crash_like_its_host(self):
        """Kills every process of it."""
        await self._crash("killed", lambda: kill_family(self._process.pid))

    async def stop(self):
        if self._process is None or self._process.returncode is not None:
            return
        try:
            # Its orderly end that does not wait for clients.
            self._process.send_signal(signal.SIGINT)
            async with asyncio.timeout(ENDS_WITHIN_S):
                await self._process.wait()
        finally:
            if self._process.returncode is None:
                kill_family(self._process.pid)

    async def _crash(self, manner, strike):
        begun_at = now()
        strike()
        await self._process.wait()
        await self._journal.note("database crashed", manner=manner, begun_at=begun_at)

    async def _answers(self):
        if self._process.returncode is not None:
            raise RuntimeError(f"PostgreSQL ended with {self._process.returncode}; {self._log} says why")
        command = [self._programs / "pg_isready", "--quiet", f"--dbname={self.url}"]
        asked = await asyncio.create_subprocess_exec(*command)
        return await asked.wait() == 0

    async def _shown(self, setting):
        command = [self._programs / "psql", "--no-psqlrc", "--tuples-only", "--no-align", f"--command=show {setting}"]
        asked = await asyncio.create_subprocess_exec(*command, self.url, stdout=asyncio.subprocess.PIPE)
        output, _ = await asked.communicate()
        return output.decode().strip()


def programs():
    """The folder of PostgreSQL's programs; Debian keeps the server's out of PATH."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    packaged = sorted(PACKAGED.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not packaged:
        raise FileNotFoundError(f"initdb is neither in PATH nor under {PACKAGED}; install PostgreSQL")
    return packaged[-1].parent


def kill_family(pid):
    """Kills a process and its children: it is stopped first, so that it makes no more of them."""
    os.kill(pid, signal.SIGSTOP)
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    for member in [*children, pid]:
        os.kill(member, signal.SIGKILL)
