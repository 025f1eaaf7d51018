"""One request over HTTP: its times by phase, its failures by what may be done about them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import getproxies, proxy_bypass

from edgewise.client.retries import Failure, retry_after_ms
from edgewise.errors import EdgewiseError, MissingExtra, UsageError
from edgewise.protocol.errors import MalformedAnswer, Unreachable, from_status
from edgewise.protocol.http.attempt import now_ms, total_ms
from edgewise.protocol.http.client_codec import LENGTH_HEADER, Body, refusal

try:
    import httpx
except ImportError as missing:
    raise MissingExtra("client", "the client") from missing

#: The client bounds the whole of a call; single reads and writes need no bound of their own.
_NO_TIMEOUT = {"timeout": {"connect": None, "read": None, "write": None, "pool": None}}
#: A service closes idle connections after 75 s; going first avoids a broken request.
_KEEPALIVE_S = 60.0
_MOST_ERROR_BYTES = 64 * 1024


class Failed(Exception):
    """An attempt failed: how, for deciding about another, the error if there is none, and what was
    answered with another status than 200."""

    def __init__(
        self, failure: Failure, error: EdgewiseError, answer: Response | None = None
    ) -> None:
        super().__init__(str(error))
        self.failure = failure
        self.error = error
        self.answer = answer


@dataclass(slots=True)
class Marks:
    """When a request reached its stages, on `now_ms`'s clock; 0: not reached."""

    connecting_ms: float = 0.0
    sending_ms: float = 0.0
    first_ms: float = 0.0
    last_ms: float = 0.0

    @property
    def fresh(self) -> bool:
        """Whether a connection was made for it."""
        return self.connecting_ms > 0

    @property
    def connect_ms(self) -> float:
        """What the handshakes took."""
        return self.sending_ms - self.connecting_ms if self.fresh and self.sending_ms else 0.0

    async def trace(self, event: str, _: Mapping[str, Any]) -> None:
        """httpcore's trace extension."""
        if event == "http11.send_request_headers.started":
            self.sending_ms = now_ms()
        elif event in ("connection.connect_tcp.started", "connection.connect_unix_socket.started"):
            self.connecting_ms = now_ms()


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer. `server_ms`: what its head says that the service took."""

    content: bytes
    head_length: str | None
    marks: Marks
    server_ms: float | None


class Http:
    """Connections to one service. Raises UsageError for a URL that is none of HTTP's."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None,
        verify: bool | Path | ssl.SSLContext,
        connections: int,
        most_bytes: int,
    ) -> None:
        try:
            self._base = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise UsageError(f"'{url}' is no URL: {error}") from error
        if self._base.scheme not in ("http", "https") or not self._base.host:
            raise UsageError(f"'{url}' is no URL of HTTP", hint="such as http://127.0.0.1:8080")
        self._most_bytes = most_bytes
        self._headers = [
            ("Host", self._base.netloc.decode("ascii")),
            ("Accept", "*/*"),
            # No bound on what is received can be kept if it may unfold.
            ("Accept-Encoding", "identity"),
            ("User-Agent", "edgewise"),
        ]
        if token:
            self._headers.append(("Authorization", f"Bearer {token}"))
        self._running: set[asyncio.Task[Response]] = set()
        limits = httpx.Limits(
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=_KEEPALIVE_S,
        )
        # The transport alone: redirects, cookies and the like are not wanted, and httpx's client
        # takes a fifth of a millisecond for them.
        self._transport = httpx.AsyncHTTPTransport(
            verify=_tls(verify), limits=limits, proxy=_proxy(self._base)
        )

    @property
    def where(self) -> str:
        """The service's address, for messages."""
        return f"{self._base.scheme}://{self._base.netloc.decode('ascii')}"

    def url(self, path: str) -> httpx.URL:
        """A path below the service's."""
        return self._base.copy_with(raw_path=self._base.raw_path.rstrip(b"/") + path.encode())

    async def post(self, url: httpx.URL, body: Body, spent_ms: Callable[[], float]) -> Response:
        """Send a body. `spent_ms` is asked when the bytes leave.

        Raises:
            Failed: no answer, or one with another status than 200.
        """
        headers = [
            *self._headers,
            ("Content-Type", "application/octet-stream"),
            ("Content-Length", str(body.total_bytes)),
            (LENGTH_HEADER, str(body.head_bytes)),
        ]
        return await self._cancelled_once(
            self._exchange("POST", url, headers, _Upload(body, spent_ms))
        )

    async def get(self, url: httpx.URL) -> Response:
        """Raises Failed as `post`."""
        return await self._cancelled_once(
            self._exchange("GET", url, self._headers, httpx.ByteStream(b""))
        )

    async def _cancelled_once(self, exchange: Coroutine[Any, Any, Response]) -> Response:
        """An exchange in a task of its own, so that it can be left at once.

        Being cancelled, httpcore closes the connection, for which it awaits. A second cancellation
        (the deadline's, after the device's answer was taken) would end that half-way: connection
        and place in the pool would be lost.
        """
        task = asyncio.create_task(exchange)
        self._running.add(task)
        task.add_done_callback(self._ended)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            waiting = asyncio.current_task()
            if task.cancelled() and waiting is not None and not waiting.cancelling():
                closed = Unreachable("the client was closed during the call")
                raise Failed(Failure("begun"), closed) from None
            task.cancel()
            raise

    def _ended(self, task: asyncio.Task[Response]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited for it may have left

    async def close(self) -> None:
        """Close all connections; what runs is cancelled."""
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)
        await self._transport.aclose()

    async def _exchange(
        self,
        method: str,
        url: httpx.URL,
        headers: list[tuple[str, str]],
        upload: httpx.AsyncByteStream,
    ) -> Response:
        marks = Marks()
        extensions: dict[str, Any] = {**_NO_TIMEOUT, "trace": marks.trace}
        request = httpx.Request(method, url, headers=headers, stream=upload, extensions=extensions)
        try:
            answer = await self._transport.handle_async_request(request)
            stream = answer.stream
            assert isinstance(stream, httpx.AsyncByteStream)
        except httpx.TransportError as error:
            raise self._no_answer(error, marks) from error
        try:
            marks.first_ms = now_ms()
            content = await self._read(answer, stream)
            marks.last_ms = now_ms()
        except httpx.TransportError as error:
            broken = Unreachable(f"the answer of {self.where} broke off: {_cause(error)}")
            raise Failed(Failure("begun"), broken) from error
        except MalformedAnswer as error:
            raise Failed(Failure("begun"), error) from error
        finally:
            await stream.aclose()
        server_ms = total_ms(answer.headers.get("server-timing", ""))
        response = Response(content, answer.headers.get(LENGTH_HEADER), marks, server_ms)
        if answer.status_code != 200:
            raise self._not_served(answer, response)
        return response

    async def _read(self, answer: httpx.Response, stream: httpx.AsyncByteStream) -> bytes:
        most_bytes = self._most_bytes
        if answer.status_code != 200:
            most_bytes = min(most_bytes, _MOST_ERROR_BYTES)
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise MalformedAnswer(f"{self.where} sent a compressed answer, which was not asked for")
        parts: list[bytes] = []
        total = 0
        async for part in stream:
            total += len(part)
            if total > most_bytes:
                raise MalformedAnswer(
                    f"the answer of {self.where} is larger than {most_bytes} bytes",
                    hint="raise most_answer_bytes if that is expected",
                )
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _no_answer(self, error: httpx.TransportError, marks: Marks) -> Failed:
        cause = _cause(error)
        if isinstance(cause, ssl.SSLError):
            reason = getattr(cause, "verify_message", "") or cause.reason or str(cause)
            message = f"no TLS connection to {self.where}: {reason}"
            hint = "give verify= the certificate of the authority that signed the service's"
            return Failed(Failure("tls"), Unreachable(message, hint=hint))
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
            hint = "is it running, and is the URL right?"
            return Failed(
                Failure("connect"), Unreachable(f"cannot reach {self.where}: {cause}", hint=hint)
            )
        if isinstance(error, httpx.ProtocolError) and "disconnected" not in str(error):
            return Failed(
                Failure("begun"), MalformedAnswer(f"{self.where} does not speak HTTP: {error}")
            )
        return Failed(
            Failure("dropped", reused=not marks.fresh),
            Unreachable(f"{self.where} closed the connection without an answer: {cause}"),
        )

    def _not_served(self, answer: httpx.Response, response: Response) -> Failed:
        status = answer.status_code
        said = refusal(response.content)
        words = said.error or f"status {status}"
        if 300 <= status < 400:
            words = f"redirects to {answer.headers.get('location', 'nowhere')[:200]!r}"
        error = from_status(
            status,
            f"{self.where}: {words}",
            retry_after_ms=said.retry_after_ms,
            device=said.device,
        )
        after_ms = said.retry_after_ms  # the header has whole seconds only
        if after_ms is None:
            after_ms = retry_after_ms(answer.headers.get("retry-after"))
        return Failed(Failure("status", status, after_ms), error, response)


