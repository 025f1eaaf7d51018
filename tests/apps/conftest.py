"""A web server on loopback that misbehaves as told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Web:
    """Files by path. `faults` are taken one by one: a status, or a number of bytes to cut after."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: list[int] = []
        self.asked: list[tuple[str, str | None]] = []
        self.url = ""


@pytest.fixture
def web() -> Iterator[Web]:
    held = Web()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            held.asked.append((self.path, asked))
            data = held.files.get(self.path)
            fault = held.faults.pop(0) if held.faults else 0
            if data is None or 400 <= fault < 600:
                self.send_error(fault or 404)
                return
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
            if asked and start >= len(data):
                self.send_error(416)
                return
            self.send_response(206 if asked else 200)
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            body = data[start:]
            self.wfile.write(body[:fault] if fault < 0 else body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    held.url = f"http://127.0.0.1:{server.server_port}"
    yield held
    server.shutdown()
    server.server_close()
    thread.join()
