"""What the two ways to an endpoint have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from edgewise.protocol.messages import Down, Silent, Tensor
from edgewise.protocol.metadata import TensorMetadata

__all__ = ["NO_TOKEN", "Described", "Down", "Silent", "Transport"]

#: What to do where an endpoint asks for a token.
NO_TOKEN = "its URL names the environment variable that has the token: ?token_env=NAME"


@dataclass(frozen=True, slots=True)
class Described:
    """What a remote model says that it takes and gives."""

    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]


class Transport(Protocol):
    """One endpoint, over gRPC or HTTP. Whoever awaits and is cancelled cancels the call.

    All methods but `close` raise `Down`: it cannot be reached, did not answer in time or is not
    ready; `InferenceFailed`: it refused, or its answer is malformed; `Unavailable`: it is too busy
    for this request.
    """

    async def describe(self, timeout_s: float) -> Described:
        """Its inputs and outputs."""
        ...

    async def check(self, timeout_s: float) -> None:
        """Return if its model is ready."""
        ...

    async def infer(self, inputs: Sequence[Tensor], timeout_s: float) -> tuple[Tensor, ...]:
        """Run one request."""
        ...

    async def close(self) -> None:
        """End its connections."""
        ...
