"""A client that asks one question after the other and notes every phase on one clock."""

from __future__ import annotations

import asyncio
import json
import ssl
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from edgewise.errors import EdgewiseError
from edgewise.protocol.http import prepared
from edgewise.protocol.http.attempt import Attempt, now_ms
from edgewise.protocol.http.connection import ClientConnection
from edgewise.protocol.http.prepared import Body, Said
from edgewise.protocol.http.target import ServerAbout, Target

_OK = 200


class NoAnswer(EdgewiseError):
    """A request that got no answer; the message says why."""


class Address(NamedTuple):
    """Where a client connects; `shaped`: a link's proxy is there."""

    host: str
    port: int
    shaped: bool


class Reply(NamedTuple):
    """An exchange that ended well. `begun_ms` is when its request was handed over; the payload is
    all that was sent, the reply the body that came."""

    exchange: Attempt
    begun_ms: float
    payload_bytes: int
    content: bytes
    json_length: int | None

    @property
    def said(self) -> Said:
        """The server's own word; empty where it has none."""
        try:
            return prepared.said(self.content, self.json_length)
        except msgspec.DecodeError:
            return Said()

    @property
    def has_outputs(self) -> bool:
        """Whether it is an answer of the protocol at all. Python's parser takes a NaN, too."""
        try:
            answer = json.loads(self.content[: self.json_length])
        except ValueError:
            return False
        return isinstance(answer, dict) and bool(answer.get("outputs"))


@dataclass(frozen=True)
class Caller:
    """What all requests to one model have in common."""

    address: Address
    tls: ssl.SSLContext | None
    server_name: str
    head: bytes
    ping_head: bytes
    binary: bool
    timeout_s: float


def caller_of(
    target: Target, about: ServerAbout, model: str, address: Address, timeout_s: float
) -> Caller:
    """What all requests to a model of this server have in common, sent to that address."""
    path, binary = target.infer_path(model), about.binary
    token = f"Authorization: Bearer {target.token}\r\n" if target.token else ""
    ping = f"GET {target.prefix}/v2 HTTP/1.1\r\nHost: {target.authority}\r\n{token}\r\n"
    return Caller(
        address=address,
        tls=target.context(),
        server_name=target.host,
        head=prepared.head(path, target.authority, target.token, binary=binary, keep=True),
        ping_head=ping.encode("latin-1"),
        binary=binary,
        timeout_s=timeout_s,
    )


class Client:
    """One connection at a time. Every wait ends with the time-out."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._connection: ClientConnection | None = None
        self._waiting: asyncio.Future[tuple[Attempt, bytes, int | None]] | None = None

    async def connect(self) -> float:
        """A new connection in place of the one before; how long it took in ms, TLS with it.

        Raises:
            NoAnswer: nobody listens, or not in time.
        """
        self.close()
        caller, begin_ms = self._caller, now_ms()
        opening = asyncio.get_running_loop().create_connection(
            lambda: ClientConnection(self._answered, self._lost, shaped=caller.address.shaped),
            caller.address.host,
            caller.address.port,
            ssl=caller.tls,
            server_hostname=caller.server_name if caller.tls else None,
        )
        try:
            _, self._connection = await asyncio.wait_for(opening, caller.timeout_s)
        except TimeoutError:
            raise NoAnswer(f"no connection within {caller.timeout_s:g} s") from None
        except OSError as error:
            raise NoAnswer(f"no connection: {error.strerror or error}") from error
        return now_ms() - begin_ms

    @property
    def is_open(self) -> bool:
        """Whether a request may be sent."""
        return self._connection is not None and self._connection.is_open

    async def ask(self, body: Body) -> Reply:
        """Send a request and wait for the whole answer.

        Raises:
            NoAnswer: there is none in time, or it is an error.
        """
        binary = self._caller.binary
        return await self._exchange(prepared.message(self._caller.head, body, b"", binary=binary))

    async def ping(self) -> float:
        """A round trip of a small request in ms, the server's own time with it."""
        reply = await self._exchange([self._caller.ping_head])
        return reply.exchange.last_ms - reply.begun_ms

    async def _exchange(self, parts: list[bytes]) -> Reply:
        if self._connection is None or not self._connection.is_open:
            raise NoAnswer("the server closed the connection")
        size_bytes = sum(map(len, parts))
        begun_ms = now_ms()
        exchange = Attempt(0, 0, 0, size_bytes, begun_ms, begun_ms)
        self._waiting = asyncio.get_running_loop().create_future()
        self._connection.send(exchange, parts)
        try:
            done, content, json_length = await asyncio.wait_for(
                self._waiting, self._caller.timeout_s
            )
        except TimeoutError:
            self.close()
            raise NoAnswer(f"no answer within {self._caller.timeout_s:g} s") from None
        if done.error is not None:
            raise NoAnswer(f"no answer: the connection was {_ENDS.get(done.error, done.error)}")
        if done.status != _OK:
            raise NoAnswer(f"the server answers {done.status}: {words(content)}")
        return Reply(done, begun_ms, size_bytes, content, json_length)

    def close(self) -> None:
        """Close the connection, if one is open."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _answered(
        self, _: ClientConnection, exchange: Attempt, content: bytes, json_length: int | None
    ) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result((exchange, content, json_length))

    def _lost(self, connection: ClientConnection) -> None:
        if self._connection is connection:
            self._connection = None


_ENDS = {"reset": "reset", "closed": "closed", "no HTTP": "used for something that is no HTTP"}


class _Refusal(msgspec.Struct):
    error: str


def words(content: bytes) -> str:
    """What a server says of an error, shortened."""
    try:
        return msgspec.json.decode(content, type=_Refusal).error[:200]
    except msgspec.DecodeError:
        return content[:200].decode("utf-8", "replace").strip() or "nothing more"
