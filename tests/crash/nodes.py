"""Nodes of Signet, each with its supervisor: whoever ends is started again, as a service manager does."""

import asyncio
import json

import processes
from exchange import ask
from journal import now

LOOKS_EVERY_S = 0.05
ASKS_FOR_KEYS_EVERY_S = 0.2
# A node that ended unasked is started again after this long.
REVIVED_AFTER_S = 0.5


class Node:
    def __init__(self, number, port, command, settings, folder, journal):
        self.number = number
        self.port = port
        self._command = command
        self._settings = settings | {"SIGNET_LISTEN": f"127.0.0.1:{port}"}
        self._log = folder / f"node-{number}.log"
        self._journal = journal
        self._process = None
        self._is_ready = False
        self._absence_s = None

    def is_running(self):
        return self._process is not None and self._process.returncode is None and self._absence_s is None

    async def is_ready(self):
        return self._is_ready

    async def supervise(self):
        """Runs it until cancelled; then it ends too."""
        try:
            while True:
                await self._note("node started")
                self._process = await processes.start(self._command, self._log, self._settings)
                await self._live()
                if self._absence_s is None:
                    self._absence_s = REVIVED_AFTER_S
                    await self._note("node ended unasked", code=self._process.returncode)
                await asyncio.sleep(self._absence_s)
                self._absence_s = None
        finally:
            if self._process:
                await processes.kill(self._process)

    async def kill(self, absence_s):
        """SIGKILL; it is started again after its absence."""
        self._absence_s = absence_s
        self._is_ready = False
        begun_at = now()
        self._process.kill()
        await self._note("node killed", begun_at=begun_at)

    async def ask_for_keys_always(self, journal):
        """Asks for the JWKS again and again, and notes each answer: as a receiver that caches nothing."""
        while True:
            await self.ask_for_keys(journal)
            await asyncio.sleep(ASKS_FOR_KEYS_EVERY_S)

    async def ask_for_keys(self, journal):
        facts = {"node": self.number, "begun_at": now()}
        try:
            answer = await ask(self.port, "GET", "/.well-known/jwks.json")
        except OSError as error:
            await journal.note("no keys", **facts, error=f"{type(error).__name__}: {error}")
        else:
            await journal.note("keys", **facts, status=answer.status, body=answer.body.decode())

    async def request(self, method, path, content=None):
        """Asks as the operator; answers what the JSON says."""
        headers = {"Authorization": f"Bearer {self._settings['SIGNET_ADMIN_KEY']}", "Content-Type": "application/json"}
        body = b"" if content is None else json.dumps(content).encode()
        answer = await ask(self.port, method, path, headers, body)
        if answer.status not in range(200, 300):
            raise RuntimeError(f"{method} {path} was answered {answer.status}: {answer.body.decode()}")
        return json.loads(answer.body)

    async def _live(self):
        """One life: notes when it becomes ready, and waits for its end."""
        ended = asyncio.create_task(self._process.wait())
        try:
            while not ended.done() and not await self._answers_ready():
                await asyncio.sleep(LOOKS_EVERY_S)
            if self.is_running():
                await self._note("node ready")
                self._is_ready = True
            await ended
        finally:
            self._is_ready = False
            ended.cancel()

    async def _answers_ready(self):
        try:
            return (await ask(self.port, "GET", "/readyz", within_s=2)).status == 200
        except OSError:
            return False

    async def _note(self, what, **facts):
        await self._journal.note(what, node=self.number, **facts)
