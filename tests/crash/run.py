"""Kills nodes of the real Signet and crashes their database under load, then accounts for every accepted event.

Every process keeps a log of what it saw, on the disk before it goes on, and the verdict is drawn from these logs alone.
"""

import argparse
import asyncio
import secrets
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from audit import audited
from rehearsal import rehearse

LOG_LINES_MAX = 60


def main():
    arguments = parse()
    folder = Path(tempfile.mkdtemp(prefix="signet-crash-"))
    # PostgreSQL's account must reach its own folder in there.
    folder.chmod(0o711)
    try:
        return judged(arguments, folder)
    except asyncio.CancelledError:
        return "crash: interrupted"
    except Exception:
        print_logs(folder)
        raise
    finally:
        if arguments.keep:
            print(f"crash: logs and data are in {folder}")
        else:
            shutil.rmtree(folder)


def judged(arguments, folder):
    """The exit code."""
    asyncio.run(until_interrupted(rehearse(arguments, folder)))
    verdict = audited(folder)
    print("\n".join(verdict.lines()), flush=True)
    if not verdict.is_good():
        print_logs(folder)
    print(f"crash: {'all is accounted for' if verdict.is_good() else 'FAILED'}, with --seed {arguments.seed}")
    return 0 if verdict.is_good() else 1


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--signet", type=Path, required=True, help="path of the signet binary")
    parser.add_argument("--database", choices=["postgres", "sqlite"], default="postgres")
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--kills", type=int, default=6, help="how often a node is killed")
    parser.add_argument("--database-crashes", type=int, default=1, help="how often PostgreSQL crashes")
    parser.add_argument("--seconds-between", type=span, default="2..10", help="between two disasters (%(default)s)")
    parser.add_argument("--publishers", type=int, default=16, help="of about 10 events a second each (%(default)s)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="of the disasters")
    parser.add_argument("--keep", action="store_true", help="keep the folder with all logs and data")
    arguments = parser.parse_args()
    if arguments.database == "sqlite" and (arguments.nodes, arguments.database_crashes) != (1, 0):
        parser.error("SQLite has one node and cannot crash alone: add --nodes 1 --database-crashes 0")
    return arguments


def span(text):
    low, _, high = text.partition("..")
    return float(low), float(high)


async def until_interrupted(work):
    """Signals cancel the work, which ends every process that it started."""
    for interrupt in [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]:
        asyncio.get_running_loop().add_signal_handler(interrupt, asyncio.current_task().cancel)
    await work


def print_logs(folder):
    for log in sorted(folder.glob("*.log")):
        print(f"--- the end of {log.name}")
        print("\n".join(log.read_text(errors="replace").splitlines()[-LOG_LINES_MAX:]), flush=True)


if __name__ == "__main__":
    sys.exit(main())
