"""The platform: a process of publishers who each repeat an event, under one idempotency key, until it is accepted.

They know the addresses of all nodes and ask any of them, alive or not. SIGTERM ends them once what they have begun is
accepted. The admin key comes from the environment, since command lines are seen by everybody.
"""

import argparse
import asyncio
import itertools
import json
import os
import random
import signal
from pathlib import Path

from exchange import ask
from journal import Journal, now

# One publisher's pace when nothing fails.
PUBLISHES_EVERY_S = 0.1
# Long after the server's own bounds: whoever gives no answer by then is hung.
ANSWERED_WITHIN_S = 20
TRIES_AGAIN_AFTER_S = 0.2
# One in so many requests goes to two nodes at once, as a client's does that lost patience with the first.
SENT_TWICE_ONE_IN = 50


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ports", type=int, nargs="+", required=True, help="of the nodes, in their order")
    parser.add_argument("--publishers", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--journal", type=Path, required=True)
    arguments = parser.parse_args()
    asyncio.run(publish(arguments))


async def publish(arguments):
    closing = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, closing.set)
    journal = Journal(arguments.journal)
    async with asyncio.TaskGroup() as newsroom:
        for number in range(arguments.publishers):
            chance = random.Random(f"{arguments.seed}-{number}")
            ports = dict(enumerate(arguments.ports, start=1))
            newsroom.create_task(Publisher(number, ports, chance, journal).publish_until(closing))


class Publisher:
    def __init__(self, number, ports, chance, journal):
        self._number = number
        self._ports = ports
        self._chance = chance
        self._journal = journal

    async def publish_until(self, closing):
        for count in itertools.count():
            if closing.is_set():
                return
            begun_at = now()
            await self._publish(f"{self._number}-{count}")
            await asyncio.sleep(max(0, begun_at + PUBLISHES_EVERY_S * self._chance.uniform(0.5, 1.5) - now()))

    async def _publish(self, name):
        while not await self._is_accepted(name):
            await asyncio.sleep(TRIES_AGAIN_AFTER_S)

    async def _is_accepted(self, name):
        copies = 2 if self._chance.randrange(SENT_TWICE_ONE_IN) == 0 else 1
        nodes = self._chance.sample(sorted(self._ports), min(copies, len(self._ports)))
        return any(await asyncio.gather(*(self._post(name, node) for node in nodes)))

    async def _post(self, name, node):
        """Notes what came of it, and answers whether the event was accepted."""
        begun_at = now()
        headers = {
            "Authorization": f"Bearer {os.environ['SIGNET_ADMIN_KEY']}",
            "Content-Type": "application/json",
            "Idempotency-Key": name,
        }
        body = json.dumps({"type": "user.created", "data": {"name": name}}).encode()
        facts = {"name": name, "node": node, "begun_at": begun_at}
        try:
            answer = await ask(self._ports[node], "POST", "/v1/events", headers, body, ANSWERED_WITHIN_S)
        except OSError as error:
            await self._journal.note("unanswered", **facts, error=f"{type(error).__name__}: {error}")
            return False
        if answer.status == 202:
            receipt = json.loads(answer.body)
            is_replay = answer.headers.get("idempotent-replayed") == "true"
            facts |= {"event_id": receipt["id"], "deliveries": receipt["deliveries"], "is_replay": is_replay}
        else:
            facts |= {"retry_after": answer.headers.get("retry-after"), "body": answer.body.decode()}
        await self._journal.note("answered", **facts, status=answer.status)
        return answer.status == 202


if __name__ == "__main__":
    main()
