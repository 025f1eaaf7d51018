"""How a client works: given by keywords, refused where they are half-given or contradict."""

from __future__ import annotations

import math
import ssl
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Literal, TypedDict

from edgewise.client.cascade import Rule
from edgewise.client.inputs import Encoding
from edgewise.errors import UsageError

Mode = Literal["off", "duplicate", "cascade"]


class Options(TypedDict, total=False):
    """How a client works; `docs/client.md` has them with their reasons.

    Keys:
        sla_ms: deadline of calls that state none, end to end; None: they have none.
        token: what the service was started with.
        family: a family's file (`family.toml`), for labels and for the variant on the device.
        device: "duplicate" asks the device's variant at the same time; "cascade" asks it first.
        cascade: for the latter: a confidence from 0 to 1, a `Rule` or its file, or the file of
            samples that `edgewise eval --samples` wrote. Else `calibrate` before the first call.
        risk: in percent of all inputs, for calibrating on such a file.
        margin_ms: how long before the deadline the device's held answer leaves.
        grace_ms: how long after the deadline the cloud is still waited for.
        timeout_s: how long to try where there is no deadline.
        retries: how many times a failed request is sent again where that is safe.
        encoding: of arrays and PIL images that are images: "auto", "png" or "jpeg".
        verify: certificates to check the service's with: True for the usual ones, a PEM file, or
            an SSL context.
        connections: most at a time.
        most_answer_bytes: a larger answer is not read.
    """

    sla_ms: float | None
    token: str | None
    family: str | PathLike[str] | None
    device: Mode
    cascade: Rule | Path | str | float | None
    risk: float
    margin_ms: float
    grace_ms: float
    timeout_s: float
    retries: int
    encoding: Encoding
    verify: bool | str | PathLike[str] | ssl.SSLContext
    connections: int
    most_answer_bytes: int


@dataclass(frozen=True)
class ClientSettings:
    """`Options` with their defaults, checked."""

    sla_ms: float | None = None
    token: str | None = None
    family: str | PathLike[str] | None = None
    device: Mode = "off"
    cascade: Rule | Path | str | float | None = None
    risk: float = 2.0
    margin_ms: float = 2.0
    grace_ms: float = 0.0
    timeout_s: float = 30.0
    retries: int = 2
    encoding: Encoding = "auto"
    verify: bool | str | PathLike[str] | ssl.SSLContext = True
    connections: int = 64
    most_answer_bytes: int = 64 << 20

    def __post_init__(self) -> None:
        if self.device not in ("off", "duplicate", "cascade"):
            raise UsageError(f"device='{self.device}'", hint="off, duplicate or cascade")
        if self.device != "off" and self.family is None:
            raise UsageError(f"device='{self.device}' needs a family",
                             hint="give family= the family's file")  # fmt: skip
        if self.cascade is not None and self.device != "cascade":
            raise UsageError("a cascade's threshold without device='cascade'")
        for name, least in (("margin_ms", 0), ("grace_ms", 0), ("retries", 0), ("connections", 1)):
            if not least <= getattr(self, name) < math.inf:
                raise UsageError(f"{name} is {getattr(self, name)}", hint=f"{least} or more")
        for name in ("timeout_s", "most_answer_bytes"):
            if not 0 < getattr(self, name) < math.inf:
                raise UsageError(f"{name} is {getattr(self, name)}", hint="above 0")
        if self.token is not None and not (self.token.isascii() and self.token.isprintable()):
            raise UsageError("the token has characters that no header can carry")
        if self.encoding not in ("auto", "png", "jpeg"):
            raise UsageError(f"encoding='{self.encoding}'", hint="auto, png or jpeg")
