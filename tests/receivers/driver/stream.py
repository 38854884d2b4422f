"""One event per second, from beginning to end, whatever happens to the keys meanwhile."""

import threading
import time

EVERY_S = 1.0


class Stream:
    """A context: inside it, a thread publishes. What it could not publish is raised where the context is left."""

    def __init__(self, signet, event_type):
        self._signet = signet
        self._event_type = event_type
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._failure = None
        self.sent = set()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, error_type, *_):
        self._ended.set()
        self._thread.join()
        if self._failure and error_type is None:
            raise self._failure

    def _run(self):
        next_at = time.monotonic()
        while not self._ended.wait(max(0, next_at - time.monotonic())):
            try:
                self.sent.add(self._signet.publish(self._event_type, b'{"number":%d}' % len(self.sent))["id"])
            except Exception as error:
                self._failure = error
                return
            next_at += EVERY_S
