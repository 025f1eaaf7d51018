"""A server of the Open Inference Protocol whose answers a test decides."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Fake:
    """`says` are the answer's parameters, `takes` its model's inputs. With a `page` it has that,
    and reads bodies that it ignores, of `most_bytes` at most; then it closes. Answers from number
    `hangs_from` on never come, those from `fails_from` on are errors."""

    name: str = "fake"
    takes: tuple[dict[str, Any], ...] = ({"name": "image", "datatype": "BYTES", "shape": [1]},)
    says: dict[str, Any] = field(default_factory=dict)
    delay_s: float = 0.0
    hangs_from: int | None = None
    fails_from: int | None = None
    content: bytes | None = None
    refusal: int = 404
    page: bytes | None = None
    most_bytes: int | None = None
    url: str = ""
    asked: list[bytes] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def answer(self, body: bytes) -> tuple[int, bytes]:
        self.asked.append(body)
        number = len(self.asked)
        if self.hangs_from is not None and number >= self.hangs_from:
            self.over.wait()
        if self.fails_from is not None and number >= self.fails_from:
            return 500, b'{"error":"broken today"}'
        time.sleep(self.delay_s)
        if self.content is not None:
            return 200, self.content
        output = {"name": "y", "datatype": "FP32", "shape": [1, 3], "data": [0, 1, 0]}
        answer: dict[str, Any] = {"model_name": "m", "outputs": [output]}
        if self.says:
            answer["parameters"] = self.says
        return 200, json.dumps(answer).encode()


@contextmanager
def running(fake: Fake, tls: ssl.SSLContext | None = None) -> Iterator[Fake]:
    """On a free port of loopback while it is entered."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            if self.path == "/v2":
                self._reply(200, {"name": fake.name, "version": "1", "extensions": []})
            elif self.path == "/v2/models/m":
                self._reply(200, {"name": "m", "inputs": fake.takes, "outputs": []})
            elif fake.page is not None:
                self._send(200, fake.page if self.path == "/openapi.json" else b"")
            else:
                self._reply(fake.refusal, {"error": "no such thing"})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path.endswith("/infer"):
                self._send(*fake.answer(body))
            elif fake.most_bytes is not None and len(body) > fake.most_bytes:
                self._reply(413, {"error": "too large"})
                self.close_connection = True
            elif fake.page is not None:
                self._send(200, b"")
            else:
                self._reply(fake.refusal, {"error": "no such thing"})

        def _reply(self, status: int, content: object) -> None:
            self._send(status, json.dumps(content).encode())

        def _send(self, status: int, content: bytes) -> None:
            head = f"HTTP/1.1 {status} -\r\ncontent-length: {len(content)}\r\n\r\n".encode()
            try:
                self.wfile.write(head + content)
            except OSError:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    fake.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield fake
    finally:
        fake.over.set()
        server.shutdown()
        thread.join()
        server.server_close()
