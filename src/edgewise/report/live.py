"""The report over a live store: a small server whose page is made anew when the store changed.

`/` shows `/page` in a frame and asks `/state` now and then: whether a newer page is worth making,
and which verbs write to the store, how far they are. What the page may do is what a report may do:
its own policy holds. `/model/SHA-256` gives a model's file, `/netron/SHA-256` opens it in Netron.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
import threading
import time
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from ipaddress import ip_address
from urllib.parse import parse_qs, quote, unquote, urlsplit

import msgspec

from edgewise.errors import EdgewiseError, InputError, UsageError
from edgewise.report import model_files
from edgewise.report.page import page_of
from edgewise.store import Store, running

_COOKIE = "edgewise_token"
_HTML, _TEXT, _JSON = "text/html; charset=utf-8", "text/plain; charset=utf-8", "application/json"
#: A caller that says nothing for so long is let go (s).
_SILENT_S = 30.0
#: The page of a store that keeps changing is made anew for this part of the time at most: that of a
#: large store takes tens of seconds.
_MAKING_SHARE = 0.2


class Live:
    """A store's page as of the store's last change. Threads may ask at the same time."""

    def __init__(self, store: Store, offers: Mapping[str, object]) -> None:
        self._store, self._offers = store, offers
        self._lock = threading.Lock()
        self._made_of: str | None = None
        self._page = b""
        self._rested_at = 0.0

    def revision(self) -> str:
        """See `Store.revision`."""
        return self._store.revision()

    def state(self) -> bytes:
        """As JSON: the store's revision, that of the page that was made last, whether it is time
        for a newer one, and the verbs at work (`store.Running`; since when, and told when)."""
        revision, now = self._store.revision(), time.time()
        at_work = [
            {
                "verb": each.verb, "done": each.done, "total": each.total, "at": each.at,
                "seconds": max(0.0, now - each.started), "ago": max(0.0, now - each.updated),
            }
            for each in running(self._store)
        ]  # fmt: skip
        rested = time.monotonic() >= self._rested_at
        due = revision != self._made_of and (rested or not at_work)
        return msgspec.json.encode(
            {"revision": revision, "page": self._made_of, "due": due, "running": at_work}
        )

    def page(self) -> bytes:
        """The page; made only where the store has changed since the last.

        Raises:
            NewerStore, StoreError: the store cannot be read.
        """
        with self._lock:
            now = self._store.revision()  # before reading: what comes meanwhile is another one
            if now != self._made_of:
                began = time.monotonic()
                self._page = page_of(self._store, live=self._offers).encode()
                self._made_of = now
                took = time.monotonic() - began
                self._rested_at = began + took / _MAKING_SHARE
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
        self.token, self.host = token, host
        # Netron listens on this machine alone: to readers elsewhere it is of no use.
        shows_graphs = is_loopback(host) and model_files.has_netron()
        self.netron = model_files.Netron() if shows_graphs else None
        self.store, self.live = store, Live(store, {"netron": self.netron is not None})
        if ":" in host:
            self.address_family = socket.AF_INET6
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or error
            raise InputError(f"cannot listen on {host}:{port}: {why}") from error

    def server_close(self) -> None:
        """End it, and Netron with it."""
        super().server_close()
        if self.netron is not None:
            self.netron.close()

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
        elif address.path != "/" and self.headers.get("Sec-Fetch-Site") == "cross-site":
            self._answer(403, "Another site's page asks for this.\n")
        else:
            self._page(address.path)

    def _page(self, path: str) -> None:
        try:
            match path.split("/")[1:]:
                case [""]:
                    page, policy = _frame(self.server.live.revision())
                    self._answer(200, page, _HTML, {"Content-Security-Policy": policy})
                case ["page"]:
                    self._answer(200, self.server.live.page(), _HTML)
                case ["revision"]:
                    self._answer(200, self.server.live.revision())
                case ["state"]:
                    self._answer(200, self.server.live.state(), _JSON)
                case ["model", sha256]:
                    self._model(sha256)
                case ["netron", sha256] if self.server.netron is not None:
                    at = self.server.netron.open(*model_files.model_file(self.server.store, sha256))
                    self._answer(303, "", more={"Location": at})
                case _:
                    self._answer(404, "There is /, /page, /state, /revision and /model/SHA-256.\n")
        except UsageError as error:
            self._answer(404, f"{error}\n")
        except EdgewiseError as error:
            self._answer(503, f"{error}\n")

    def _model(self, sha256: str) -> None:
        name, content = model_files.model_file(self.server.store, sha256)
        kind = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}"}
        self._answer(200, content, "application/octet-stream", kind)

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
        self,
        status: int,
        body: str | bytes | memoryview,
        kind: str = _TEXT,
        more: Mapping[str, str] = {},
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
