"""A receiver that believes everything: it keeps each delivery exactly as it arrived."""

import threading
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

ARRIVES_WITHIN_S = 15


@dataclass(frozen=True)
class Delivery:
    path: str
    query: str
    headers: Message
    body: bytes


class Inbox:
    def __init__(self):
        self._deliveries = []
        self._arrived = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), request_class(self._keep))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def at(self, path):
        return [delivery for delivery in self._deliveries if delivery.path == path]

    def first_at(self, path):
        """Waits until something has arrived there."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: self.at(path), ARRIVES_WITHIN_S):
                raise TimeoutError(f"no delivery arrived at {path} within {ARRIVES_WITHIN_S} s")
            return self.at(path)[0]

    def next_at(self, path, seen):
        """Waits until more has arrived there than was seen."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.at(path)) > seen, ARRIVES_WITHIN_S):
                raise TimeoutError(f"no delivery after the first {seen} arrived at {path} within {ARRIVES_WITHIN_S} s")
            return self.at(path)[seen]

    def _keep(self, delivery):
        with self._arrived:
            self._deliveries.append(delivery)
            self._arrived.notify_all()


def request_class(keep):
    class Request(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            url = urlsplit(self.path)
            keep(Delivery(url.path, url.query, self.headers, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            """Signet's own log tells enough."""

    return Request
