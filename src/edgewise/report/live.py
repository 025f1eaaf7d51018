"""The report over a live store: a small server whose page is made anew when the store changed.

It answers three addresses: `/` shows `/page` in a frame and asks `/revision` now and then. What
the page may do is what a report may do: its own policy holds.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
import threading
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from ipaddress import ip_address
from urllib.parse import parse_qs, quote, unquote, urlsplit

from edgewise.errors import EdgewiseError, InputError, UsageError
from edgewise.report.page import page_of
from edgewise.store import Store

_COOKIE = "edgewise_token"
_HTML, _TEXT = "text/html; charset=utf-8", "text/plain; charset=utf-8"
#: A caller that says nothing for so long is let go (s).
_SILENT_S = 30.0


class Live:
    """A store's page as of the store's last change. Threads may ask at the same time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._made_of: str | None = None
        self._page = b""

    def revision(self) -> str:
        """See `Store.revision`."""
        return self._store.revision()

    def page(self) -> bytes:
        """The page; made only where the store has changed since the last.

        Raises:
            NewerStore, StoreError: the store cannot be read.
        """
        with self._lock:
            now = self._store.revision()  # before reading: what comes meanwhile is another one
            if now != self._made_of:
                self._page = page_of(self._store).encode()
                self._made_of = now
            return self._page


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on an address."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class Server(ThreadingHTTPServer):
    """Serves one store's page. `serve_forever` runs it, `shutdown` ends that, `server_close` it.

    Raises:
        UsageError: other machines could reach it, and there is no token.
        InputError: the address cannot be listened on.
    """

    daemon_threads = True

    def __init__(self, store: Store, host: str, port: int, token: str | None = None) -> None:
        if not is_loopback(host) and not token:
            raise UsageError(f"--host {host} without a token", hint="--token, or EDGEWISE_TOKEN")
        self.live, self.token, self.host = Live(store), token, host
        if ":" in host:
            self.address_family = socket.AF_INET6
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or error
            raise InputError(f"cannot listen on {host}:{port}: {why}") from error

    @property
    def url(self) -> str:
        """Where it is, with the token that opens it."""
        opened = f"?token={quote(self.token, safe='')}" if self.token else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.server_port}/{opened}"


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = _SILENT_S

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        if not self._is_meant():
            self._answer(421, "This server is asked by its own address only.\n")
        elif not self._may(given := parse_qs(address.query).get("token", [""])[0]):
            self._answer(401, "The token is missing or wrong: open the address with ?token=…\n")
        elif address.path == "/" and given:
            cookie = f"{_COOKIE}={quote(given, safe='')}; HttpOnly; SameSite=Strict; Path=/"
            self._answer(303, "", more={"Location": "/", "Set-Cookie": cookie})
        else:
            self._page(address.path)

    def _page(self, path: str) -> None:
        try:
            match path:
                case "/":
                    page, policy = _frame(self.server.live.revision())
                    self._answer(200, page, _HTML, {"Content-Security-Policy": policy})
                case "/page":
                    self._answer(200, self.server.live.page(), _HTML)
                case "/revision":
                    self._answer(200, self.server.live.revision())
                case _:
                    self._answer(404, "There is /, /page and /revision.\n")
        except EdgewiseError as error:
            self._answer(503, f"{error}\n")

    def _is_meant(self) -> bool:
        """A stranger's name that was made to point here is none of this server's (DNS rebinding).
        With a token that is no danger, and the server may have names that it does not know."""
        if self.server.token:
            return True
        name = urlsplit(f"//{self.headers.get('Host', '')}").hostname
        return name is not None and is_loopback(name)

    def _may(self, given: str) -> bool:
        if self.server.token is None:
            return True
        try:
            cookie = SimpleCookie(self.headers.get("Cookie", "")).get(_COOKIE)
        except CookieError:
            cookie = None
        bearer = self.headers.get("Authorization", "").removeprefix("Bearer ")
        shown = (given, bearer, unquote(cookie.value) if cookie else "")
        token = self.server.token.encode()
        return any(hmac.compare_digest(each.encode(), token) for each in shown)

    def _answer(
        self, status: int, body: str | bytes, kind: str = _TEXT, more: Mapping[str, str] = {}
    ) -> None:
        content = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        headers = {
            "Content-Type": kind, "Content-Length": str(len(content)), "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff", "X-Frame-Options": "SAMEORIGIN",
            "Referrer-Policy": "no-referrer", **more,
        }  # fmt: skip
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nobody wants a line for each request; and addresses hold the token."""


def _frame(revision: str) -> tuple[str, str]:
    """The page around the page, and what it may do. The page that it shows is of this revision of
    the store, or of a later one."""
    script, page = (
        files("edgewise.report").joinpath(name).read_text(encoding="utf-8")
        for name in ("live.js", "live.html")
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "connect-src 'self'; frame-src 'self'"
    )
    return page.replace("REVISION", revision).replace("SCRIPT", script), policy
