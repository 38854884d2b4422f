"""A gateway that passes requests on to one receiver, and writes every byte of them into its log, as too many do."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from driver.resending import resend


class Gateway:
    def __init__(self, receiver_url, log):
        self._receiver_url = receiver_url
        self._log = log
        self._writing = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), request_class(self._pass_on))
        self.url = f"http://127.0.0.1:{self._server.server_port}/webhook"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def _pass_on(self, request_line, headers, body):
        with self._writing, open(self._log, "ab") as log:
            log.write(request_line.encode() + b"\n" + headers.as_bytes() + body + b"\n")
        return resend(self._receiver_url, body, {"Content-Type": headers["Content-Type"]})


def request_class(pass_on):
    class Request(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, words = pass_on(self.requestline, self.headers, body)
            words = b"" if status == 204 else words.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(words)))
            self.end_headers()
            self.wfile.write(words)

        def log_message(self, *_):
            """Its log is a file of its own."""

    return Request
