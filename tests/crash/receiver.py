"""The subscribers: a process that writes each request down, then answers it. It judges nothing.

A fixed share of first attempts is refused, so that retries are under way at any instant.
"""

import argparse
import asyncio
import json
import time
import zlib
from pathlib import Path

from exchange import read_message, written
from journal import Journal

REFUSED_ONE_IN = 50
FIRST_ATTEMPT = "1"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--journal", type=Path, required=True)
    arguments = parser.parse_args()
    asyncio.run(receive(arguments.port, Journal(arguments.journal)))


async def receive(port, journal):
    async def converse(reader, writer):
        try:
            while True:
                status = await take(await read_message(reader), journal)
                writer.write(written(f"HTTP/1.1 {status} Noted", {}))
                await writer.drain()
        except ConnectionError:
            """The sender has no more to say, or was killed."""
        finally:
            writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", port, backlog=1_000)
    await server.serve_forever()


async def take(request, journal):
    event_id = request.headers.get("webhook-id", "")
    attempt = request.headers.get("webhook-attempt", "")
    status = 500 if attempt == FIRST_ATTEMPT and is_refused_at_first(request.path, event_id) else 200
    body = json.loads(request.body)
    await journal.note(
        "received",
        # Tokens are dated in the time of the wall.
        wall=time.time(),
        door=request.path,
        webhook_id=event_id,
        attempt=attempt,
        event=body["event"],
        token=body["token"],
        status=status,
    )
    return status


def is_refused_at_first(door, event_id):
    return zlib.crc32(f"{door}{event_id}".encode()) % REFUSED_ONE_IN == 0


if __name__ == "__main__":
    main()
