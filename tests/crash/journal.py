"""Append-only logs of JSON lines, of which every process of the harness keeps its own.

What was noted is on the disk before the one who noted it goes on, so the counting at the end trusts nobody's memory.
"""

import asyncio
import json
import os
import time


def now():
    """Seconds on a clock that never jumps and that all processes of a machine share."""
    return time.monotonic()


class Journal:
    def __init__(self, path):
        self._file = open(path, "ab", buffering=0)
        self._pen = asyncio.Lock()
        self._lines = []
        self._noted = 0
        self._written = 0

    async def note(self, what, **facts):
        """Returns when the line is on the disk. Whoever holds the pen writes for everybody who waits for it."""
        self._lines.append(json.dumps({"what": what, "at": now()} | facts, separators=(",", ":")))
        self._noted += 1
        mine = self._noted
        async with self._pen:
            if self._written < mine:
                lines, self._lines = self._lines, []
                await asyncio.to_thread(self._write, "".join(f"{line}\n" for line in lines).encode())
                self._written += len(lines)

    def _write(self, content):
        if self._file.write(content) != len(content):
            raise OSError(f"{self._file.name} is full")
        os.fsync(self._file.fileno())


class Reading:
    """A journal as somebody reads it while it is written: each look returns what has been added since the last."""

    def __init__(self, path):
        self._path = path
        self._offset = 0

    def more(self):
        if not self._path.exists():
            return
        with open(self._path, "rb") as file:
            file.seek(self._offset)
            for line in file:
                # A line without its end is still being written.
                if line.endswith(b"\n"):
                    self._offset += len(line)
                    yield json.loads(line)
