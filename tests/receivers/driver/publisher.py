"""A server on which a receiver publishes its public keys."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Publisher:
    def __init__(self):
        self.asked = 0
        self._keys = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), request_class(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}/keys.json"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def publish(self, *keys):
        self._keys = [key.as_dict(private=False) for key in keys]

    def answer(self):
        self.asked += 1
        return json.dumps({"keys": self._keys}).encode()


def request_class(publisher):
    class Request(BaseHTTPRequestHandler):
        def do_GET(self):
            body = publisher.answer()
            self.send_response(200)
            self.send_header("Content-Type", "application/jwk-set+json")
            # As short as Signet takes it.
            self.send_header("Cache-Control", "public, max-age=60")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """What it was asked is counted."""

    return Request
