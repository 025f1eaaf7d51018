"""An endpoint over HTTP: with binary tensors where it offers them, else in JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from edgewise.protocol.errors import MalformedAnswer
from edgewise.protocol.http import client_codec
from edgewise.protocol.messages import InferenceFailed, ServingError, Tensor, Unavailable
from edgewise.protocol.metadata import TensorMetadata
from edgewise.protocol.tensors import to_elements, to_raw
from edgewise.server.endpoints.address import Address
from edgewise.server.endpoints.transport import NO_TOKEN, Described, Down, Silent

_T = TypeVar("_T")
_BINARY = "binary_tensor_data"
_MOST_WORDS = 300
#: Of whatever stands in front of the server: nobody is there.
_GATEWAY = (502, 504)


class _Port(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]


class _Metadata(msgspec.Struct):
    inputs: list[_Port] | None = None
    outputs: list[_Port] | None = None


class _Server(msgspec.Struct):
    extensions: list[str] | None = None


class HttpTransport:
    """See `Transport`. Connections are kept between requests, one for each slot."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._model = f"{address.base}/v2/models/{quote(address.model, safe='')}"
        self._takes_binary = False
        limits = httpx.Limits(
            max_connections=address.slots + 1, max_keepalive_connections=address.slots + 1
        )
        self._client = httpx.AsyncClient(
            limits=limits,
            trust_env=False,
            headers={"authorization": f"Bearer {address.token}"} if address.token else None,
        )

    async def describe(self, timeout_s: float) -> Described:
        """Its inputs and outputs; also finds out whether it takes binary tensors."""
        server = self._parsed(
            await self._call("GET", f"{self._address.base}/v2", timeout_s), _Server
        )
        self._takes_binary = _BINARY in (server.extensions or ())
        model = self._parsed(await self._call("GET", self._model, timeout_s), _Metadata)
        return Described(_ports(model.inputs), _ports(model.outputs))

    async def check(self, timeout_s: float) -> None:
        """Return if its model is ready."""
        try:
            await self._call("GET", f"{self._model}/ready", timeout_s)
        except Silent:
            raise
        except (InferenceFailed, Unavailable) as error:
            raise Down(
                f"the endpoint {self._address.url} is not ready: {error.message}", hint=error.hint
            ) from error

    async def infer(self, inputs: Sequence[Tensor], timeout_s: float) -> tuple[Tensor, ...]:
        """Run one request."""
        headers, body = self._binary(inputs) if self._takes_binary else self._json(inputs)
        response = await self._call(
            "POST", f"{self._model}/infer", timeout_s, headers=headers, content=body
        )
        try:
            return client_codec.tensors(
                response.content, response.headers.get(client_codec.LENGTH_HEADER)
            )
        except MalformedAnswer as error:
            raise self._malformed(error.message) from error

    async def close(self) -> None:
        """End its connections."""
        await self._client.aclose()

    def _binary(self, inputs: Sequence[Tensor]) -> tuple[dict[str, str], bytes]:
        contents = [to_raw(tensor) for tensor in inputs]
        head = msgspec.json.encode(
            {
                "inputs": [
                    {**_head(tensor), "parameters": {"binary_data_size": len(content)}}
                    for tensor, content in zip(inputs, contents, strict=True)
                ],
                "parameters": {"binary_data_output": True},
            }
        )
        headers = {
            "content-type": "application/octet-stream",
            client_codec.LENGTH_HEADER: str(len(head)),
        }
        return headers, b"".join([head, *contents])

    def _json(self, inputs: Sequence[Tensor]) -> tuple[dict[str, str], bytes]:
        given = [{**_head(tensor), "data": self._elements(tensor)} for tensor in inputs]
        return {"content-type": "application/json"}, msgspec.json.encode({"inputs": given})

    def _elements(self, tensor: Tensor) -> list[Any]:
        if tensor.datatype != "BYTES":
            return to_elements(tensor)
        try:
            return [each.decode() for each in to_elements(tensor)]
        except UnicodeDecodeError as error:
            raise InferenceFailed(
                f"the endpoint {self._address.url} takes JSON only, which cannot carry the bytes "
                f"of '{tensor.name}'",
                hint="use its gRPC port",
            ) from error

    async def _call(
        self,
        method: str,
        url: str,
        timeout_s: float,
        *,
        headers: dict[str, str] | None = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        try:
            response = await self._client.request(
                method, url, headers=headers, content=content, timeout=timeout_s
            )
        except httpx.TimeoutException as error:
            raise Silent(
                f"the endpoint {self._address.url} did not answer within {timeout_s:g} s"
            ) from error
        except httpx.HTTPError as error:
            words = str(error) or type(error).__name__
            raise Down(f"the endpoint {self._address.url} is down: {words}") from error
        if response.status_code != 200:
            raise self._error(response)
        return response

    def _error(self, response: httpx.Response) -> ServingError:
        url, status = self._address.url, response.status_code
        words = " ".join(response.text[:_MOST_WORDS].split())
        if status == 429 or (status == 503 and "retry-after" in response.headers):
            return Unavailable(f"the endpoint {url} refuses: {words}")
        if status in (404, 503, *_GATEWAY):
            return Down(f"the endpoint {url} is down: HTTP {status}: {words}")
        hint = NO_TOKEN if status in (401, 403) else None
        return InferenceFailed(f"the endpoint {url} refuses: HTTP {status}: {words}", hint=hint)

    def _parsed(self, response: httpx.Response, kind: type[_T]) -> _T:
        try:
            return msgspec.json.decode(response.content, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._malformed(str(error)) from error

    def _malformed(self, why: str) -> InferenceFailed:
        return InferenceFailed(f"the endpoint {self._address.url} answers malformed: {why}")


def _head(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}


def _ports(said: list[_Port] | None) -> tuple[TensorMetadata, ...]:
    return tuple(TensorMetadata(p.name, p.datatype, tuple(p.shape)) for p in said or ())