async def warm_http() -> None:
    """Load what httpx loads at its first request: some 30 ms."""
    import anyio

    await anyio.sleep(0)


class _Upload(httpx.AsyncByteStream):
    """A body whose head is written when it leaves."""

    def __init__(self, body: Body, spent_ms: Callable[[], float]) -> None:
        self._body = body
        self._spent_ms = spent_ms

    async def __aiter__(self) -> AsyncIterator[bytes]:
        head = self._body.head(self._spent_ms())
        if self._body.total_bytes <= 1 << 16:  # one packet train, one system call
            yield b"".join((head, *self._body.binary))
            return
        yield head
        for part in self._body.binary:
            yield bytes(part)


def _tls(verify: bool | Path | ssl.SSLContext) -> ssl.SSLContext | bool:
    if isinstance(verify, bool | ssl.SSLContext):
        return verify
    try:
        return ssl.create_default_context(cafile=str(verify))
    except OSError as error:  # ssl.SSLError is one
        raise UsageError(f"the certificates {verify} cannot be read: {error}") from error


def _proxy(url: httpx.URL) -> str | None:
    """As the environment says: HTTPS_PROXY, NO_PROXY and so on."""
    if proxy_bypass(url.host):
        return None
    proxies = getproxies()
    return proxies.get(url.scheme) or proxies.get("all")


def _cause(error: BaseException) -> BaseException:
    """What lies below httpx's and httpcore's wrapping."""
    while (below := error.__cause__ or error.__context__) is not None:
        error = below
    return error
