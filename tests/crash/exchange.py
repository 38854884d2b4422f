"""HTTP/1.1, as little of it as the harness speaks: messages with a Content-Length, asked and answered."""

import asyncio
from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    """A request or an answer; the names of its headers are in lower case."""

    first_line: str
    headers: dict[str, str]
    body: bytes

    @property
    def status(self):
        return int(self.first_line.split()[1])

    @property
    def path(self):
        return self.first_line.split()[1]


async def read_message(reader):
    """Raises `ConnectionError` when the other side ends before the message does."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        first_line, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        parts = [line.partition(":") for line in lines]
        headers = {name.lower(): value.strip() for name, _, value in parts}
        return Message(first_line, headers, await reader.readexactly(int(headers.get("content-length", 0))))
    except asyncio.IncompleteReadError as error:
        raise ConnectionError("the connection was closed in the middle of a message") from error


def written(first_line, headers, body=b""):
    lines = [first_line, *(f"{name}: {value}" for name, value in headers.items()), f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "\r\n"]).encode() + body


async def ask(port, method, path, headers=None, body=b"", within_s=10):
    """One request on a connection of its own; raises `OSError` when there is no whole answer."""
    async with asyncio.timeout(within_s):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            own = {"Host": f"127.0.0.1:{port}", "Connection": "close"}
            writer.write(written(f"{method} {path} HTTP/1.1", own | (headers or {}), body))
            return await read_message(reader)
        finally:
            writer.close()
