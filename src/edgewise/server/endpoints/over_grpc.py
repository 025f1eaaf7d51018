"""An endpoint over gRPC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from edgewise.protocol.grpc import codec
from edgewise.protocol.grpc.fields import METHODS, SERVICE
from edgewise.protocol.grpc.schema import message
from edgewise.protocol.grpc.status import RETRY_AFTER
from edgewise.protocol.messages import InferenceFailed, ServingError, Tensor, Unavailable
from edgewise.protocol.metadata import TensorMetadata
from edgewise.server.endpoints.address import Address
from edgewise.server.endpoints.transport import NO_TOKEN, Described, Down, Silent

_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 2000),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # Each endpoint has its own connection, whoever else of this process talks to its host.
    ("grpc.use_local_subchannel_pool", 1),
]
_DOWN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.NOT_FOUND)


class GrpcTransport:
    """See `Transport`. The channel connects when it is first used, and again when it broke."""

    def __init__(self, address: Address) -> None:
        self._address = address
        token = address.token
        self._metadata = (("authorization", f"Bearer {token}"),) if token else None
        if address.is_secure:
            self._channel = grpc.aio.secure_channel(
                address.base, grpc.ssl_channel_credentials(), options=_OPTIONS
            )
        else:
            self._channel = grpc.aio.insecure_channel(address.base, options=_OPTIONS)
        self._methods = {
            name: self._channel.unary_unary(f"/{SERVICE}/{name}")
            for name in ("ModelInfer", "ModelMetadata", "ModelReady")
        }

    async def describe(self, timeout_s: float) -> Described:
        """Its inputs and outputs."""
        said = await self._ask("ModelMetadata", timeout_s)
        return Described(_ports(said.inputs), _ports(said.outputs))

    async def check(self, timeout_s: float) -> None:
        """Return if its model is ready."""
        if not (await self._ask("ModelReady", timeout_s)).ready:
            raise Down(f"the endpoint {self._address.url} is not ready")

    async def infer(self, inputs: Sequence[Tensor], timeout_s: float) -> tuple[Tensor, ...]:
        """Run one request."""
        content = codec.encode_request(self._address.model, "", inputs)
        answer = await self._call("ModelInfer", content, timeout_s)
        try:
            return codec.decode_answer(answer).outputs
        except ValueError as error:
            raise self._malformed(error) from error

    async def close(self) -> None:
        """End its connections."""
        await self._channel.close()

    async def _ask(self, name: str, timeout_s: float) -> Any:
        takes, gives = METHODS[name]
        request = message(takes)(name=self._address.model)
        answer = await self._call(name, request.SerializeToString(), timeout_s)
        try:
            return message(gives).FromString(answer)
        except DecodeError as error:
            raise self._malformed(error) from error

    async def _call(self, name: str, content: bytes, timeout_s: float) -> bytes:
        try:
            answer: bytes = await self._methods[name](
                content, timeout=timeout_s, metadata=self._metadata
            )
        except grpc.aio.AioRpcError as error:
            raise self._error(error, timeout_s) from error
        return answer

    def _error(self, error: grpc.aio.AioRpcError, timeout_s: float) -> ServingError:
        url, code, details = self._address.url, error.code(), error.details() or "no details"
        if any(key == RETRY_AFTER for key, _ in error.trailing_metadata() or ()):
            return Unavailable(f"the endpoint {url} refuses: {details}")
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return Silent(f"the endpoint {url} did not answer within {timeout_s:g} s")
        if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
            return InferenceFailed(f"the endpoint {url} refuses: {details}", hint=NO_TOKEN)
        if code in _DOWN:
            return Down(f"the endpoint {url} is down: {details}")
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            return Unavailable(f"the endpoint {url} has no room: {details}")
        return InferenceFailed(f"the endpoint {url} refuses: {code.name}: {details}")

    def _malformed(self, why: Exception) -> InferenceFailed:
        return InferenceFailed(f"the endpoint {self._address.url} answers malformed: {why}")


def _ports(said: Any) -> tuple[TensorMetadata, ...]:
    return tuple(TensorMetadata(each.name, each.datatype, tuple(each.shape)) for each in said)
