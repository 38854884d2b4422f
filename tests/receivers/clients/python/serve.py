"""A webhook's HTTP side: 204 when `verify(token)` returns, 400 with the library's own words when it raises."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

AUDIENCE = os.environ["AUDIENCE"]
COMPRESSION = float(os.environ["COMPRESSION"])
ISSUER = os.environ["ISSUER"]
JWKS_URL = os.environ["JWKS_URL"]
PORT = int(os.environ["PORT"])


def serve(verify):
    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, words = answer(body, verify)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(words.encode())

        def log_message(self, *_):
            """Signet's log of deliveries tells enough."""

    ThreadingHTTPServer(("127.0.0.1", PORT), Webhook).serve_forever()


def answer(body, verify):
    try:
        verify(json.loads(body)["token"])
        return 204, ""
    except Exception as error:
        return 400, f"{type(error).__name__}: {error}"
