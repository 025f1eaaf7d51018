"""The server that a load is driven against: where it is, how to reach it, what its model takes."""

from __future__ import annotations

import http.client
import socket
import ssl
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic, sleep
from typing import TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from edgewise.errors import InputError, UsageError
from edgewise.protocol.http.prepared import Port

_ASK_S = 10.0
_BETWEEN_S = 0.2
#: OpenSSL's X509_V_ERR_… (x509_vfy.h): not yet valid or expired; made out to another name or
#: address.
_OUT_OF_DATE, _OTHER_NAME = (9, 10), (62, 64)
A = TypeVar("A")


class ServerAbout(msgspec.Struct, frozen=True):
    """A server's metadata."""

    name: str
    version: str = ""
    extensions: list[str] = []

    @property
    def binary(self) -> bool:
        """Whether tensors may travel as bytes."""
        return "binary_tensor_data" in self.extensions

    @property
    def edgewise(self) -> bool:
        """Whether its answers say what was chosen and how long it took."""
        return self.name == "edgewise"


class ModelAbout(msgspec.Struct, frozen=True):
    """A model's metadata, as far as a load needs it."""

    name: str
    inputs: list[Port]
    outputs: list[Port] = []


@dataclass(frozen=True)
class Target:
    """A server by its URL. `prefix` is what its paths begin with, such as a proxy's; `address` is
    what `host` stands for, empty: not looked up yet.
    """

    url: str
    host: str
    port: int
    tls: bool
    prefix: str
    token: str | None
    ca: Path | None
    address: str = ""

    @property
    def authority(self) -> str:
        """Host and port as HTTP's Host header has them."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == (443 if self.tls else 80) else f"{name}:{self.port}"

    def context(self) -> ssl.SSLContext | None:
        """How TLS checks the server, None without TLS.

        Raises:
            InputError: the certificates cannot be read.
        """
        if not self.tls:
            return None
        try:
            return ssl.create_default_context(cafile=self.ca)
        except (OSError, ssl.SSLError) as error:
            raise InputError(f"the certificates {self.ca} cannot be read: {error}") from error

    def infer_path(self, model: str) -> str:
        """Where requests for a model go."""
        return f"{self.prefix}/v2/models/{quote(model, safe='')}/infer"

    def resolved(self) -> Target:
        """The same with the address that answers, so that no request waits for a name.

        Raises:
            InputError: the connection is refused there.
        """
        try:
            with socket.create_connection((self.host, self.port), _ASK_S) as connection:
                return replace(self, address=str(connection.getpeername()[0]))
        except OSError as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> InputError:
        if isinstance(error, ssl.SSLError):
            return self._untrusted(error)
        return InputError(
            f"no connection to {self.url}: {error or type(error).__name__}",
            hint="is the service running, and is that its address?",
        )

    def _untrusted(self, error: ssl.SSLError) -> InputError:
        """Somebody is there, but TLS does not come about."""
        if not isinstance(error, ssl.SSLCertVerificationError):
            return InputError(
                f"{self.url}: no TLS connection: {error.reason or error}",
                hint="does that port speak TLS? a service without certificates is at http://",
            )
        if error.verify_code in _OUT_OF_DATE:
            hint = "renew the service's certificate, or set this machine's clock"
        elif error.verify_code in _OTHER_NAME:
            hint = "use a name or an address that its certificate is made out to"
        else:
            hint = (
                "--ca FILE names the certificate that signed the service's (its own where it "
                "signed itself)"
            )
        return InputError(
            f"{self.url}: its certificate cannot be trusted: {error.verify_message}", hint=hint
        )

    def server(self) -> ServerAbout:
        """What the server says of itself.

        Raises:
            InputError: the connection is refused, or it does not speak the Open Inference Protocol.
        """
        return self._ask("/v2", ServerAbout)

    def model(self, name: str) -> ModelAbout:
        """What a model takes.

        Raises:
            InputError: the connection is refused, or there is no such model.
        """
        return self._ask(f"/v2/models/{quote(name, safe='')}", ModelAbout)

    def await_model(self, name: str, seconds: float) -> None:
        """Wait until the server has a model.

        Raises:
            InputError: it has not within so many seconds; as `model`.
        """
        until = monotonic() + seconds
        while True:
            try:
                self.model(name)
                return
            except InputError:
                if monotonic() > until:
                    raise
            sleep(_BETWEEN_S)

    def _ask(self, path: str, kind: type[A]) -> A:
        status, content = self._get(self.prefix + path)
        if status in (401, 403):
            raise InputError(f"{self.url} refuses the token", hint="give the right --token")
        if status != 200:
            words = content[:200].decode("utf-8", "replace").strip()
            raise InputError(
                f"{self.url}{path} answers {status}: {words}",
                hint="--model names a model that it serves; edgewise load speaks the Open "
                "Inference Protocol over HTTP",
            )
        try:
            return msgspec.json.decode(content, type=kind)
        except msgspec.DecodeError as error:
            raise InputError(
                f"{self.url}{path} answers something else: {error}",
                hint="edgewise load speaks the Open Inference Protocol over HTTP",
            ) from error

    def _get(self, path: str) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        context = self.context()
        connection = (
            http.client.HTTPSConnection(self.host, self.port, timeout=_ASK_S, context=context)
            if context
            else http.client.HTTPConnection(self.host, self.port, timeout=_ASK_S)
        )
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read(1 << 20)
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error
        finally:
            connection.close()


def parse(url: str, token: str | None = None, ca: Path | None = None) -> Target:
    """A target from its URL; http where no scheme is given.

    Raises:
        UsageError: it is no URL of http or https.
    """
    parts = urlsplit(url if "://" in url else f"http://{url}")
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme in ("grpc", "grpcs"):
        raise UsageError(f"'{url}': a load goes over HTTP", hint="the same service's HTTP address")
    is_plain = parts.netloc.isascii() and parts.path.isascii()
    if parts.scheme not in ("http", "https") or not parts.hostname or port == -1 or not is_plain:
        raise UsageError(f"'{url}' is no address of a service", hint="http://127.0.0.1:8080")
    tls = parts.scheme == "https"
    if token and not (token.isascii() and token.isprintable()):
        raise UsageError("the token has characters that no header can carry")
    return Target(
        url=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}",
        host=parts.hostname,
        port=port or (443 if tls else 80),
        tls=tls,
        prefix=parts.path.rstrip("/"),
        token=token,
        ca=ca,
    )
