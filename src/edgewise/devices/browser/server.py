"""The page's server: its files, the packages, the models asked for, and what the page tells.

Every address begins with a token that only the printed link has: on a local network others must
neither read models nor pretend to be the device.
"""

from __future__ import annotations

import json
import queue
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from edgewise.errors import DeviceError, DeviceGone

PAGE = Path(__file__).parent / "page"
_ISOLATION = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
#: Python's own table lacks the first, and has the second only since 3.12.
_TYPES = {
    ".wasm": "application/wasm", ".mjs": "text/javascript", ".js": "text/javascript",
    ".html": "text/html; charset=utf-8",
}  # fmt: skip
_MOST_BODY = 64 << 20
_MOST_ECHO = 16 << 20
#: The page says every 2 s that it is there.
_SILENT_S = 20.0
_POLL_S = 10.0


@dataclass
class Desk:
    """What passes between the page's requests and the thread that measures."""

    packages: Path
    token: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    models: dict[str, Path | bytes] = field(default_factory=dict)
    hello: dict[str, Any] | None = None
    came: threading.Event = field(default_factory=threading.Event)
    lost: str | None = None
    heard_at: float = 0.0
    _asked: queue.Queue[dict[str, Any]] = field(default_factory=queue.Queue)
    _answers: dict[str, queue.Queue[dict[str, Any]]] = field(default_factory=dict)
    _closed: bool = False

    def ask(self, job: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Have the page do a job.

        Raises:
            DeviceError: it had no end in time.
            DeviceGone: the page is not heard of any more.
        """
        answers: queue.Queue[dict[str, Any]] = queue.Queue(1)
        self._answers[job["id"]] = answers
        self._asked.put(job)
        end = time.monotonic() + seconds
        try:
            while not self._closed:
                try:
                    return answers.get(timeout=0.2)
                except queue.Empty:
                    pass
                if self.lost is not None:
                    raise DeviceGone(f"the page failed: {self.lost}")
                if time.monotonic() - self.heard_at > _SILENT_S:
                    raise DeviceGone(
                        f"the page was not heard of for {_SILENT_S:g} s: it was closed, or the "
                        "phone's screen went off"
                    )
                if time.monotonic() >= end:
                    raise DeviceError(f"no end of the run within {seconds:g} s: it hangs")
            raise DeviceGone("stopped")
        finally:
            del self._answers[job["id"]]

    def next_job(self) -> dict[str, Any]:
        """What the page is to do now."""
        if self._closed:
            return {"end": True}
        try:
            return self._asked.get(timeout=_POLL_S)
        except queue.Empty:
            return {"end": True} if self._closed else {"wait": True}

    def told(self, what: str, number: str, said: dict[str, Any]) -> None:
        """Something that the page tells."""
        if what == "hello" and self.hello is None:
            self.hello = said
            self.came.set()
        elif what == "lost":
            self.lost = str(said.get("reason"))[:300]
        elif what == "result" and (answers := self._answers.get(number)) is not None:
            answers.put(said)

    def heard(self) -> None:
        """The page is there."""
        self.heard_at = time.monotonic()

    def close(self) -> None:
        """The page may go."""
        self._closed = True
        self._asked.put({"end": True})


class Server:
    """One listening address, by http or by https."""

    def __init__(self, desk: Desk, where: tuple[str, int], tls: ssl.SSLContext | None) -> None:
        handler = type("Handler", (_Handler,), {"desk": desk})
        self._server = _Listening(where, handler, tls)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Listening(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(
        self, where: tuple[str, int], handler: type[_Handler], tls: ssl.SSLContext | None
    ) -> None:
        self._tls = tls
        super().__init__(where, handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """The handshake in the request's own thread: one that never ends holds nobody up."""
        if self._tls is None:
            super().finish_request(request, client_address)
            return
        request.settimeout(30)
        with self._tls.wrap_socket(
            request, server_side=True, do_handshake_on_connect=False
        ) as wrapped:
            try:
                wrapped.do_handshake()
            except OSError:
                return  # a browser that does not trust the certificate yet
            super().finish_request(wrapped, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that hangs up is no event."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    desk: Desk

    def do_GET(self) -> None:
        """Files."""
        path = self._path()
        if path is None:
            return
        path = path.partition("?")[0] or "index.html"
        content = self._content(path)
        if content is None:
            self._send(404, b"", "text/plain")
            return
        kind = _TYPES.get(Path(path).suffix, "application/octet-stream")
        self._send(200, content, kind)

    def do_POST(self) -> None:
        """What the page tells and asks."""
        path = self._path()
        length = int(self.headers.get("Content-Length") or 0)
        if path is None or not 0 <= length <= _MOST_BODY:
            self.close_connection = True
            return
        body = self.rfile.read(length)
        self.desk.heard()
        what, _, query = path.partition("?")
        argument = query.partition("=")[2]
        if what == "echo":
            size = int(argument) if argument.isdigit() else 1
            self._send(200, bytes(min(size, _MOST_ECHO)), "application/octet-stream")
        elif what == "next":
            self._send(200, json.dumps(self.desk.next_job()).encode(), "application/json")
        else:
            if body:
                self._tell(what, argument, body)
            self._send(200, b"{}", "application/json")

    def _tell(self, what: str, argument: str, body: bytes) -> None:
        try:
            said = json.loads(body)
        except (ValueError, RecursionError):
            return
        if isinstance(said, dict):
            self.desk.told(what, argument, said)

    def _path(self) -> str | None:
        """What comes after the token, None (and an answer) where that is not right."""
        _, token, *rest = self.path.split("/", 2) if self.path.count("/") > 1 else ["", "", ""]
        if not secrets.compare_digest(token.encode(), self.desk.token.encode()):
            self._send(404, b"", "text/plain")
            return None
        return rest[0]

    def _content(self, path: str) -> bytes | None:
        if path.startswith("models/"):
            found = self.desk.models.get(path.removeprefix("models/"))
            return found.read_bytes() if isinstance(found, Path) else found
        base = PAGE
        if path.startswith("pkg/"):
            base, path = self.desk.packages, path.removeprefix("pkg/")
        target = (base / path).resolve()
        if not target.is_relative_to(base.resolve()) or not target.is_file():
            return None
        return target.read_bytes()

    def _send(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in (*_ISOLATION.items(), ("Content-Type", kind)):
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


def own_addresses() -> list[str]:
    """This machine's address as the network sees it; empty without a network."""
    found = []
    for probe, family in (("192.0.2.1", socket.AF_INET),):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as each:
                each.connect((probe, 9))  # nothing is sent: it only chooses a route
                found.append(str(each.getsockname()[0]))
        except OSError:
            continue
    return found


Tell = Callable[[str], None]
