"""Starts processes that do not outlive the harness, and ends them by their ids."""

import asyncio
import os
import random
import socket
from asyncio.subprocess import DEVNULL, STDOUT

# Ports that no outgoing connection is given: otherwise, while a killed server is away, a client that knocks at its port
# could be given that very port, reach itself, and keep the next server from it.
PORTS = range(10_000, 30_000)


async def start(command, log, environment=None, user=None):
    """Starts a command that the kernel kills when we die, with its outputs at the end of a log."""
    switch = [f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("SIGNET_", "PG"))}
    with open(log, "ab") as outputs:
        return await asyncio.create_subprocess_exec(
            *["setpriv", *switch, "--pdeathsig=KILL", "--", *command],
            env=inherited | (environment or {}),
            stdin=DEVNULL,
            stdout=outputs,
            stderr=STDOUT,
            # An interrupt from the terminal is ours to act on.
            start_new_session=True,
        )


async def run(command, log, user=None):
    """Runs a command to its end, which must be a good one."""
    process = await start(command, log, user=user)
    try:
        if await process.wait() != 0:
            raise RuntimeError(f"{command[0]} ended with {process.returncode}; {log} says why")
    finally:
        await kill(process)


async def end(process, within_s):
    """Asks it to end, and kills it when it does not."""
    process.terminate()
    try:
        async with asyncio.timeout(within_s):
            await process.wait()
    except TimeoutError:
        await kill(process)


async def kill(process):
    if process.returncode is None:
        process.kill()
    await process.wait()


async def wait_until(what, holds, within_s, looks_every_s=0.05):
    try:
        async with asyncio.timeout(within_s):
            while not await holds():
                await asyncio.sleep(looks_every_s)
    except TimeoutError:
        raise TimeoutError(f"{what}: not within {within_s} s") from None


def free_ports(count):
    return random.sample([port for port in random.sample(PORTS, 10 * count) if is_free(port)], count)


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


async def is_listening(port):
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
