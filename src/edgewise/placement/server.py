"""The server of the cloud's way: one by its URL, or one that is started for a model."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from edgewise import extras
from edgewise.errors import InputError
from edgewise.placement.client import Address, Client, NoAnswer, caller_of
from edgewise.placement.questions import Sending
from edgewise.placement.subjects import Subject, wire_port
from edgewise.protocol.http import target as targets
from edgewise.protocol.http.prepared import Port
from edgewise.protocol.http.target import ServerAbout, Target
from edgewise.records import Way
from edgewise.server.spawned import spawned

LOCAL = "local"
#: A started service's name for the model; a service of one's own may have another.
_FAMILY, _MODEL = "placed", "model"
_IMAGE = Port("image", "BYTES", [1])
_ASK_S = 10.0
_WHAT_SERVES = "--server speaks the Open Inference Protocol over HTTP, --served is a model there"
A = TypeVar("A")
_SOURCE = "not measured: a placeholder, this variant is always pinned"


@dataclass(frozen=True)
class Wanted:
    """`server` is a URL, or `local` for a service of one's own. `served` is the model's name
    there, None: the file's or the variant's. `threads` of one inference, for a service of one's
    own."""

    server: str
    served: str | None = None
    token: str | None = None
    ca: Path | None = None
    threads: int = 1


class Reached(NamedTuple):
    """A server that answers, and the inputs of the model there."""

    target: Target
    about: ServerAbout
    model: str
    ports: Sequence[Port]

    def sendings(self, subject: Subject, prepared_by: Way | None) -> list[Sending]:
        """The ways to send a question, of which all are tried."""
        binary = self.about.binary
        port = self.ports[0] if len(self.ports) == 1 else None
        if subject.how is None:
            return [Sending(None, True, port, binary)]
        takes_images = port is not None and port.datatype == "BYTES"
        if not takes_images:
            return [Sending("device", True, port, binary)]
        ways: list[Way] = [prepared_by] if prepared_by else ["device", "cloud"]
        return [Sending(way, False, port, binary) for way in ways]


def check(wanted: Wanted) -> None:
    """What is wrong whoever answers is said before anything is measured.

    Raises:
        UsageError: no address of a service.
        InputError: certificates that cannot be read.
    """
    if wanted.server != LOCAL:
        targets.parse(wanted.server, wanted.token, wanted.ca).context()


@contextmanager
def reached(wanted: Wanted, subject: Subject) -> Iterator[Reached]:
    """The server while it is entered; one of one's own ends with that.

    Raises:
        InputError: nobody answers, it speaks something else, or has no such model.
        WorkerFailed, MissingExtra: a service cannot be started.
    """
    if wanted.server != LOCAL:
        target = targets.parse(wanted.server, wanted.token, wanted.ca).resolved()
        name = wanted.served or subject.name
        about = _asked(target.server)
        ports = _asked(lambda: target.model(name)).inputs
        if not ports:
            raise InputError(f"{target.url}: the model '{name}' states no inputs")
        there = Reached(target, about, name, ports)
        if about.edgewise and subject.how is not None and _takes_images(there, subject):
            there = there._replace(ports=[_IMAGE])
        yield there
        return
    with tempfile.TemporaryDirectory(prefix="edgewise-") as folder:
        family = Path(folder) / "family.toml"
        family.write_text(_family_text(subject), encoding="utf-8")
        with _started(family, wanted.threads) as url:
            target = targets.parse(url).resolved()
            is_image = subject.how is not None
            ports = [_IMAGE] if is_image else [wire_port(port) for port in subject.inputs]
            yield Reached(target, target.server(), _MODEL, ports)


def _asked(ask: Callable[[], A]) -> A:
    """What a target says; hints of the verb `load` become this one's."""
    try:
        return ask()
    except InputError as error:
        if "edgewise load" in (error.hint or ""):
            raise InputError(error.message, hint=_WHAT_SERVES) from error
        raise


def _takes_images(there: Reached, subject: Subject) -> bool:
    """Whether it answers an image although it states tensors: Edgewise states those of a pinned
    variant, and prepares images for it if its family takes them."""
    target, about = there.target, there.about

    async def ask() -> None:
        address = Address(target.address or target.host, target.port, shaped=False)
        client = Client(caller_of(target, about, there.model, address, _ASK_S))
        try:
            await client.connect()
            await client.ask(Sending("cloud", False, _IMAGE, about.binary).body(subject, 0).body)
        finally:
            client.close()

    try:
        asyncio.run(ask())
    except NoAnswer:
        return False
    return True


@contextmanager
def _started(family: Path, threads: int) -> Iterator[str]:
    extras.check(["serve"], "a service of one's own (--server local)")
    options = ["--workers", "1", "--threads", str(threads), "--log", "off"]
    with spawned([family], options) as service:
        yield service.http


def _family_text(subject: Subject) -> str:
    """A family of the one variant. The catalogue wants an accuracy; nobody looks at this one."""
    kind = "image" if subject.how is not None else "tensor"
    lines = [
        f"name = {_text(_FAMILY)}",
        "[input]",
        f"kind = {_text(kind)}",
        "[[variant]]",
        f"name = {_text(_MODEL)}",
        f"file = {_text(str(Path(subject.runnable.file).resolve()))}",
        "accuracy = 0",
        f"accuracy_source = {_text(_SOURCE)}",
        "[variant.preprocess]",
    ]
    how = msgspec.to_builtins(subject.runnable.preprocess)
    lines += [f"{key} = {json.dumps(value)}" for key, value in how.items() if value is not None]
    return "\n".join(lines) + "\n"


def _text(value: str) -> str:
    """A TOML basic string: JSON's strings are such."""
    return json.dumps(value)
