"""One run from the first start to the last end: servers, subscribers, publishers, chaos, and the calm after it."""

import asyncio
import random
import secrets
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import processes
from accounts import DOORS, Progress
from chaos import Chaos
from journal import Journal, Reading, now
from nodes import Node
from postgres import Postgres

HERE = Path(__file__).resolve().parent
ISSUER = "https://signet.example"
STARTS_WITHIN_S = 60
# These are longer than anything may take: what comes too late is for the audit to find.
ACCEPTS_WITHIN_S = 30
PUBLISHERS_END_WITHIN_S = 60
ARRIVES_WITHIN_S = 90
LOOKS_EVERY_S = 0.5
# The states of so many missing deliveries are asked for.
ASKED_MAX = 200


async def rehearse(arguments, folder):
    """All that it leaves is in the journals."""
    async with AsyncExitStack() as closing:
        rehearsal = Rehearsal(arguments, folder, closing)
        await rehearsal.start_database()
        await rehearsal.start_receiver()
        async with asyncio.TaskGroup() as beside:
            jobs = await rehearsal.start_nodes(beside)
            webhooks = await rehearsal.register_webhooks()
            publishers = await rehearsal.start_publishers()
            await rehearsal.reign_of_chaos()
            await rehearsal.calm(publishers, webhooks)
            for job in jobs:
                job.cancel()


class Rehearsal:
    def __init__(self, arguments, folder, closing):
        self._arguments = arguments
        self._folder = folder
        self._closing = closing
        self._journal = Journal(folder / "harness.journal")
        self._key_journal = Journal(folder / "keys.journal")
        self._progress = Progress(Reading(folder / "publishers.journal"), Reading(folder / "receiver.journal"))
        self._admin_key = secrets.token_hex(20)
        self._receiver_port, self._database_port, *self._node_ports = processes.free_ports(2 + arguments.nodes)
        self._receiver_url = f"http://127.0.0.1:{self._receiver_port}"
        self._database = None
        self._nodes = []

    async def start_database(self):
        if self._arguments.database == "postgres":
            self._database = Postgres(self._folder, self._database_port, self._journal)
            self._closing.push_async_callback(self._database.stop)
            await self._database.create()
            await self._database.start()
            await self._database.check_durability()

    async def start_receiver(self):
        await self._start_script("receiver", [f"--port={self._receiver_port}"], {})
        await processes.wait_until("the receiver listens", self._receiver_listens, STARTS_WITHIN_S)
        await self._journal.note("receiver listens", url=self._receiver_url, issuer=ISSUER)

    async def start_nodes(self, beside):
        """The first makes the master key that all share, so the others wait for it."""
        command, jobs = [self._arguments.signet.resolve(), "serve"], []
        for number, port in enumerate(self._node_ports, start=1):
            node = Node(number, port, command, self._settings(), self._folder, self._journal)
            self._nodes.append(node)
            jobs += map(beside.create_task, [node.supervise(), node.ask_for_keys_always(self._key_journal)])
            await processes.wait_until(f"node {number} is ready", node.is_ready, STARTS_WITHIN_S)
        return jobs

    async def register_webhooks(self):
        """Answers their ids by their doors."""
        node, ids = self._nodes[0], {}
        for door in DOORS:
            webhook = {"url": self._receiver_url + door, "events": ["user"]}
            ids[door] = (await node.request("POST", "/v1/webhooks", webhook))["id"]
        return ids

    async def start_publishers(self):
        arguments = ["--ports", *map(str, self._node_ports), f"--publishers={self._arguments.publishers}"]
        arguments += [f"--seed={self._arguments.seed}"]
        return await self._start_script("publishers", arguments, {"SIGNET_ADMIN_KEY": self._admin_key})

    async def reign_of_chaos(self):
        chaos = Chaos(random.Random(self._arguments.seed), self._nodes, self._database)
        await chaos.reign(self._arguments.kills, self._arguments.database_crashes, self._arguments.seconds_between)

    async def calm(self, publishers, webhooks):
        """Nothing goes wrong any more, so all that is owed must arrive."""
        begun_at = now()
        for node in self._nodes:
            await processes.wait_until(f"node {node.number} is ready again", node.is_ready, STARTS_WITHIN_S)
        await self._hope(lambda: self._all_have_accepted_since(begun_at), ACCEPTS_WITHIN_S)
        await processes.end(publishers, PUBLISHERS_END_WITHIN_S)
        await self._hope(lambda: not self._progress.missing(), ARRIVES_WITHIN_S)
        for door, event_id in sorted(self._progress.missing())[:ASKED_MAX]:
            delivery = await self._nodes[0].request("GET", f"/v1/webhooks/{webhooks[door]}/deliveries/{event_id}")
            await self._journal.note("state", door=door, event_id=event_id, delivery=delivery)
        for node in self._nodes:
            await node.ask_for_keys(self._journal)

    def _all_have_accepted_since(self, instant):
        return all(self._progress.has_accepted_since(node.number, instant) for node in self._nodes)

    async def _hope(self, holds, within_s):
        """Waits for what the audit will judge, whether it comes or not."""
        until = now() + within_s
        while not holds() and now() < until:
            await asyncio.sleep(LOOKS_EVERY_S)

    async def _start_script(self, name, arguments, environment):
        command = [sys.executable, HERE / f"{name}.py", *arguments, f"--journal={self._folder / name}.journal"]
        process = await processes.start(command, self._folder / f"{name}.log", environment)
        self._closing.push_async_callback(processes.kill, process)
        return process

    async def _receiver_listens(self):
        return await processes.is_listening(self._receiver_port)

    def _settings(self):
        return {
            "SIGNET_DATABASE_URL": self._database.url if self._database else f"sqlite://{self._folder}/signet.db",
            "SIGNET_MASTER_KEY_FILE": f"{self._folder}/master.key",
            "SIGNET_ADMIN_KEY": self._admin_key,
            "SIGNET_PUBLIC_URL": ISSUER,
            "SIGNET_EGRESS_ALLOW": "127.0.0.0/8",
            "SIGNET_ALLOW_HTTP": "true",
        }
