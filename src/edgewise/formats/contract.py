"""What a format is: the contract that a module of this room (or of a plug-in) fulfils.

A format is one module (or package) of `formats/` with these names at its top; no classes are
needed. Keep the module light, it is imported before any file is recognised: what parses is
imported inside `read`. A module with several formats lists them as `FORMATS` instead.

::

    NAME = "toy"
    EXTENSIONS = (".toy",)
    LEVEL: Level = "graph"
    SIBLINGS = (Sibling(".toy", ".toyweights"),)
    LIMITS = {"layers": 100_000}
    SOURCES = ("https://example.org/toy-format",)

    def recognise(head: bytes, name: str) -> float: ...
    def read(file: File) -> Graph: ...

A format may add `EMBEDDED`, the place of bytes that mark it inside another file, and these bytes:
then models of it are found at any offset (`embedded.py`).

`kit.py` helps to write a graph, `siblings.py` to find the files that belong to one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, Protocol

from edgewise.archive import File
from edgewise.graph import Graph

#: Bytes of a file's head that every `recognise` may rely on (fewer where the file is shorter).
HEAD_BYTES = 512

#: What is read of a format's files at best: layers with shapes and costs; the operators or the
#: weights they hold; or only which format it is.
Level = Literal["graph", "operators", "identified"]


class Sibling(NamedTuple):
    """How the name of a file beside a model follows from the model's own.

    `ending` of the model's name becomes `other`: `Sibling(".param", ".bin")`. With an empty
    `ending`, `other` is a path from the model's folder downwards:
    `Sibling("", "weights/weight.bin")`.
    """

    ending: str
    other: str
    holds: str = "weights"


class Format(Protocol):
    """See the module. `LIMITS` are bounds beyond which `read` raises `LimitExceeded`, by what they
    bound; `SOURCES` where the facts about the format are written; both are shown to users."""

    NAME: str
    EXTENSIONS: tuple[str, ...]
    LEVEL: Level
    SIBLINGS: tuple[Sibling, ...]
    LIMITS: Mapping[str, int]
    SOURCES: tuple[str, ...]

    def recognise(self, head: bytes, name: str) -> float:
        """How surely this is the format, from its first `HEAD_BYTES` and its name.

        0: it is not. Up to 0.5: the name alone says so (worth a strict parse, whose failure is a
        rejection that users should see). Above 0.5: the bytes say so.
        """
        ...

    def read(self, file: File) -> Graph:
        """Parse strictly, no byte of the weights touched.

        A graph of which only operators or weights could be read has `level="operators"` and a
        `reason`. Companions that are not there are named in `Graph.missing`.

        Raises:
            RejectedModel: it is no valid file of this format; says where it breaks.
            OpaqueModel: only the format is certain.
            LimitExceeded: it asks for more work than any real model does.
        """
        ...
